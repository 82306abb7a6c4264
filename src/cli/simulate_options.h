// The options of `evenkeel simulate`: from the command line to what is simulated. Nothing is simulated here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "evenkeel/result.h"
#include "sim/simulate/simulation.h"

namespace CLI {
class App;
}

namespace evenkeel::cli {

// As written on the command line.
struct SimulateArguments {
  std::vector<std::string> inputs;
  std::string workload;
  std::vector<std::uint32_t> processors{8};
  std::vector<double> capacity;
  std::vector<std::uint32_t> buckets;
  std::vector<std::string> policies{"static", "rsspp", "index"};
  std::optional<double> load;
  std::optional<std::uint64_t> rate;
  std::uint32_t connections = 0;
  std::string service{sim::kServiceDefault};
  std::string interval = "20ms";
  double move_cost_ns = 1000;
  std::string duration;
  std::uint64_t packets = 20'000'000;
  std::string target_p99;
  std::string queueing = "fair";
  std::string quantum = "50us";
  std::uint64_t seed = 1;
  std::optional<std::uint32_t> jobs;  // as many as this computer has processors
  std::string html_path;
  bool json = false, plan_times = false, no_yardsticks = false;
};

// The command's options; what is written goes to `arguments`.
void add_simulate_options(CLI::App& command, SimulateArguments& arguments);

// Of arguments that CLI11 accepted. A usage error for what cannot be; captures are read, to know what comes:
// a runtime error where they cannot be.
Result<sim::SimulationOptions> read_simulate_options(const SimulateArguments& arguments);

}  // namespace evenkeel::cli
