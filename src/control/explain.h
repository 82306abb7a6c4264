// Why receive work is uneven: from facts about an interface and its traffic to plain sentences, the most
// important first. Pure: who gathers the facts is src/cli/explain_command.cpp.
//
// Thread: [control].
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace evenkeel::control {

// Of the traffic itself, as counted over a look or in a capture.
struct TrafficFacts {
  std::uint64_t packets = 0;
  double udp_share = 0;  // of packets that are IP
  double fragment_share = 0;
  double not_ip_share = 0;
  // Of the heaviest connection, without fragments and inside tunnels; of the heaviest bucket with all that is
  // in it, where connections were not told apart.
  double largest_share = 0;
  std::string largest_name;  // "10.0.0.1:80 to 10.0.0.2:4711, TCP", "bucket 17"
  bool connections_told_apart = true;
  bool largest_is_encrypted = false;  // a tunnel that shows nothing of what is inside
  double tunnel_share = 0;            // packets that carry another connection inside
  double largest_tunnel_share = 0;    // of the heaviest tunnel; 0: not told apart
  double one_way_share = 0;           // connections seen in one direction only
};

// Of a live interface. Shares are by CPU or queue number.
struct InterfaceFacts {
  std::string name;
  std::string driver;
  std::vector<std::uint32_t> cpus;      // online
  std::vector<double> receive_share;    // of packets, by CPU of `cpus`
  std::vector<double> interrupt_usage;  // time in interrupts, by CPU of `cpus`
  std::uint32_t queues = 0;
  std::uint32_t queues_max = 0;          // 0: not told
  std::string queues_word = "combined";  // what `ethtool -L` calls them: combined, rx
  std::vector<double> table_share;       // of slots, by queue; empty: no table
  bool key_symmetric = false;
  bool udp_ports_hashed = false;  // of IPv4 and of IPv6
  bool hash_fields_known = false;
  std::vector<std::string> interrupt_cpus;  // "0-3", of each of its interrupts; empty: has none of its own
  bool rps = false;
  bool irqbalance = false;
  bool xdp_program = false;
  bool xdp_program_is_linked = false;  // only who attached it can detach it
  int steered_by = 0;                  // the evenkeel process that steers it, or 0
};

struct Finding {
  double weight = 0;   // more is more important
  std::string name;    // for programs: "one_cpu_receives_all"
  std::string text;    // what is wrong, and why it matters
  std::string remedy;  // a command, or ""
};

// Traffic of fewer packets tells nothing.
inline constexpr std::uint64_t kPacketsThatTell = 100;

// Where there is no interface, the traffic is judged for so many CPUs, if not told.
inline constexpr std::size_t kCpusAssumed = 2;

// Sorted by weight. Empty: nothing speaks against even load. cpus: that the work shall be even on, where
// there is no interface that tells.
std::vector<Finding> explain(const std::optional<InterfaceFacts>& interface, const TrafficFacts& traffic,
                             std::size_t cpus = kCpusAssumed);

}  // namespace evenkeel::control
