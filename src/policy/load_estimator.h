// Identifies, statistically, what each processor's and each bucket's load will be over the next interval, and
// how sure that is (claims 5 and 11 of US 7,020,713: a percentage of capacity usage, identified
// statistically).
//
// What is measured over one interval is a sample: packets arrive in bursts, connections come and go. Two
// things keep that noise from moving buckets:
//  - smoothing: an exponential average of each bucket's load, with an optional linear trend (Holt 1957), and
//  - the standard error of the estimate, learnt from how far the last estimates were from what then came, but
//    for what all processors got more or less of: a rate that swings is no imbalance. A policy acts on what
//    exceeds its target by more than its dead band *and* by more than that error.
//  - saturation: a processor that was busy all the time served only a part of what was offered, and all its
//    buckets lost the same part. It shows in how far the buckets, in the median, fell below what was expected
//    of them; what was offered is what was served, divided by that. Without this an overload looks as if it
//    were just full, and is levelled in many small steps.
// docs/policies.md derives the numbers.
//
// Invariant: with constant loads the estimate is the load and the error falls to 0.
// Thread: [control]. Cost: two passes over the buckets. Allocates only when the numbers grow.
#pragma once

#include <vector>

#include "evenkeel/policy.h"

namespace evenkeel::policy {

struct LoadEstimatorOptions {
  double newest_weight = 1;   // of the interval just measured, against the average so far; 1 is no smoothing
  double trend_weight = 0;    // of the newest slope; 0 is no trend
  double error_weight = 0.1;  // of the newest error, against the average so far
  // A load that has changed by more than this many standard errors is a new load and no noise: it is taken as
  // measured.
  double jump_errors = 4;
  // A processor that was busy for at least this fraction of the interval counts as saturated; above 1: none.
  double saturated_usage = 0.995;
};

class LoadEstimator {
 public:
  explicit LoadEstimator(const LoadEstimatorOptions& options = {}) : options_(options) {}

  // Takes what was measured and returns what a policy shall plan on: loads as they are expected, with `error`
  // filled. The result refers to memory of the estimator and of `measured`, until the next call. The first
  // call, and the first after the number of buckets or processors has changed, returns what was measured. A
  // snapshot that does not fit together is returned as it is, for the policy to refuse.
  Snapshot observe(const Snapshot& measured);

  // Of a processor's load, in processors of capacity 1: the standard error of the estimate.
  double standard_error() const { return standard_error_; }

 private:
  void offer(const Snapshot& measured);
  double served_part(const Snapshot& measured, std::uint32_t processor);
  void learn_error(const Snapshot& measured);
  void update(const Snapshot& measured);
  void start(const Snapshot& measured);

  LoadEstimatorOptions options_;
  std::vector<double> load_;     // expected, by bucket
  std::vector<double> offered_;  // measured, with what saturation has cut off
  std::vector<double> trend_;    // per interval
  std::vector<double> usage_;    // by processor
  std::vector<double> expected_, came_, deviations_, part_, ratios_, error_;
  double standard_error_ = 0;
  bool learnt_ = false;
};

}  // namespace evenkeel::policy
