// What happened to the balance over a run, in bounded memory: a sample for each stretch of time, at most
// `samples_max` of them. When they are full, neighbours are merged in pairs and from then on each sample
// covers twice as many intervals: a run of a second and one of a month both give a picture of the same size,
// with nothing left out.
//
// "Static" is always what static hashing would have done with the same work: every bucket at the worker where
// it started.
//
// Invariant: the samples are in order of time and every added interval is in exactly one of them. Merging
// keeps worker-seconds, moves and the weighted means below exact.
//
// Thread: [control]. Cost: add() is amortised O(workers).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "evenkeel/ids.h"

namespace evenkeel::observe {

// One interval, or several that were merged.
struct BalanceSample {
  double start_seconds = 0;  // since the start of the run
  double end_seconds = 0;
  std::vector<double> busy_fraction;         // of each worker, 0 to 1
  std::vector<double> static_busy_fraction;  // above 1: more than that worker could have done in time
  double max_over_mean = 1;                  // of the workers' busy time; 1 is level. See max_over_mean()
  double static_max_over_mean = 1;
  std::uint64_t moves = 0;

  double seconds() const { return end_seconds - start_seconds; }
};

// What is measured in one interval. Spans live as long as the call.
struct BalanceInterval {
  double start_seconds = 0;
  double end_seconds = 0;
  std::span<const double> busy_fraction;        // of each worker, measured
  std::span<const double> bucket_loads;         // measured cost of each bucket: seconds of work a second
  std::span<const ProcessorId> owners;          // of each bucket, in the interval
  std::span<const ProcessorId> initial_owners;  // of each bucket: where static hashing keeps it
  std::uint64_t moves = 0;
  // Of each worker, relative; empty: all equal. Bucket loads are in seconds of a worker of capacity 1.
  std::span<const double> capacity = {};
};

// The greatest of `loads` over their mean, in which each weighs its worker's capacity (empty: all the same);
// 1 where all are 0 or there are none.
double max_over_mean(std::span<const double> loads, std::span<const double> capacity = {});

// The workers' loads if each bucket is at its owner. Owners are below `workers`.
std::vector<double> loads_by_owner(std::span<const double> bucket_loads, std::span<const ProcessorId> owners,
                                   std::size_t workers);

// The sample of an interval. The static busy fractions are the measured ones with the load of each moved
// bucket put back to where it started. Both pictures so hold the same total work, also that which belongs to
// no bucket (polling, rings), and are the same where nothing moved.
BalanceSample measure(const BalanceInterval& interval);

class BalanceHistory {
 public:
  static constexpr std::size_t kSamplesMax = 256;

  // `samples_max` is at least 2 and even.
  explicit BalanceHistory(std::size_t samples_max = kSamplesMax);

  // Appends the next interval; it has as many workers as those before. Intervals of no length are left out,
  // but their moves are counted.
  void add(BalanceSample sample);

  const std::vector<BalanceSample>& samples() const { return samples_; }

  // Mean over all intervals of their max/mean, each weighted by the work done in it: the sum of the greatest
  // loads over the sum of the mean loads. An interval in which next to nothing happened counts for next to
  // nothing. 1 where there are none.
  double max_over_mean() const;
  double static_max_over_mean() const;

 private:
  void merge_neighbours();

  std::size_t samples_max_;
  std::size_t intervals_per_sample_ = 1;
  std::size_t intervals_in_last_ = 0;
  std::uint64_t moves_pending_ = 0;  // of intervals that were left out
  std::vector<BalanceSample> samples_;
};

}  // namespace evenkeel::observe
