// The options of `evenkeel plan`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "evenkeel/ids.h"

namespace CLI {
class App;
}

namespace evenkeel::cli {

// As written on the command line.
struct PlanArguments {
  std::string loads, rounds, assignment;
  std::uint32_t processors = 0;
  std::vector<double> capacity;
  std::optional<double> utilization;
  std::vector<std::string> policies;
  std::optional<double> hysteresis, move_cost;
  std::uint32_t moves_max = kBucketsMax;
  std::vector<std::uint32_t> pinned, excluded;
  bool quality = false, json = false;
};

// The command's options; what is written goes to `arguments`.
void add_plan_options(CLI::App& command, PlanArguments& arguments);

}  // namespace evenkeel::cli
