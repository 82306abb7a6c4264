#include "control/steer_loop.h"

#include <algorithm>
#include <cmath>

namespace evenkeel::control {

SteerLoop::SteerLoop(actuator::Steering& steering, Policy& policy, const SteerLoopOptions& options,
                     Observer observer)
    : steering_(steering),
      policy_(policy),
      options_(options),
      observer_(std::move(observer)),
      moves_allowed_(options.moves_per_second_max) {}

// The usage follows from the smoothed loads and the present owners, so that a bucket that moved is counted
// where it is, and not for half a second still where it was.
void SteerLoop::smooth() {
  const double weight = 1 - std::exp(-measurement_.seconds / options_.smoothing_seconds);
  if (bucket_load_.empty()) bucket_load_ = measurement_.bucket_load;
  usage_.assign(measurement_.capacity.size(), 0);
  for (std::size_t bucket = 0; bucket < bucket_load_.size(); ++bucket) {
    bucket_load_[bucket] += (measurement_.bucket_load[bucket] - bucket_load_[bucket]) * weight;
    usage_[measurement_.owner[bucket].value()] += bucket_load_[bucket];
  }
  for (std::size_t i = 0; i < usage_.size(); ++i)
    usage_[i] = std::min(1.0, usage_[i] / measurement_.capacity[i]);
}

// Whether a processor is used more, or some have packets waiting.
bool SteerLoop::exceeds(double usage) const {
  const bool waits = std::any_of(measurement_.backlog.begin(), measurement_.backlog.end(),
                                 [this](double backlog) { return backlog > options_.usage_min; });
  return waits || *std::max_element(usage_.begin(), usage_.end()) >= usage;
}

Result<void> SteerLoop::make_plan() {
  if (!exceeds(options_.idle_usage)) {
    plan_ = {};
    plan_.processors.resize(usage_.size());
    return {};
  }
  const Snapshot snapshot{.bucket_load = bucket_load_,
                          .owner = measurement_.owner,
                          .usage = usage_,
                          .backlog = measurement_.backlog,
                          .capacity = measurement_.capacity,
                          .pinned = {}};
  return policy_.plan(snapshot, plan_);
}

Result<std::size_t> SteerLoop::begin_moves() {
  const auto count = std::min(plan_.moves.size(), static_cast<std::size_t>(moves_allowed_));
  if (count == 0) return count;
  moves_allowed_ -= static_cast<double>(count);
  if (auto applied = steering_.apply(std::span(plan_.moves).first(count)); !applied) return applied.error();
  return count;
}

Result<void> SteerLoop::wait_for_pending() {
  pending_seconds_ += measurement_.seconds;
  if (pending_seconds_ < options_.pending_seconds_max) return {};
  pending_seconds_ = 0;
  return steering_.withdraw();
}

Result<void> SteerLoop::tick() {
  if (auto measured = steering_.measure(measurement_); !measured) return measured;
  ++rounds_;
  seconds_ += measurement_.seconds;
  moves_allowed_ = std::min(options_.moves_per_second_max,
                            moves_allowed_ + options_.moves_per_second_max * measurement_.seconds);
  smooth();
  if (auto planned = make_plan(); !planned) return planned;
  std::size_t moves = 0;
  if (steering_.pending() > 0) {
    if (auto waited = wait_for_pending(); !waited) return waited;
  } else if (exceeds(options_.usage_min)) {
    pending_seconds_ = 0;
    auto begun = begin_moves();
    if (!begun) return begun.error();
    moves = *begun;
  }
  observer_({.seconds = seconds_,
             .measurement = measurement_,
             .plan = plan_,
             .moves = moves,
             .pending = steering_.pending()});
  return {};
}

}  // namespace evenkeel::control
