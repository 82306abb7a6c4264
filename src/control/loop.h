// The control loop: measure, plan, apply, once an interval.
//
// Passive: tick() does one round, driven by a thread or by the simulation. Thread: [control].
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "actuator/actuator.h"
#include "control/load_meter.h"
#include "evenkeel/policy.h"
#include "evenkeel/result.h"

namespace evenkeel::control {

// What one round saw and did, for who records it. Spans live as long as the call.
struct Round {
  std::int64_t time_ns = 0;     // since the start of the run
  Snapshot snapshot;            // owners as of before the moves
  std::span<const Move> moves;  // that were begun
};

struct LoopCounts {
  std::uint64_t rounds = 0;
  std::uint64_t rebalances = 0;  // rounds that moved something
  std::uint64_t moves = 0;
  std::uint64_t skipped = 0;  // rounds not planned, as the moves before were still under way
};

// When, and what waits.
struct Moment {
  std::int64_t time_ns = 0;                // since the start of the run
  std::uint64_t ticks = 0;                 // of the workers' clock
  std::span<const std::uint64_t> waiting;  // packets in front of each worker
};

class Loop {
 public:
  using Observer = std::function<void(const Round&)>;

  Loop(LoadMeter& meter, Policy& policy, actuator::Actuator& actuator, Observer observer)
      : meter_(meter), policy_(policy), actuator_(actuator), observer_(std::move(observer)) {}

  // One round: measures, and moves what the policy says unless the moves before are still under way.
  Result<void> tick(const Moment& moment);

  // The last round, at the end of a run: measures what is left of an interval and moves nothing.
  void close(const Moment& moment) { observer_(measure(moment)); }

  const LoopCounts& counts() const { return counts_; }

 private:
  Round measure(const Moment& moment);
  Result<void> rebalance(Round& round);

  LoadMeter& meter_;
  Policy& policy_;
  actuator::Actuator& actuator_;
  Observer observer_;
  Plan plan_;
  LoopCounts counts_;
};

}  // namespace evenkeel::control
