// Machines in virtual time against what is known exactly: the closed forms of queueing theory, within 1 %,
// and the recursion of a single server, to the last digit.
#include <gtest/gtest.h>

#include <string>

#include "sim/simulate/simulation.h"
#include "tests/simulations.h"

namespace evenkeel::sim {
namespace {

constexpr double kService_ns = 10'000;

// One Poisson process of single packets, so many that a mean wait is known to 0.4 % (standard error).
SimulationOptions poisson(const std::string& service, double load, std::uint64_t packets) {
  SimulationOptions options;
  options.traffic = {.workload = find_workload("uniform"),
                     .inputs = {},
                     .capture = {},
                     .load = load,
                     .packets_per_second = {},
                     .connections = 0,
                     .seed = 5};
  options.processors = {1};
  options.policies = {"index"};
  options.yardsticks = false;
  options.service = service;
  options.packets_max = packets;
  options.duration_ns = 1'000 * base::kNanosecondsPerSecond;
  options.machine.interval_ns = base::kNanosecondsPerSecond;
  return options;
}

void expect_within_a_percent(double measured, double exact) { EXPECT_NEAR(measured / exact, 1, 0.01); }

TEST(ClosedForms, MeanWaitOfOneProcessorIsThatOfMM1) {
  for (const double load : {0.3, 0.6}) {
    SimulationOptions options = poisson("exp:10000", load, 2'000'000);
    for (const auto discipline : {engine::Discipline::kFifo, engine::Discipline::kFair}) {
      options.machine.queueing.discipline = discipline;
      expect_within_a_percent(outcome_of(simulate(options), "index").mean_wait_ns,
                              load / (1 - load) * kService_ns);
    }
  }
}

TEST(ClosedForms, MeanWaitOfOneProcessorIsThatOfMD1) {
  for (const double load : {0.3, 0.7}) {
    const Simulation simulation = simulate(poisson("fixed:10000", load, 2'000'000));
    expect_within_a_percent(outcome_of(simulation, "index").mean_wait_ns,
                            load / (2 * (1 - load)) * kService_ns);
  }
}

// Erlang's C formula.
double mean_wait_of_mmk_ns(std::uint32_t servers, double load) {
  const double offered = servers * load;
  double blocking = 1;
  for (std::uint32_t i = 1; i <= servers; ++i) blocking = offered * blocking / (i + offered * blocking);
  return blocking / (1 - load * (1 - blocking)) * kService_ns / (servers * (1 - load));
}

TEST(ClosedForms, MeanWaitOfTheSharedQueueIsThatOfMMk) {
  const auto service = ServiceCost::parse("exp:10000", 8);
  ASSERT_TRUE(service.ok());
  for (const std::uint32_t processors : {2u, 8u}) {
    WorkloadFeed feed(*find_workload("uniform"), {.units = 1,
                                                  .connections = 0,
                                                  .packets_per_second = 0.7 * processors * 1e9 / kService_ns,
                                                  .seed = 11});
    MachineOptions machine;
    machine.capacity.assign(processors, 1);
    machine.duration_ns = static_cast<std::int64_t>(6e6 * kService_ns / (0.7 * processors));
    const auto outcome = run_yardstick(Yardstick::kShared, machine, *service, feed);
    ASSERT_TRUE(outcome.ok());
    EXPECT_GT(outcome->measured, 5'900'000u);
    expect_within_a_percent(outcome->mean_wait_ns, mean_wait_of_mmk_ns(processors, 0.7));
  }
}

// Lindley's recursion, packet by packet: bursts, rings and steps of the worker add nothing and lose nothing.
TEST(ClosedForms, OneProcessorFirstInFirstOutIsExactlyASingleServer) {
  SimulationOptions options = poisson("bimodal:2000,90000,0.05", 0.8, 300'000);
  options.traffic.workload = find_workload("campus");
  options.machine.queueing.discipline = engine::Discipline::kFifo;
  options.yardsticks = true;
  const Simulation simulation = simulate(options);
  EXPECT_DOUBLE_EQ(outcome_of(simulation, "index").mean_wait_ns,
                   outcome_of(simulation, "spray").mean_wait_ns);
  EXPECT_DOUBLE_EQ(outcome_of(simulation, "index").p999_ns, outcome_of(simulation, "shared").p999_ns);
}

}  // namespace
}  // namespace evenkeel::sim
