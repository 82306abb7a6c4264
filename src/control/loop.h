// The control loop: measure, identify the load, plan, apply, once an interval.
//
// Policies plan on what the load estimator makes of the measurements (policy/load_estimator.h): it learns
// from every round, also from those that cannot be planned. Observers are shown what was measured.
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
#include "policy/load_estimator.h"

namespace evenkeel::control {

// What one round saw and did, for who records it. Spans live as long as the call.
struct Round {
  std::int64_t time_ns = 0;     // since the start of the run
  Snapshot snapshot;            // as measured; owners as of before the moves
  std::span<const Move> moves;  // that were begun
};

struct LoopCounts {
  std::uint64_t rounds = 0;
  std::uint64_t rebalances = 0;  // rounds that moved something
  std::uint64_t moves = 0;
  std::uint64_t skipped = 0;  // rounds not planned, as the moves before were still under way
};

class Loop {
 public:
  using Observer = std::function<void(const Round&)>;

  Loop(LoadMeter& meter, Policy& policy, actuator::Actuator& actuator, Observer observer,
       const policy::LoadEstimatorOptions& estimator = {})
      : meter_(meter),
        policy_(policy),
        actuator_(actuator),
        observer_(std::move(observer)),
        estimator_(estimator) {}

  // One round: measures, and moves what the policy says unless the moves before are still under way. Where
  // the policy fails, a runtime error with its name.
  Result<void> tick(const Moment& moment);

  // The last round, at the end of a run: measures what is left of an interval and moves nothing.
  void close(const Moment& moment) { observer_(measure(moment)); }

  const LoopCounts& counts() const { return counts_; }
  // Of a worker's load, in processors of capacity 1.
  double standard_error() const { return estimator_.standard_error(); }

 private:
  Round measure(const Moment& moment);
  Result<void> rebalance(const Snapshot& estimate, Round& round);

  LoadMeter& meter_;
  Policy& policy_;
  actuator::Actuator& actuator_;
  Observer observer_;
  policy::LoadEstimator estimator_;
  Plan plan_;
  LoopCounts counts_;
};

}  // namespace evenkeel::control
