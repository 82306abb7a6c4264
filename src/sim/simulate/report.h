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
// 0.0000123 as "12.3 us"; infinite as "never".
std::string time_text(double nanoseconds);

}  // namespace evenkeel::sim
