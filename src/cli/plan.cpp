#include "cli/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "cli/load_file.h"
#include "evenkeel/policy.h"
#include "policy/drift.h"

namespace evenkeel::cli {
namespace {

using Json = nlohmann::ordered_json;

// Loads in a CSV file are in any unit; they are scaled to this mean usage unless --utilization says
// otherwise.
constexpr double kUtilizationOfCsv = 0.6;
constexpr int kTimedPlans = 9;

// What is planned on.
struct Problem {
  std::vector<double> load, usage, capacity;
  std::vector<ProcessorId> owner;
  std::unique_ptr<bool[]> pinned;

  Snapshot snapshot() const {
    Snapshot out{.bucket_load = load,
                 .owner = owner,
                 .usage = usage,
                 .backlog = {},
                 .capacity = capacity,
                 .pinned = {}};
    out.pinned = pins();
    return out;
  }
  std::span<const bool> pins() const {
    return pinned ? std::span<const bool>(pinned.get(), load.size()) : std::span<const bool>();
  }
  double total_load() const { return std::accumulate(load.begin(), load.end(), 0.0); }
  double total_capacity() const { return std::accumulate(capacity.begin(), capacity.end(), 0.0); }
};

struct Planned {
  std::string policy;
  Plan plan;
  double nanoseconds = 0;
};

PolicyOptions options_of(const PlanArguments& arguments) {
  PolicyOptions options = arguments.quality ? PolicyOptions::quality() : PolicyOptions::running();
  if (arguments.hysteresis) options.hysteresis = options.trigger = *arguments.hysteresis;
  if (arguments.move_cost) options.move_cost = *arguments.move_cost;
  options.moves_max = arguments.moves_max;
  return options;
}

std::vector<std::string> policies_of(const PlanArguments& arguments) {
  return arguments.policies.empty() ? std::vector<std::string>{"index"} : arguments.policies;
}

// --capacity, else --processors of 1, else what the file says: how fast its processors are, or how many.
Result<void> set_capacity(const PlanArguments& arguments, std::size_t processors_of_file,
                          const std::vector<double>& capacity_of_file, Problem& problem) {
  problem.capacity = arguments.capacity;
  if (problem.capacity.size() > kProcessorsMax)
    return usage_error(fmt::format("--capacity names {} processors: there are at most {}",
                                   problem.capacity.size(), kProcessorsMax));
  if (problem.capacity.empty() && arguments.processors == 0 && capacity_of_file.size() == processors_of_file)
    problem.capacity = capacity_of_file;
  const std::size_t processors = arguments.processors > 0 ? arguments.processors : processors_of_file;
  if (problem.capacity.empty()) {
    if (processors == 0) return usage_error("how many processors? Give --processors N or --capacity LIST");
    problem.capacity.assign(processors, 1);
  }
  if (arguments.processors > 0 && problem.capacity.size() != arguments.processors)
    return usage_error(fmt::format("--capacity names {} processors, --processors {}", problem.capacity.size(),
                                   arguments.processors));
  return {};
}

Result<void> exclude(const PlanArguments& arguments, Problem& problem) {
  for (const std::uint32_t processor : arguments.excluded) {
    if (processor >= problem.capacity.size())
      return usage_error(fmt::format("--exclude-processor: {} is none of the processors 0 to {}", processor,
                                     problem.capacity.size() - 1));
    problem.capacity[processor] = 0;
  }
  if (problem.total_capacity() <= 0)
    return usage_error("--exclude-processor names every processor: leave at least one");
  return {};
}

Result<void> set_owners(const PlanArguments& arguments, Problem& problem) {
  if (!arguments.assignment.empty()) {
    auto owner = read_assignment_file(arguments.assignment, problem.capacity.size());
    if (!owner) return owner.error();
    if (owner->size() != problem.load.size())
      return usage_error(fmt::format("{}: it assigns {} buckets, and there are {}", arguments.assignment,
                                     owner->size(), problem.load.size()));
    problem.owner = *std::move(owner);
  }
  // Bucket j starts on processor j % N.
  for (std::size_t j = problem.owner.size(); j < problem.load.size(); ++j)
    problem.owner.push_back(ProcessorId(static_cast<std::uint32_t>(j % problem.capacity.size())));
  for (const ProcessorId owner : problem.owner)
    if (owner.value() >= problem.capacity.size())
      return usage_error(fmt::format("a bucket is on processor {}, and there are {} processors",
                                     owner.value(), problem.capacity.size()));
  return {};
}

Result<void> set_pins(const PlanArguments& arguments, Problem& problem) {
  if (arguments.pinned.empty()) return {};
  problem.pinned = std::make_unique<bool[]>(problem.load.size());
  for (const std::uint32_t bucket : arguments.pinned) {
    if (bucket >= problem.load.size())
      return usage_error(
          fmt::format("--pin-bucket: {} is none of the buckets 0 to {}", bucket, problem.load.size() - 1));
    const std::uint32_t owner = problem.owner[bucket].value();
    if (problem.capacity[owner] <= 0)
      return usage_error(
          fmt::format("--pin-bucket: bucket {} is on processor {}, which --exclude-processor is to empty: "
                      "give up one of the two",
                      bucket, owner));
    problem.pinned[bucket] = true;
  }
  return {};
}

// Divides by the largest, so that neither a sum nor a ratio of loads leaves the range of a number.
void scale_to(double utilization, Problem& problem) {
  const double largest = *std::max_element(problem.load.begin(), problem.load.end());
  for (double& load : problem.load) load /= largest;
  const double scale = utilization * problem.total_capacity() / problem.total_load();
  for (double& load : problem.load) load *= scale;
}

Result<Problem> read_problem(const PlanArguments& arguments) {
  auto file = read_load_file(arguments.loads);
  if (!file) return file.error();
  Problem problem;
  problem.load = std::move(file->load);
  problem.owner = std::move(file->owner);
  std::size_t processors = file->usage.size();
  for (const ProcessorId owner : problem.owner)
    processors = std::max<std::size_t>(processors, owner.value() + 1);
  if (auto result = set_capacity(arguments, processors, file->capacity, problem); !result)
    return result.error();
  if (auto result = set_owners(arguments, problem); !result) return result.error();
  // What a worker did beyond its buckets stays with it, where the run had the same processors.
  const bool same_processors = file->capacity.empty() ? file->usage.size() == problem.capacity.size()
                                                      : file->capacity == problem.capacity;
  if (auto result = exclude(arguments, problem); !result) return result.error();
  if (auto result = set_pins(arguments, problem); !result) return result.error();
  if (!file->measured || arguments.utilization)
    scale_to(arguments.utilization.value_or(kUtilizationOfCsv), problem);
  else if (same_processors)
    problem.usage = std::move(file->usage);
  return problem;
}

// The plan, and the median time of some more like it: a program that runs has its memory and its caches warm.
Result<Planned> plan_with(const std::string& name, const PlanArguments& arguments, const Problem& problem) {
  auto policy = make_policy(name, options_of(arguments));
  if (!policy) return policy.error();
  Planned planned;
  planned.policy = name;
  std::vector<double> times;
  for (int k = 0; k < kTimedPlans; ++k) {
    (*policy)->forget();
    const auto begin = std::chrono::steady_clock::now();
    auto result = (*policy)->plan(problem.snapshot(), planned.plan);
    const auto end = std::chrono::steady_clock::now();
    if (!result) return result.error();
    times.push_back(
        static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(end - begin).count()));
  }
  std::nth_element(times.begin(), times.begin() + kTimedPlans / 2, times.end());
  planned.nanoseconds = times[kTimedPlans / 2];
  return planned;
}

double load_moved(const Plan& plan) {
  return std::accumulate(plan.moves.begin(), plan.moves.end(), 0.0,
                         [](double sum, const Move& move) { return sum + move.load; });
}

Json to_json(const Planned& planned, const Problem& problem) {
  const Plan& plan = planned.plan;
  Json moves = Json::array(), processors = Json::array();
  for (const Move& move : plan.moves)
    moves.push_back({{"bucket", move.bucket.value()},
                     {"from", move.from.value()},
                     {"to", move.to.value()},
                     {"load", move.load},
                     {"reason", std::string(to_string(move.reason))}});
  for (std::size_t i = 0; i < plan.processors.size(); ++i) {
    const ProcessorDetail& detail = plan.processors[i];
    processors.push_back({{"capacity", problem.capacity[i]},
                          {"usage", detail.usage},
                          {"load", detail.load},
                          {"target", detail.target},
                          {"index", detail.index},
                          {"quota", detail.quota},
                          {"after", detail.after}});
  }
  return {{"policy", planned.policy},
          {"buckets", problem.load.size()},
          {"processors", problem.capacity.size()},
          {"utilization", problem.total_load() / problem.total_capacity()},
          {"lower_bound_max_over_mean", plan.lower_bound},
          {"before", {{"max_over_mean", plan.max_over_mean_before}}},
          {"after", {{"max_over_mean", plan.max_over_mean_after}}},
          {"moves", std::move(moves)},
          {"processors_detail", std::move(processors)},
          {"total_index", plan.total_index},
          {"load_moved_fraction", load_moved(plan) / problem.total_load()},
          {"plan_nanoseconds", planned.nanoseconds}};
}

std::string to_text(const Planned& planned, const Problem& problem) {
  const Plan& plan = planned.plan;
  std::string out = fmt::format("policy {}: {} buckets on {} processors, mean usage {:.3f}\n", planned.policy,
                                problem.load.size(), problem.capacity.size(),
                                problem.total_load() / problem.total_capacity());
  out +=
      fmt::format("max/mean {:.4f} before, {:.4f} after, {:.4f} at best; {} moves of {:.2f} % of the load\n",
                  plan.max_over_mean_before, plan.max_over_mean_after, plan.lower_bound, plan.moves.size(),
                  100 * load_moved(plan) / problem.total_load());
  out += fmt::format("total index {:.4f}; planned in {:.1f} us\n\n", plan.total_index,
                     planned.nanoseconds / 1000);
  out += "processor  capacity   usage  target   index   quota   after\n";
  for (std::size_t i = 0; i < plan.processors.size(); ++i) {
    const ProcessorDetail& detail = plan.processors[i];
    out += fmt::format("{:9}  {:8.2f}  {:6.4f}  {:6.4f}  {:6.4f}  {:6.4f}  {:6.4f}\n", i, problem.capacity[i],
                       detail.usage, detail.target, detail.index, detail.quota, detail.after);
  }
  if (!plan.moves.empty()) out += "\n   bucket  from    to    load  reason\n";
  for (const Move& move : plan.moves)
    out += fmt::format("{:9}  {:4}  {:4}  {:6.4f}  {}\n", move.bucket.value(), move.from.value(),
                       move.to.value(), move.load, to_string(move.reason));
  return out;
}

// One policy: its object; several: a list.
std::string dump(Json list) { return (list.size() == 1 ? list.front() : list).dump(2) + "\n"; }

Result<std::string> plan_loads(const PlanArguments& arguments) {
  auto problem = read_problem(arguments);
  if (!problem) return problem.error();
  Json list = Json::array();
  std::string text;
  for (const std::string& name : policies_of(arguments)) {
    auto planned = plan_with(name, arguments, *problem);
    if (!planned) return planned.error();
    if (arguments.json)
      list.push_back(to_json(*planned, *problem));
    else
      text += (text.empty() ? "" : "\n") + to_text(*planned, *problem);
  }
  return arguments.json ? dump(std::move(list)) : text;
}

Json to_json(const std::string& name, std::size_t processors, double utilization,
             const policy::DriftResult& drift) {
  return {{"policy", name},
          {"processors", processors},
          {"utilization", utilization},
          {"mean_max_over_mean", drift.mean_max_over_mean},
          {"p95_max_over_mean", drift.p95_max_over_mean},
          {"mean_lower_bound", drift.mean_lower_bound},
          {"drop_fraction", drift.drop_fraction},
          {"moves_per_round", drift.moves_per_round},
          {"load_moved_per_round", drift.load_moved_per_round},
          {"plan_nanoseconds_mean", drift.plan_nanoseconds_mean}};
}

// As scale_to() does, for the same reason.
void divide_by_largest(std::vector<std::vector<double>>& rounds) {
  double largest = 0;
  for (const auto& loads : rounds) largest = std::max(largest, *std::max_element(loads.begin(), loads.end()));
  if (largest <= 0) return;
  for (auto& loads : rounds)
    for (double& load : loads) load /= largest;
}

Result<std::string> plan_rounds(const PlanArguments& arguments) {
  auto rounds = read_rounds_file(arguments.rounds);
  if (!rounds) return rounds.error();
  divide_by_largest(*rounds);
  Problem problem;
  problem.load = rounds->front();
  if (auto result = set_capacity(arguments, 0, {}, problem); !result) return result.error();
  if (auto result = set_owners(arguments, problem); !result) return result.error();
  if (auto result = exclude(arguments, problem); !result) return result.error();
  if (auto result = set_pins(arguments, problem); !result) return result.error();
  policy::DriftOptions drift_options;
  if (arguments.utilization) drift_options.utilization = *arguments.utilization;
  drift_options.pinned = problem.pins();
  Json list = Json::array();
  std::string text = "policy          max/mean     p95   bound   drops  moves/round  load/round  plan us\n";
  for (const std::string& name : policies_of(arguments)) {
    auto policy = make_policy(name, options_of(arguments));
    if (!policy) return policy.error();
    // The others are yardsticks: they plan on what was measured, as published.
    policy::LoadEstimator estimator;
    auto drift = policy::run_drift(*rounds, problem.capacity, problem.owner, drift_options, **policy,
                                   name == "index" ? &estimator : nullptr);
    if (!drift) return drift.error();
    list.push_back(to_json(name, problem.capacity.size(), drift_options.utilization, *drift));
    text += fmt::format("{:14}  {:8.4f}  {:6.4f}  {:6.4f}  {:6.4f}  {:11.2f}  {:10.4f}  {:7.1f}\n", name,
                        drift->mean_max_over_mean, drift->p95_max_over_mean, drift->mean_lower_bound,
                        drift->drop_fraction, drift->moves_per_round, drift->load_moved_per_round,
                        drift->plan_nanoseconds_mean / 1000);
  }
  return arguments.json ? dump(std::move(list)) : text;
}

}  // namespace

Result<std::string> plan(const PlanArguments& arguments) {
  if (arguments.loads.empty() == arguments.rounds.empty())
    return usage_error("what to plan on? Give one of --loads FILE and --rounds FILE");
  const std::string& main_input = arguments.loads.empty() ? arguments.rounds : arguments.loads;
  if (main_input == "-" && arguments.assignment == "-")
    return usage_error("--assignment: standard input can be read only once: name a file");
  return arguments.rounds.empty() ? plan_loads(arguments) : plan_rounds(arguments);
}

}  // namespace evenkeel::cli
