#include <cmath>
#include <nlohmann/json.hpp>

#include "sim/simulate/report.h"

namespace evenkeel::sim {

namespace {

using Json = nlohmann::ordered_json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json to_json(const IntervalSample& sample) {
  return {{"end_seconds", sample.end_seconds},
          {"max_over_mean", sample.max_over_mean},
          {"lower_bound", sample.lower_bound},
          {"loss", sample.loss},
          {"moves", sample.moves},
          {"load_moved", sample.load_moved}};
}

void add_balance(const Outcome& outcome, const ReportOptions& report, Json& json) {
  const auto of_intervals = [&](double value) { return outcome.has_intervals ? Json(value) : Json(); };
  json["max_over_mean"] = {{"whole_run", outcome.max_over_mean},
                           {"intervals_mean", of_intervals(outcome.interval_max_over_mean)},
                           {"lower_bound_mean", of_intervals(outcome.interval_lower_bound)},
                           {"excess_mean", of_intervals(outcome.excess)},
                           {"excess_p95", of_intervals(outcome.excess_p95)}};
  json["max_minus_min_over_min"] = of_intervals(outcome.spread);
  json["moves"] = {{"total", outcome.moves},
                   {"rebalances", outcome.rebalances},
                   {"rounds", outcome.rounds},
                   {"rounds_skipped", outcome.skipped},
                   {"per_second", outcome.moves_per_second},
                   {"load_per_second", outcome.load_moved_per_second}};
  if (report.plan_times) json["plan_nanoseconds_median"] = outcome.plan_ns_median;
}

Json to_json(const Outcome& outcome, const ReportOptions& report) {
  Json json{{"policy", outcome.policy},
            {"kind", outcome.yardstick ? "yardstick" : "policy"},
            {"processors", outcome.processors}};
  if (!outcome.yardstick) json["buckets"] = outcome.buckets;
  json["packets"] = {{"received", outcome.packets},
                     {"processed", outcome.processed},
                     {"malformed", outcome.malformed},
                     {"unclassified", outcome.unclassified},
                     {"dropped",
                      {{"ring_full", outcome.ring_full},
                       {"overload", outcome.overload},
                       {"connection_limit", outcome.connection_limit}}}};
  const auto latency = [&](double ns) { return outcome.measured == 0 ? Json() : Json(ns); };
  json["latency_ns"] = {{"packets", outcome.measured},
                        {"mean", latency(outcome.mean_ns)},
                        {"mean_wait", latency(outcome.mean_wait_ns)},
                        {"p50", latency(outcome.p50_ns)},
                        {"p99", latency(outcome.p99_ns)},
                        {"p999", latency(outcome.p999_ns)},
                        {"max", latency(outcome.max_ns)},
                        {"p99_lost_count_as_never", number(outcome.p99_with_lost_ns)}};
  json["loss"] = outcome.loss;
  json["load"] = outcome.load;
  json["reordered"] = outcome.reordered;
  if (outcome.yardstick) return json;
  json["connections"] = {{"opened", outcome.connections}, {"evicted", outcome.evicted}};
  json["ownership_violations"] = outcome.ownership_violations;
  add_balance(outcome, report, json);
  return json;
}

Json to_json(const Case& one, const ReportOptions& report) {
  const MachineOptions& machine = one.setting.machine;
  Json json = to_json(one.outcome, report);
  json["packets_per_second"] = one.setting.packets_per_second;
  json["duration_ns"] = machine.duration_ns;
  json["warmup_ns"] = machine.warmup_ns;
  if (one.outcome.yardstick) return json;
  json["processors_detail"] = Json::array();
  for (std::size_t i = 0; i < one.outcome.per_processor.size(); ++i) {
    const ProcessorOutcome& processor = one.outcome.per_processor[i];
    json["processors_detail"].push_back({{"capacity", machine.capacity[i]},
                                         {"packets", processor.packets},
                                         {"busy_seconds", processor.busy_seconds}});
  }
  Json intervals = Json::array();
  for (const IntervalSample& sample : one.outcome.intervals) intervals.push_back(to_json(sample));
  json["intervals"] = std::move(intervals);
  return json;
}

Json to_json(const Needed& needed, const ReportOptions& report) {
  Json json{{"policy", needed.policy}, {"processors", nullptr}, {"tried", Json::array()}};
  for (const Trial& trial : needed.trials)
    json["tried"].push_back(
        {{"processors", trial.processors}, {"p99_lost_count_as_never", number(trial.p99_ns)}});
  if (needed.processors == 0) return json;
  json["processors"] = needed.processors;
  json["with_them"] = to_json(needed.outcome, report);
  return json;
}

}  // namespace

std::string simulation_json(const Simulation& simulation, const ReportOptions& report) {
  const SimulationOptions& options = simulation.options;
  const Traffic& traffic = options.traffic;
  Json json{{"traffic", traffic_name(traffic)}, {"service", options.service}, {"seed", traffic.seed}};
  if (traffic.load) json["load_offered"] = *traffic.load;
  json["interval_ns"] = options.machine.interval_ns;
  json["move_cost_ns"] = options.machine.move_cost_ns;
  json["queueing"] = engine::kDisciplineNames[static_cast<std::size_t>(options.machine.queueing.discipline)];
  json["quantum_ns"] = options.machine.queueing.quantum_ns;
  if (!options.capacity.empty()) json["capacity"] = options.capacity;
  if (options.target_p99_ns) {
    json["target_p99_ns"] = *options.target_p99_ns;
    json["packets_per_second"] = simulation.searched_rate;
    json["needed"] = Json::array();
    for (const Needed& needed : simulation.needed) json["needed"].push_back(to_json(needed, report));
  } else {
    json["cases"] = Json::array();
    for (const Case& one : simulation.cases) json["cases"].push_back(to_json(one, report));
  }
  return json.dump(2) + "\n";
}

}  // namespace evenkeel::sim
