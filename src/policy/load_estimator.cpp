#include "policy/load_estimator.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace evenkeel::policy {
namespace {

// The mean absolute deviation of a normal distribution, times this, is its standard deviation.
constexpr double kDeviationToError = 1.2533;

// Fewer buckets than this say too little of what they all lost.
constexpr std::size_t kRatiosMin = 5;
// Of the offered work; a lower median is more likely a source that went silent.
constexpr double kServedPartMin = 0.1;

bool fits_together(const Snapshot& snapshot) {
  const std::size_t processors = snapshot.capacity.size();
  if (snapshot.owner.size() != snapshot.bucket_load.size()) return false;
  if (!snapshot.usage.empty() && snapshot.usage.size() != processors) return false;
  for (const ProcessorId owner : snapshot.owner)
    if (owner.value() >= processors) return false;
  return std::all_of(snapshot.bucket_load.begin(), snapshot.bucket_load.end(),
                     [](double load) { return load >= 0 && std::isfinite(load); });
}

}  // namespace

Snapshot LoadEstimator::observe(const Snapshot& measured) {
  if (!fits_together(measured)) return measured;
  if (load_.size() != measured.bucket_load.size() || error_.size() != measured.capacity.size()) {
    start(measured);
  } else {
    offer(measured);
    learn_error(measured);
    update(measured);
  }
  for (std::size_t i = 0; i < error_.size(); ++i)
    error_[i] = measured.capacity[i] > 0 ? standard_error_ * measured.capacity[i] : 0;
  Snapshot estimate = measured;
  estimate.bucket_load = load_;
  estimate.usage = usage_;
  estimate.error = error_;
  return estimate;
}

void LoadEstimator::start(const Snapshot& measured) {
  const std::size_t processors = measured.capacity.size();
  load_.assign(measured.bucket_load.begin(), measured.bucket_load.end());
  trend_.assign(load_.size(), 0);
  offered_.assign(load_.size(), 0);
  part_.assign(processors, 1);
  usage_.assign(measured.usage.begin(), measured.usage.end());
  ratios_.reserve(load_.size());
  for (auto* values : {&expected_, &came_, &error_}) values->assign(processors, 0);
  deviations_.reserve(processors);
  standard_error_ = 0;
  learnt_ = false;
}

// What the buckets would have used of a processor that is never full.
void LoadEstimator::offer(const Snapshot& measured) {
  part_.assign(measured.capacity.size(), 1);
  for (std::uint32_t i = 0; i < measured.usage.size(); ++i)
    if (measured.usage[i] >= options_.saturated_usage &&
        (measured.backlog.empty() || measured.backlog[i] == 0))
      part_[i] = served_part(measured, i);
  offered_.resize(load_.size());
  for (std::size_t j = 0; j < load_.size(); ++j)
    offered_[j] = measured.bucket_load[j] / part_[measured.owner[j].value()];
}

// The part of the offered work that a saturated processor has served: the median of what its buckets got
// against what was expected of them. One bucket that has grown, the cause of it all, does not shift a median.
double LoadEstimator::served_part(const Snapshot& measured, std::uint32_t processor) {
  ratios_.clear();
  for (std::size_t j = 0; j < load_.size(); ++j)
    if (measured.owner[j].value() == processor && load_[j] > 0)
      ratios_.push_back(measured.bucket_load[j] / load_[j]);
  if (ratios_.size() < kRatiosMin) return 1;
  const auto middle = ratios_.begin() + static_cast<std::ptrdiff_t>(ratios_.size() / 2);
  std::nth_element(ratios_.begin(), middle, ratios_.end());
  return std::clamp(*middle, kServedPartMin, 1.0);
}

// The error of a processor's load is how far the sum of its buckets' estimates was from what came, for its
// capacity, when what all of them got more or less of is left out: targets follow the total, so that is no
// imbalance. The mean over the processors also counts the few that a heavy connection has hit; the average
// over the intervals steadies it.
void LoadEstimator::learn_error(const Snapshot& measured) {
  std::fill(expected_.begin(), expected_.end(), 0.0);
  std::fill(came_.begin(), came_.end(), 0.0);
  for (std::size_t j = 0; j < load_.size(); ++j) {
    expected_[measured.owner[j].value()] += load_[j];
    came_[measured.owner[j].value()] += offered_[j];
  }
  const double total_expected = std::accumulate(expected_.begin(), expected_.end(), 0.0);
  const double total_came = std::accumulate(came_.begin(), came_.end(), 0.0);
  if (total_expected <= 0 || total_came <= 0) return;  // says nothing of how work is spread
  const double growth = total_came / total_expected;
  deviations_.clear();
  for (std::size_t i = 0; i < expected_.size(); ++i)
    if (measured.capacity[i] > 0)
      deviations_.push_back(std::abs(came_[i] - expected_[i] * growth) / measured.capacity[i]);
  if (deviations_.empty()) return;
  double sum = 0;
  for (const double deviation : deviations_) sum += deviation;
  const double error = kDeviationToError * sum / static_cast<double>(deviations_.size());
  standard_error_ = learnt_ ? standard_error_ + options_.error_weight * (error - standard_error_) : error;
  learnt_ = true;
}

void LoadEstimator::update(const Snapshot& measured) {
  const double jump = options_.jump_errors * standard_error_;
  for (std::size_t j = 0; j < load_.size(); ++j) {
    const double difference = offered_[j] - load_[j];
    const double weight = std::abs(difference) > jump ? 1 : options_.newest_weight;
    const double level = load_[j] + weight * difference;
    if (options_.trend_weight > 0) {
      trend_[j] += options_.trend_weight * weight * difference;
      load_[j] = std::max(0.0, level + trend_[j]);
    } else {
      load_[j] = level;
    }
  }
  // What a processor does beyond its buckets is passed on as it was measured; its buckets as estimated.
  usage_.assign(measured.usage.begin(), measured.usage.end());
  if (usage_.empty()) return;
  std::fill(expected_.begin(), expected_.end(), 0.0);
  for (std::size_t j = 0; j < load_.size(); ++j) expected_[measured.owner[j].value()] += load_[j];
  for (std::size_t i = 0; i < usage_.size(); ++i) {
    if (measured.capacity[i] <= 0) continue;
    const double beyond = std::max(0.0, measured.usage[i] * measured.capacity[i] - came_[i] * part_[i]);
    usage_[i] = (expected_[i] + beyond) / measured.capacity[i];
  }
}

}  // namespace evenkeel::policy
