// What the steering loop asks of a way to steer an interface: measure an interval, move buckets, leave
// everything as it was found. Implemented by xdp_cpumap (CPUs) and nic_table (receive queues).
//
// Thread: [control], all of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "evenkeel/ids.h"
#include "evenkeel/policy.h"
#include "evenkeel/result.h"

namespace evenkeel::actuator {

// The work of a packet does not grow much with its size: 2,048 bytes cost as much as one packet more.
// Measured: docs/decisions/steer-load.md.
inline constexpr double kBytesLikeOnePacket = 2'048;

// Packets that may wait for a CPU: the kernel's limit for a CPU map.
inline constexpr std::uint32_t kCpuQueueMax = 16'384;

// How a bucket changes its processor.
enum class MoveOrder : std::uint8_t {
  kStrict,     // only when none of its packets is in flight
  kIdleFirst,  // the same; after a deadline at once from an overloaded processor, and counted
  kFast,       // at once, and counted
};

// One interval, in the form of a policy's snapshot. The vectors are reused from call to call.
struct Measurement {
  double seconds = 0;
  std::vector<double> bucket_load;  // seconds of a processor per second
  std::vector<ProcessorId> owner;
  std::vector<double> usage;     // of what the processor has to give, 0 to 1
  std::vector<double> backlog;   // waiting or lost at the end, in intervals of a processor
  std::vector<double> capacity;  // 0.1 to 1
  std::uint64_t packets = 0;     // that came in
  std::uint64_t bytes = 0;
  std::uint64_t passed_by = 0;  // of these, not steered: not IP, malformed, no queue
  std::uint64_t drops = 0;      // lost in queues to the processors
};

// Whether processor i had more to do than it could, or nearly so: reordering a few packets once then does
// less harm than leaving its buckets where they wait.
inline bool is_overloaded(const Measurement& measurement, std::size_t i) {
  constexpr double kUsageFull = 0.9;
  constexpr double kBacklogMin = 0.05;
  return measurement.usage[i] >= kUsageFull || measurement.backlog[i] > kBacklogMin;
}

// Since the start.
struct SteeringTotals {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t steered = 0;  // given to a processor
  std::uint64_t arrived = 0;  // seen there; steered = arrived + drops + in flight
  std::uint64_t drops = 0;
  std::uint64_t in_flight = 0;
  std::uint64_t passed_by = 0;
  std::uint64_t moves_wanted = 0;
  std::uint64_t moves_done = 0;
  std::uint64_t moves_forced = 0;  // of these, with packets in flight
  std::uint64_t moves_withdrawn = 0;
  std::uint64_t end_forced = 0;  // buckets that stop() sent back with packets in flight
  // Share of the packets that came to other queues than the card's table says, when last judged.
  std::optional<double> table_misfit;
  std::uint64_t reorder_risk = 0;  // packets in flight at all these: later ones may have overtaken them
};

class Steering {
 public:
  virtual ~Steering() = default;
  virtual std::string_view name() const = 0;
  virtual std::size_t buckets() const = 0;
  // What each processor is, for people: "cpu 3", "queue 0". Processor i is the i-th.
  virtual std::span<const std::string> processors() const = 0;

  // Begins to steer; before it, the interface is untouched. An error leaves the interface as it was found.
  virtual Result<void> start() = 0;
  // Fills `measurement` with what happened since the last call (or start()).
  virtual Result<void> measure(Measurement& measurement) = 0;
  // Wants these moves; they are done now or by later calls of settle().
  virtual Result<void> apply(std::span<const Move> moves) = 0;
  // Completes what can be; to be called every few milliseconds while moves are pending.
  virtual Result<void> settle() = 0;
  virtual std::size_t pending() const = 0;
  // Gives up what is pending; those buckets stay where they are.
  virtual Result<void> withdraw() = 0;
  virtual Result<SteeringTotals> totals() = 0;
  // Ends steering in order: what is in flight is let through first, as long as `may_wait` says so; what is
  // then still in flight is counted in totals(), which may be asked afterwards. May be called again.
  virtual Result<void> stop(const std::function<bool()>& may_wait) = 0;
  // For the report: what the load of a bucket is taken from, which mode is in use, what was found odd.
  virtual std::vector<std::string> notes() const = 0;
};

}  // namespace evenkeel::actuator
