#include "observe/balance_history.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/check.h"

namespace evenkeel::observe {

namespace {

double sum(std::span<const double> values) { return std::accumulate(values.begin(), values.end(), 0.0); }

double weighted_sum(std::span<const double> values, std::span<const double> weights) {
  if (weights.empty()) return sum(values);
  return std::inner_product(values.begin(), values.end(), weights.begin(), 0.0);
}

// Worker-seconds of work: what a sample weighs in means.
double work(const BalanceSample& sample) { return sum(sample.busy_fraction) * sample.seconds(); }

double weighted_mean(double left, double left_weight, double right, double right_weight) {
  const double weight = left_weight + right_weight;
  return weight > 0 ? (left * left_weight + right * right_weight) / weight : std::max(left, right);
}

void merge_fractions(std::vector<double>& into, double into_seconds, const std::vector<double>& from,
                     double from_seconds) {
  CHECK(into.size() == from.size());
  for (std::size_t i = 0; i < into.size(); ++i) {
    into[i] = weighted_mean(into[i], into_seconds, from[i], from_seconds);
  }
}

void merge(BalanceSample& into, const BalanceSample& from) {
  const double into_work = work(into);
  const double from_work = work(from);
  into.max_over_mean = weighted_mean(into.max_over_mean, into_work, from.max_over_mean, from_work);
  into.static_max_over_mean =
      weighted_mean(into.static_max_over_mean, into_work, from.static_max_over_mean, from_work);
  merge_fractions(into.busy_fraction, into.seconds(), from.busy_fraction, from.seconds());
  merge_fractions(into.static_busy_fraction, into.seconds(), from.static_busy_fraction, from.seconds());
  into.moves += from.moves;
  into.end_seconds = from.end_seconds;
}

double mean_by_work(const std::vector<BalanceSample>& samples, double BalanceSample::*ratio) {
  double weighted = 0;
  double weight = 0;
  for (const BalanceSample& sample : samples) {
    weighted += sample.*ratio * work(sample);
    weight += work(sample);
  }
  return weight > 0 ? weighted / weight : 1;
}

}  // namespace

double max_over_mean(std::span<const double> loads, std::span<const double> capacity) {
  const double total = weighted_sum(loads, capacity);
  if (!(total > 0)) return 1;
  const double weight = capacity.empty() ? static_cast<double>(loads.size()) : sum(capacity);
  return *std::max_element(loads.begin(), loads.end()) * weight / total;
}

std::vector<double> loads_by_owner(std::span<const double> bucket_loads, std::span<const ProcessorId> owners,
                                   std::size_t workers) {
  CHECK(bucket_loads.size() == owners.size());
  std::vector<double> loads(workers, 0.0);
  for (std::size_t bucket = 0; bucket < owners.size(); ++bucket) {
    CHECK(owners[bucket].value() < workers);
    loads[owners[bucket].value()] += bucket_loads[bucket];
  }
  return loads;
}

BalanceSample measure(const BalanceInterval& interval) {
  BalanceSample sample;
  sample.start_seconds = interval.start_seconds;
  sample.end_seconds = interval.end_seconds;
  sample.moves = interval.moves;
  sample.busy_fraction.assign(interval.busy_fraction.begin(), interval.busy_fraction.end());
  sample.static_busy_fraction = sample.busy_fraction;
  const std::size_t workers = sample.busy_fraction.size();
  const auto as_it_was = loads_by_owner(interval.bucket_loads, interval.owners, workers);
  const auto as_static = loads_by_owner(interval.bucket_loads, interval.initial_owners, workers);
  for (std::size_t i = 0; i < workers; ++i) {
    const double capacity = interval.capacity.empty() ? 1 : interval.capacity[i];
    double& fraction = sample.static_busy_fraction[i];
    fraction = std::max(0.0, fraction + (as_static[i] - as_it_was[i]) / capacity);
  }
  sample.max_over_mean = max_over_mean(sample.busy_fraction, interval.capacity);
  sample.static_max_over_mean = max_over_mean(sample.static_busy_fraction, interval.capacity);
  return sample;
}

BalanceHistory::BalanceHistory(std::size_t samples_max) : samples_max_(samples_max) {
  CHECK(samples_max >= 2 && samples_max % 2 == 0);
}

void BalanceHistory::add(BalanceSample sample) {
  sample.moves += std::exchange(moves_pending_, 0);
  if (!(sample.seconds() > 0)) {
    moves_pending_ = sample.moves;
    return;
  }
  if (!samples_.empty() && intervals_in_last_ < intervals_per_sample_) {
    merge(samples_.back(), sample);
    ++intervals_in_last_;
    return;
  }
  if (samples_.size() == samples_max_) merge_neighbours();
  samples_.push_back(std::move(sample));
  intervals_in_last_ = 1;
}

// An even number of full samples becomes half as many, each full at twice the intervals.
void BalanceHistory::merge_neighbours() {
  for (std::size_t pair = 0; pair < samples_.size() / 2; ++pair) {
    merge(samples_[2 * pair], samples_[2 * pair + 1]);
    if (pair > 0) samples_[pair] = std::move(samples_[2 * pair]);
  }
  samples_.resize(samples_.size() / 2);
  intervals_per_sample_ *= 2;
}

double BalanceHistory::max_over_mean() const { return mean_by_work(samples_, &BalanceSample::max_over_mean); }

double BalanceHistory::static_max_over_mean() const {
  return mean_by_work(samples_, &BalanceSample::static_max_over_mean);
}

}  // namespace evenkeel::observe
