// Facts about a network interface, asked of the kernel in the network namespace of this thread: never from
// the text of a tool, and never from /sys where that shows another namespace.
//
// Thread: [control].
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "evenkeel/result.h"

namespace evenkeel::actuator {

struct NetworkInterface {
  std::string name;
  int index = 0;
  std::string driver;   // "veth", "ixgbe"; empty: the interface has none (loopback)
  int xdp_program = 0;  // identity of an attached XDP program, or 0
  bool xdp_generic = false;
};

// A runtime error where there is none of that name: it lists those that there are.
Result<NetworkInterface> find_interface(const std::string& name);

// Whether it is still there, under its name: not deleted, renamed or moved to another network namespace.
bool is_present(const std::string& name, int index);

// For a veth: whether its peer leaves checksums to be computed by a network card that does not exist.
// Packets that native XDP redirects would then have wrong checksums. Nothing: the peer was not found.
struct VethPeer {
  std::string name;
  std::string network_namespace;  // "" for this one
  bool checksum_offload = false;
};
std::optional<VethPeer> find_veth_peer(const NetworkInterface& interface);

// CPU masks that the kernel shows under /sys/class/net/NAME, of this thread's network namespace.
struct ReceiveQueue {
  std::uint32_t number = 0;
  std::string rps_cpus;  // "00000000,00000003"
};
std::vector<ReceiveQueue> receive_queues(const std::string& name);
bool mask_is_empty(const std::string& mask);

// Interrupts of the interface's device, by number; empty for virtual interfaces.
std::vector<std::uint32_t> interrupts_of(const std::string& name);

// Packets that the interface received so far, by /proc/net/dev.
std::optional<std::uint64_t> received_packets(const std::string& name);

// Packets whose checksum was found wrong so far: IP, TCP and UDP, in this network namespace.
std::uint64_t checksum_errors();

// Whether a process of that name runs (as far as /proc shows).
bool process_runs(const std::string& name);

}  // namespace evenkeel::actuator
