// A simulation: one traffic, or one for each number of processors, on every machine that was asked for.
//
// Thread: run_simulation() and find_processors() are called by one thread and use `jobs` threads; results do
// not depend on how many.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "evenkeel/result.h"
#include "sim/simulate/capture_feed.h"
#include "sim/simulate/outcome.h"
#include "sim/simulate/progress.h"
#include "sim/simulate/service_cost.h"
#include "sim/simulate/workload.h"
#include "sim/simulate/yardstick.h"

namespace evenkeel::sim {

// What comes. Where neither a rate nor a load is given, a capture comes as it was recorded.
struct Traffic {
  const WorkloadModel* workload = nullptr;  // nullptr: the inputs
  std::vector<std::string> inputs;
  std::optional<CaptureSummary> capture;     // of the inputs
  std::optional<double> load;                // mean work that comes, over what the processors can do
  std::optional<double> packets_per_second;  // instead of load: the same for every number of processors
  std::uint32_t connections = 0;             // of a workload, in all; 0: by the number of processors
  std::uint64_t seed = 1;
};

struct SimulationOptions {
  Traffic traffic;
  std::vector<std::uint32_t> processors{8};
  std::vector<double> capacity;        // repeated for further processors; empty: all 1
  std::vector<std::uint32_t> buckets;  // empty: by the number of processors, see buckets_for()
  std::vector<std::string> policies;
  bool yardsticks = true;
  std::string service{kServiceDefault};
  MachineOptions machine;  // but for what stands above
  std::optional<std::int64_t> duration_ns;
  std::uint64_t packets_max = 20'000'000;  // of each machine: a run ends before its duration then
  std::optional<std::int64_t> target_p99_ns;
  std::uint32_t jobs = 1;
};

// One machine, with what comes to it.
struct Setting {
  MachineOptions machine;
  std::optional<Yardstick> yardstick;
  double packets_per_second = 0;  // mean
  double stretch = 1;             // of a capture's times
  std::uint32_t units = 1;        // of a workload
  std::uint32_t connections = 0;  // of a workload
};

struct Case {
  Setting setting;
  Outcome outcome;
};

// A number of processors that was simulated in search of the smallest.
struct Trial {
  std::uint32_t processors = 0;
  double p99_ns = 0;  // lost packets taken as never served: it may be infinite
};

// The smallest number of processors with which a policy keeps the 99th percentile below the target. With
// kNeighbours fewer processors, and any number between, it was missed: more noise than that is not looked
// for.
struct Needed {
  std::string policy;
  bool yardstick = false;
  std::uint32_t processors = 0;  // 0: not even with as many as there may be
  Outcome outcome;               // with so many
  std::vector<Trial> trials;     // by processors
};

inline constexpr std::uint32_t kNeighbours = 4;

struct Simulation {
  SimulationOptions options;
  std::vector<Case> cases;     // by processors, buckets and policy, yardsticks last
  std::vector<Needed> needed;  // with a target
  double searched_rate = 0;    // likewise: packets a second of the traffic, for any number of processors
};

// 64 buckets for each processor, at least 1,024, a power of two.
std::uint32_t buckets_for(std::uint32_t processors);

// Fails also for a target that no number of processors can meet.
Result<Simulation> run_simulation(const SimulationOptions& options, const Progress& progress);

}  // namespace evenkeel::sim
