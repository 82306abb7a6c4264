// The drift protocol: how well does a policy follow loads that change from round to round?
//
// In each round the loads meet the current assignment. A processor serves at most its capacity: usage
// saturates at 1, and the served work of its buckets scales down with it. The policy sees that round, and its
// plan takes effect in the next. Nothing is carried over: what was not served is lost.
//
// Thread: [control].
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "evenkeel/policy.h"
#include "policy/load_estimator.h"

namespace evenkeel::policy {

struct DriftOptions {
  double utilization = 0.85;          // mean of all processors, over all rounds
  std::uint32_t skipped_rounds = 10;  // settling in, left out of the statistics
  std::span<const bool> pinned = {};  // buckets that may not move: as in Snapshot
};

// Means are over the rounds that count.
struct DriftResult {
  double mean_max_over_mean = 0;
  double p95_max_over_mean = 0;
  double worst_max_over_mean = 0;
  double mean_lower_bound = 0;
  double drop_fraction = 0;  // sum of max(0, L_i - c_i) over the sum of L
  double moves_per_round = 0;
  double load_moved_per_round = 0;  // as a fraction of the round's load
  double plan_nanoseconds_mean = 0;
};

// With an estimator, the policy sees what that makes of the round. `rounds`: one vector of bucket loads for
// each round, all of one length, in any unit. Errors: as Policy::plan, and rounds that differ in length or
// number fewer than skipped_rounds + 1.
Result<DriftResult> run_drift(std::span<const std::vector<double>> rounds, std::span<const double> capacity,
                              std::span<const ProcessorId> start, const DriftOptions& options, Policy& policy,
                              LoadEstimator* estimator = nullptr);

}  // namespace evenkeel::policy
