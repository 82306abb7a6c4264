// Runs of the whole engine with the flow meter, in process and with real threads, and all that tests want to
// know of them afterwards: the records, and where every packet went.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <tuple>
#include <vector>

#include "base/units.h"
#include "flow/record.h"
#include "meter/meters.h"

namespace evenkeel::tests {

struct RunSetting {
  std::vector<std::string> inputs;
  std::uint32_t workers = 1;
  std::uint32_t buckets = 1024;
  // Of the registry, or "random": random moves as fast as they can be published.
  std::string policy = "static";
  std::uint64_t seed = 1;  // of the random moves
  std::int64_t idle_ns = 60 * base::kNanosecondsPerSecond;
  std::int64_t half_open_ns = 30 * base::kNanosecondsPerSecond;
  std::int64_t active_ns = 300 * base::kNanosecondsPerSecond;
  std::uint32_t connections_max = 1'000'000;
  bool inner_tunnel = false;

  // For messages.
  std::string name() const;
};

struct RunOutcome {
  std::vector<flow::FlowRecord> records;  // sorted
  std::uint64_t received = 0;
  std::uint64_t processed = 0;
  std::uint64_t malformed = 0;
  std::uint64_t unclassified = 0;
  std::array<std::uint64_t, meter::kDropReasons> dropped{};
  std::uint64_t opened = 0, closed = 0, expired = 0, evicted = 0, live = 0;  // connections
  std::uint64_t order_violations = 0;
  std::uint64_t ownership_violations = 0;
  std::uint64_t moves = 0;
  std::string input_error;  // what ended an input early

  std::uint64_t dropped_total() const;
  std::uint64_t dropped_for(meter::DropReason reason) const {
    return dropped[static_cast<std::size_t>(reason)];
  }
};

// All fields, to compare and to sort by.
inline auto as_tuple(const flow::FlowRecord& r) {
  return std::tuple(r.start_ns, r.end_ns, r.source_address, r.destination_address, r.source_port,
                    r.destination_port, r.protocol, r.ip_version, r.tcp_control_bits,
                    r.reverse_tcp_control_bits, r.end_reason, r.packets, r.octets, r.reverse_packets,
                    r.reverse_octets, r.tcp_state, r.reverse_tcp_state, r.round_trip.smoothed,
                    r.round_trip.retransmission_timeout);
}

// To the end of the inputs, which must open.
RunOutcome run(const RunSetting& setting);

// The laws that hold of every run: order, conservation, ownership; and that connections and records add up.
void expect_laws(const RunOutcome& outcome, const std::string& name);
void expect_same_records(const RunOutcome& a, const RunOutcome& b, const std::string& name);

// A folder of the running test's own, gone with this.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace evenkeel::tests
