// What a simulation found out, for people and for programs. The same simulation gives the same bytes: what
// this computer took for it (plan times) is told only where it is asked for.
//
// Thread: [any]. Pure.
#pragma once

#include <string>

#include "sim/simulate/simulation.h"

namespace evenkeel::sim {

struct ReportOptions {
  bool plan_times = false;
};

std::string simulation_table(const Simulation& simulation, const ReportOptions& report);
std::string simulation_json(const Simulation& simulation, const ReportOptions& report);
// One page that needs nothing else, with plots: latency by processors, imbalance over time, loss.
std::string simulation_page(const Simulation& simulation, const ReportOptions& report);

// "campus", or the inputs' names.
std::string traffic_name(const Traffic& traffic);
// "campus at load 0.7, service exp:10000, rebalanced every 10 ms, seed 1"
std::string simulation_title(const SimulationOptions& options);
// 12300 as "12.3 us"; infinite as "never".
std::string time_text(double nanoseconds);
// 0 as "0", 0.0000179 as "0.0018 %", 0.0374 as "3.7 %".
std::string loss_text(double fraction);
// The trial with the lowest p99, of those with the fewest processors: how near a target came.
const Trial* best_trial(const Needed& needed);

}  // namespace evenkeel::sim
