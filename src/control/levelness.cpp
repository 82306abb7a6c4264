#include "control/levelness.h"

#include <fmt/core.h>

#include <algorithm>

namespace evenkeel::control {
namespace {

constexpr double kLevelFor_seconds = 1;
// Of the busiest processor over the mean: loads of kernel threads are noisy, and `evenkeel explain` finds
// fault from here on.
constexpr double kLevelMax = 1.25;

double busiest(const Plan& plan) {
  double usage = 0;
  for (const ProcessorDetail& detail : plan.processors) usage = std::max(usage, detail.usage);
  return usage;
}

// Empty: the round was level.
std::string fault_of(const SteerRound& round) {
  const Plan& plan = round.plan;
  const double usage = busiest(plan);
  if (usage < SteerLoopOptions().idle_usage) return "there is no load that could be level";
  if (plan.max_over_mean_before <= kLevelMax * std::max(1.0, plan.lower_bound)) return "";
  std::string fault =
      fmt::format("the busiest processor has {:.2f} times the mean", plan.max_over_mean_before);
  if (round.pending > 0) {
    return fault + fmt::format("; {} moves wait for buckets that have packets in flight", round.pending);
  }
  if (usage < SteerLoopOptions().usage_min) {
    return fault + fmt::format("; it is {:.1f} % busy, and below {:.0f} % nothing is moved", usage * 100,
                               SteerLoopOptions().usage_min * 100);
  }
  return fault;
}

}  // namespace

void Levelness::note(const SteerRound& round) {
  const std::string fault = fault_of(round);
  if (!fault.empty()) level_since_ = round.seconds;
  why_not_ = fault.empty() ? "it was level for less than a second" : fault;
  seconds_ = round.seconds;
}

bool Levelness::is_level() const { return seconds_ - level_since_ >= kLevelFor_seconds; }

}  // namespace evenkeel::control
