// What is asked of a simulation, and what it found out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "engine/queueing.h"

namespace evenkeel::sim {

// One machine under one policy.
struct MachineOptions {
  std::uint32_t buckets = 1024;
  std::vector<double> capacity;  // of each processor
  std::string policy = "index";
  std::int64_t interval_ns = 100 * base::kNanosecondsPerMillisecond;
  std::int64_t duration_ns = base::kNanosecondsPerSecond;  // arrivals end here; what waits is still served
  std::int64_t warmup_ns = 0;     // packets that come, and intervals that end, before are not measured
  std::int64_t move_cost_ns = 0;  // of a bucket's first packet at a new owner, for its cold caches
  std::int64_t idle_ns = base::kNanosecondsPerSecond;  // idle timeout of connections, in packet time
  std::uint32_t connections_max = 1'000'000;
  engine::QueueingOptions queueing;
  std::uint64_t seed = 1;

  std::uint32_t processors() const { return static_cast<std::uint32_t>(capacity.size()); }
};

// One processor, over the whole run.
struct ProcessorOutcome {
  std::uint64_t packets = 0;
  double busy_seconds = 0;
};

// One control interval.
struct IntervalSample {
  double end_seconds = 0;
  double max_over_mean = 1;  // of the processors' loads, backlog included, each for its capacity
  double lower_bound = 1;    // max/mean that no assignment of these buckets can beat
  double spread = 0;         // (max - min) / min; 0 where a processor had nothing to do
  std::uint64_t moves = 0;
  double load_moved = 0;  // in processors
  double loss = 0;        // lost over received, in the interval
};

struct Outcome {
  std::string policy;  // or the yardstick's name
  bool yardstick = false;
  std::uint32_t processors = 0;
  std::uint32_t buckets = 0;  // 0: none

  std::uint64_t packets = 0;    // that came, and of those ...
  std::uint64_t processed = 0;  // ... were served
  std::uint64_t ring_full = 0, overload = 0, connection_limit = 0, malformed = 0, unclassified = 0;
  std::uint64_t connections = 0, evicted = 0;

  // From here on after the warm-up only.
  std::uint64_t measured = 0;  // packets served that came in the window
  std::uint64_t lost = 0;
  double loss = 0;                                                      // lost / received
  double mean_ns = 0, p50_ns = 0, p99_ns = 0, p999_ns = 0, max_ns = 0;  // from arrival to the end of service
  double p99_with_lost_ns = 0;                                          // lost packets taken as never served
  double mean_wait_ns = 0;      // from arrival to the beginning of service
  std::uint64_t reordered = 0;  // packets that left after a later one of their connection (RFC 4737)
  double max_over_mean = 1;     // of the processors' busy time in the window
  bool has_intervals = false;   // some ended in the window; else the six below tell nothing
  double interval_max_over_mean = 1, interval_lower_bound = 1;  // means over intervals
  double excess = 0,
         excess_p95 = 0;  // (max/mean) / (lower bound) - 1: mean over intervals, and 95th percentile
  double spread = 0;      // mean over intervals
  double moves_per_second = 0, load_moved_per_second = 0;
  double load = 0;  // busy time of all processors over their number, in the window

  std::uint64_t moves = 0, rebalances = 0, rounds = 0, skipped = 0;
  std::uint64_t ownership_violations = 0;
  double plan_ns_median = 0;    // of this machine's own time: differs from run to run
  double simulate_seconds = 0;  // likewise
  std::vector<ProcessorOutcome> per_processor;
  std::vector<IntervalSample> intervals;  // all of them
};

}  // namespace evenkeel::sim
