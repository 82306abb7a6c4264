// Simulations for tests: run, and their outcomes by policy.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "sim/simulate/simulation.h"

namespace evenkeel::sim {

inline Simulation simulate(const SimulationOptions& options) {
  auto simulation = run_simulation(options, {});
  EXPECT_TRUE(simulation.ok()) << (simulation.ok() ? "" : simulation.error().message);
  return simulation.ok() ? *simulation : Simulation{};
}

inline const Outcome& outcome_of(const Simulation& simulation, const std::string& policy) {
  for (const Case& one : simulation.cases)
    if (one.outcome.policy == policy) return one.outcome;
  ADD_FAILURE() << "no " << policy;
  return simulation.cases.front().outcome;
}

}  // namespace evenkeel::sim
