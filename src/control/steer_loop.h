// The rounds of steering: measure, smooth, plan, move. Passive: tick() is one round, settle() what comes
// between two.
//
// Thread: [control]. Cost of a round: a pass over the buckets and a few system calls for each processor; with
// load also a plan, whose cost grows with the number of buckets.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "actuator/steering.h"
#include "evenkeel/policy.h"
#include "evenkeel/result.h"

namespace evenkeel::control {

struct SteerLoopOptions {
  // Loads are averaged over about so long: long against the noise of a few packets, short against "within
  // seconds".
  double smoothing_seconds = 0.5;
  // Below this usage of the busiest processor nobody gains from a move.
  double usage_min = 0.05;
  // Below this usage there is no load: no plan is made of it.
  double idle_usage = 0.001;
  // Moves that may be begun in a second, at most; unused ones are kept for one second.
  double moves_per_second_max = 1'000;
  // A move that is still pending after so many seconds is given up, so that others may be planned.
  double pending_seconds_max = 1.0;
};

struct SteerRound {
  double seconds = 0;  // since the start
  const actuator::Measurement& measurement;
  const Plan& plan;         // without load: nothing to move, and no usage of any processor
  std::size_t moves = 0;    // begun in this round
  std::size_t pending = 0;  // from this round and before
};

class SteerLoop {
 public:
  using Observer = std::function<void(const SteerRound&)>;
  SteerLoop(actuator::Steering& steering, Policy& policy, const SteerLoopOptions& options, Observer observer);

  Result<void> tick();
  // What the plan would be on what was measured so far, without moving anything.
  const Plan& plan() const { return plan_; }
  std::uint64_t rounds() const { return rounds_; }

 private:
  void smooth();
  bool exceeds(double usage) const;
  Result<void> make_plan();
  Result<std::size_t> begin_moves();
  Result<void> wait_for_pending();

  actuator::Steering& steering_;
  Policy& policy_;
  SteerLoopOptions options_;
  Observer observer_;
  actuator::Measurement measurement_;
  std::vector<double> bucket_load_;  // smoothed
  std::vector<double> usage_;        // that these loads make
  Plan plan_;
  double seconds_ = 0;
  double moves_allowed_ = 0;
  double pending_seconds_ = 0;
  std::uint64_t rounds_ = 0;
};

}  // namespace evenkeel::control
