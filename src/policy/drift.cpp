#include "policy/drift.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <numeric>

namespace evenkeel::policy {
namespace {

struct Round {
  std::vector<double> offered;  // by processor
  std::vector<double> usage;
  std::vector<double> served;  // by bucket
};

double sum_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

Result<void> check_rounds(std::span<const std::vector<double>> rounds, const DriftOptions& options) {
  if (rounds.size() <= options.skipped_rounds)
    return usage_error(fmt::format("{} rounds: more than {} are needed, as those are left out to settle in",
                                   rounds.size(), options.skipped_rounds));
  for (std::size_t r = 0; r < rounds.size(); ++r)
    if (rounds[r].size() != rounds[0].size())
      return usage_error(
          fmt::format("round {} has {} loads, round 0 has {}", r, rounds[r].size(), rounds[0].size()));
  return {};
}

// The loads of one round meet the assignment.
void serve(const std::vector<double>& loads, double scale, std::span<const ProcessorId> owner,
           std::span<const double> capacity, Round& round) {
  round.offered.assign(capacity.size(), 0);
  round.usage.assign(capacity.size(), 0);
  round.served.resize(loads.size());
  for (std::size_t j = 0; j < loads.size(); ++j) round.offered[owner[j].value()] += loads[j] * scale;
  for (std::size_t i = 0; i < capacity.size(); ++i)
    round.usage[i] = capacity[i] > 0 ? std::min(1.0, round.offered[i] / capacity[i]) : 0;
  for (std::size_t j = 0; j < loads.size(); ++j) {
    const std::size_t i = owner[j].value();
    const double part = round.offered[i] > capacity[i] ? capacity[i] / round.offered[i] : 1;
    round.served[j] = loads[j] * scale * part;
  }
}

class Statistics {
 public:
  void add_round(const Round& round, const std::vector<double>& loads, double scale,
                 std::span<const double> capacity) {
    const double total = sum_of(round.offered);
    const double mean = total / std::accumulate(capacity.begin(), capacity.end(), 0.0);
    double worst = 0, fastest = 0;
    for (std::size_t i = 0; i < capacity.size(); ++i) {
      if (capacity[i] > 0) worst = std::max(worst, round.offered[i] / capacity[i]);
      fastest = std::max(fastest, capacity[i]);
      dropped_ += std::max(0.0, round.offered[i] - capacity[i]);
    }
    offered_ += total;
    if (total <= 0) return;
    levels_.push_back(worst / mean);
    const double largest = *std::max_element(loads.begin(), loads.end()) * scale;
    bound_ += std::max(1.0, largest / fastest / mean);
  }

  void add_plan(const Plan& plan, double total, double nanoseconds) {
    ++plans_;
    moves_ += static_cast<double>(plan.moves.size());
    nanoseconds_ += nanoseconds;
    for (const Move& move : plan.moves) moved_ += total > 0 ? move.load / total : 0;
  }

  DriftResult result() {
    std::sort(levels_.begin(), levels_.end());
    const double rounds = std::max<double>(1, static_cast<double>(levels_.size()));
    const double plans = std::max(1.0, plans_);
    DriftResult out;
    out.mean_max_over_mean = sum_of(levels_) / rounds;
    if (!levels_.empty()) {
      out.p95_max_over_mean = levels_[static_cast<std::size_t>(0.95 * (rounds - 1))];
      out.worst_max_over_mean = levels_.back();
    }
    out.mean_lower_bound = bound_ / rounds;
    out.drop_fraction = offered_ > 0 ? dropped_ / offered_ : 0;
    out.moves_per_round = moves_ / plans;
    out.load_moved_per_round = moved_ / plans;
    out.plan_nanoseconds_mean = nanoseconds_ / plans;
    return out;
  }

 private:
  std::vector<double> levels_;
  double bound_ = 0, dropped_ = 0, offered_ = 0;
  double plans_ = 0, moves_ = 0, moved_ = 0, nanoseconds_ = 0;
};

}  // namespace

Result<DriftResult> run_drift(std::span<const std::vector<double>> rounds, std::span<const double> capacity,
                              std::span<const ProcessorId> start, const DriftOptions& options, Policy& policy,
                              LoadEstimator* estimator) {
  if (auto result = check_rounds(rounds, options); !result) return result.error();
  double mean_load = 0;
  for (const auto& loads : rounds) mean_load += sum_of(loads) / static_cast<double>(rounds.size());
  if (!(mean_load > 0)) return usage_error("there is no load in any round");
  const double total_capacity = std::accumulate(capacity.begin(), capacity.end(), 0.0);
  const double scale = options.utilization * total_capacity / mean_load;
  if (!(mean_load < std::numeric_limits<double>::infinity()) ||
      !(scale < std::numeric_limits<double>::infinity()))
    return usage_error("the loads are too large or too small for numbers: scale them");

  std::vector<ProcessorId> owner(start.begin(), start.end());
  Round round;
  Plan plan;
  Statistics statistics;
  for (std::size_t r = 0; r < rounds.size(); ++r) {
    serve(rounds[r], scale, owner, capacity, round);
    const auto begin = std::chrono::steady_clock::now();
    Snapshot snapshot{.bucket_load = round.served,
                      .owner = owner,
                      .usage = round.usage,
                      .backlog = {},
                      .capacity = capacity,
                      .pinned = options.pinned};
    if (estimator != nullptr) snapshot = estimator->observe(snapshot);
    const auto planned = policy.plan(snapshot, plan);
    const auto end = std::chrono::steady_clock::now();
    if (!planned) return planned.error();
    if (r >= options.skipped_rounds) {
      statistics.add_round(round, rounds[r], scale, capacity);
      const auto spent = std::chrono::duration_cast<std::chrono::nanoseconds>(end - begin).count();
      statistics.add_plan(plan, sum_of(round.served), static_cast<double>(spent));
    }
    for (const Move& move : plan.moves) owner[move.bucket.value()] = move.to;
  }
  return statistics.result();
}

}  // namespace evenkeel::policy
