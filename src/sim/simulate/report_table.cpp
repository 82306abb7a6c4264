#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "observe/text.h"
#include "sim/simulate/report.h"

namespace evenkeel::sim {

namespace {

using observe::count_text;
using observe::duration_text;
using observe::percent_text;
using observe::rate_text;

std::string machine_line(const Setting& setting, std::uint32_t buckets) {
  const MachineOptions& machine = setting.machine;
  return fmt::format("{} {}, {} buckets: {} for {}", count_text(machine.processors()),
                     machine.processors() == 1 ? "processor" : "processors", count_text(buckets),
                     rate_text(setting.packets_per_second, "pps"),
                     duration_text(static_cast<double>(machine.duration_ns) / 1e9));
}

std::string header(const ReportOptions& report) {
  return fmt::format("{:12} {:>9} {:>9} {:>9} {:>8}  {:>8} {:>7} {:>8} {:>7} {:>9}{}\n", "", "p50", "p99",
                     "p99.9", "loss", "max/mean", "excess", "moves/s", "load/s", "reordered",
                     report.plan_times ? "      plan" : "");
}

std::string row(const Outcome& outcome, const ReportOptions& report) {
  const auto latency = [&](double ns) { return outcome.measured == 0 ? "-" : time_text(ns); };
  std::string text = fmt::format("{:12} {:>9} {:>9} {:>9} {:>8}  ", outcome.policy, latency(outcome.p50_ns),
                                 latency(outcome.p99_ns), latency(outcome.p999_ns), loss_text(outcome.loss));
  text += !outcome.has_intervals ? fmt::format("{:>8} {:>7} {:>8} {:>7}", "-", "-", "-", "-")
                                 : fmt::format("{:8.3f} {:>7} {:8.1f} {:7.3f}",
                                               outcome.interval_max_over_mean, percent_text(outcome.excess),
                                               outcome.moves_per_second, outcome.load_moved_per_second);
  text += fmt::format(" {:>9}", count_text(outcome.reordered));
  if (report.plan_times)
    text += fmt::format(" {:>9}", outcome.yardstick ? "-" : time_text(outcome.plan_ns_median));
  return text + "\n";
}

bool same_machine(const Case& a, const Case& b) {
  return a.setting.machine.processors() == b.setting.machine.processors() &&
         (b.setting.yardstick || a.setting.machine.buckets == b.setting.machine.buckets);
}

std::string needed_table(const Simulation& simulation) {
  std::string text =
      fmt::format("processors needed for a p99 of {} at {}\n\n{:12} {:>10} {:>9} {:>8} {:>8}\n",
                  time_text(static_cast<double>(*simulation.options.target_p99_ns)),
                  rate_text(simulation.searched_rate, "pps"), "", "processors", "p99", "loss", "load");
  for (const Needed& needed : simulation.needed) {
    if (needed.processors == 0) {
      const Trial* best = best_trial(needed);
      text += fmt::format("{:12} more than {}: {} at best, with {}\n", needed.policy,
                          count_text(kProcessorsMax), time_text(best->p99_ns), count_text(best->processors));
      continue;
    }
    text += fmt::format("{:12} {:>10} {:>9} {:>8} {:>8}\n", needed.policy, count_text(needed.processors),
                        time_text(needed.outcome.p99_ns), loss_text(needed.outcome.loss),
                        percent_text(needed.outcome.load));
  }
  return text;
}

}  // namespace

std::string time_text(double nanoseconds) {
  if (!std::isfinite(nanoseconds)) return "never";
  if (nanoseconds < 1e3) return fmt::format("{:.0f} ns", nanoseconds);
  if (nanoseconds < 1e6) return fmt::format("{:.3g} us", nanoseconds / 1e3);
  if (nanoseconds < 1e9) return fmt::format("{:.3g} ms", nanoseconds / 1e6);
  return fmt::format("{:.3g} s", nanoseconds / 1e9);
}

std::string loss_text(double fraction) {
  if (fraction == 0) return "0";
  if (fraction >= 0.1) return percent_text(fraction);
  return fmt::format("{:.2g} %", 100 * fraction);
}

const Trial* best_trial(const Needed& needed) {
  const auto best = std::min_element(needed.trials.begin(), needed.trials.end(),
                                     [](const Trial& a, const Trial& b) { return a.p99_ns < b.p99_ns; });
  return best == needed.trials.end() ? nullptr : &*best;
}

std::string traffic_name(const Traffic& traffic) {
  if (traffic.workload != nullptr) return std::string(traffic.workload->name);
  std::string names;
  for (const std::string& input : traffic.inputs) names += (names.empty() ? "" : ", ") + input;
  return names;
}

std::string simulation_title(const SimulationOptions& options) {
  const Traffic& traffic = options.traffic;
  std::string text = traffic_name(traffic);
  if (traffic.load) {
    text += fmt::format(" at load {:g}", *traffic.load);
  } else if (traffic.packets_per_second) {
    text += fmt::format(" at {}", rate_text(*traffic.packets_per_second, "pps"));
  } else {
    text += " as recorded";
  }
  return text + fmt::format(", service {}, rebalanced every {}, seed {}", options.service,
                            duration_text(static_cast<double>(options.machine.interval_ns) / 1e9),
                            traffic.seed);
}

std::string simulation_table(const Simulation& simulation, const ReportOptions& report) {
  std::string text = simulation_title(simulation.options) + "\n\n";
  if (simulation.options.target_p99_ns) return text + needed_table(simulation);
  const Case* before = nullptr;
  for (const Case& one : simulation.cases) {
    if (before == nullptr || !same_machine(*before, one)) {
      if (before != nullptr) text += "\n";
      text += machine_line(one.setting, one.outcome.buckets) + "\n" + header(report);
    }
    text += row(one.outcome, report);
    before = &one;
  }
  text +=
      "\nmax/mean: load of the busiest processor over the mean, of each interval; excess: over what no "
      "assignment of\n"
      "these buckets could beat. spray: packets to processors in turn; shared: one queue for all. The first "
      "fifth of\n"
      "each run is left out.\n";
  return text;
}

}  // namespace evenkeel::sim
