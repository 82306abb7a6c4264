// Machines in virtual time: the laws, that a seed decides everything, and what policies are worth.
// tests/closed_forms_test.cpp compares them with queueing theory.
#include "sim/simulate/machine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/random.h"
#include "sim/simulate/latency.h"
#include "sim/simulate/report.h"
#include "sim/simulate/simulation.h"
#include "sim/simulate/workload.h"
#include "sim/simulate/yardstick.h"
#include "sim/simulate/zipf.h"
#include "tests/simulations.h"

namespace evenkeel::sim {
namespace {

SimulationOptions campus(std::uint32_t processors) {
  SimulationOptions options;
  options.traffic = {.workload = find_workload("campus"),
                     .inputs = {},
                     .capture = {},
                     .load = 0.7,
                     .packets_per_second = {},
                     .connections = 0,
                     .seed = 1};
  options.processors = {processors};
  options.policies = {"static", "rsspp", "index"};
  options.packets_max = 300'000;
  options.machine.interval_ns = 20 * base::kNanosecondsPerMillisecond;
  options.machine.move_cost_ns = 1'000;
  return options;
}

TEST(Simulation, TheSameSeedGivesTheSameBytesWithAnyNumberOfJobs) {
  SimulationOptions options = campus(4);
  const Simulation once = simulate(options);
  options.jobs = 3;
  const Simulation again = simulate(options);
  EXPECT_EQ(simulation_json(once, {}), simulation_json(again, {}));
  EXPECT_EQ(simulation_page(once, {}), simulation_page(again, {}));
  options.traffic.seed = 4;
  EXPECT_NE(simulation_json(once, {}), simulation_json(simulate(options), {}));
}

// In every workload, with moves under way in every interval, fast and slow processors, and some of them
// overloaded: packets leave in order, and are all accounted for (that is a CHECK of the machine's own).
TEST(Simulation, NoPolicyReordersWhateverComes) {
  std::uint64_t moves = 0, lost = 0, sprayed_out_of_order = 0;
  for (const WorkloadModel& workload : workloads()) {
    SimulationOptions options = campus(5);
    options.traffic.workload = &workload;
    options.traffic.load = 1.1;
    options.capacity = {1, 0.5, 2};
    options.policies = {"index", "proportional", "lpt"};
    options.packets_max = 60'000;
    options.machine.interval_ns = base::kNanosecondsPerMillisecond;
    const Simulation simulation = simulate(options);
    for (const Case& one : simulation.cases) {
      if (one.outcome.yardstick) {
        sprayed_out_of_order += one.outcome.reordered;
        continue;
      }
      EXPECT_EQ(one.outcome.reordered, 0u) << workload.name << ", " << one.outcome.policy;
      EXPECT_EQ(one.outcome.ownership_violations, 0u) << workload.name << ", " << one.outcome.policy;
      moves += one.outcome.moves;
      lost += one.outcome.lost;
    }
  }
  EXPECT_GT(moves, 10'000u);
  EXPECT_GT(lost, 100u);
  EXPECT_GT(sprayed_out_of_order, 10'000u);
}

TEST(Simulation, IndexBeatsStaticHashingOnCampusTraffic) {
  SimulationOptions options = campus(8);
  options.packets_max = 1'000'000;
  const Simulation simulation = simulate(options);
  EXPECT_LT(outcome_of(simulation, "index").interval_max_over_mean,
            0.8 * outcome_of(simulation, "static").interval_max_over_mean);
  EXPECT_LT(outcome_of(simulation, "index").p99_ns, 0.5 * outcome_of(simulation, "static").p99_ns);
}

TEST(Simulation, TheProcessorsNeededForATargetMeetItAndThoseJustBelowDoNot) {
  SimulationOptions options = campus(8);
  options.policies = {"static", "index"};
  options.packets_max = 100'000;
  options.target_p99_ns = 300'000;
  const Simulation found = simulate(options);
  ASSERT_EQ(found.needed.size(), 4u);
  for (const Needed& needed : found.needed) {
    ASSERT_GE(needed.processors, 6u) << needed.policy;
    EXPECT_LE(needed.outcome.p99_with_lost_ns, 300'000) << needed.policy;
    for (std::uint32_t below = 1; below <= kNeighbours && needed.processors - below >= 6; ++below) {
      const auto trial = std::find_if(needed.trials.begin(), needed.trials.end(), [&](const Trial& t) {
        return t.processors == needed.processors - below;
      });
      ASSERT_NE(trial, needed.trials.end()) << needed.policy << ", " << below;
      EXPECT_GT(trial->p99_ns, 300'000) << needed.policy << ", " << below;
    }
  }
  options.jobs = 3;
  EXPECT_EQ(simulation_json(found, {}), simulation_json(simulate(options), {}));
}

TEST(Simulation, ATargetThatNothingCanMeetIsAnError) {
  SimulationOptions options = campus(8);
  options.target_p99_ns = 9'000;  // a packet of full length takes more
  options.packets_max = 20'000;
  EXPECT_FALSE(run_simulation(options, {}).ok());
  options.target_p99_ns = 1'000'000;
  options.traffic.load.reset();
  options.traffic.packets_per_second = 1e9;  // more work than 1,024 processors can do
  EXPECT_FALSE(run_simulation(options, {}).ok());
}

TEST(Simulation, ProgressCountsEveryMachineAndNearlyEveryPacket) {
  const SimulationOptions options = campus(3);
  std::size_t ended = 0;
  ProgressNews last;
  auto simulation = run_simulation(options, [&](const ProgressNews& news) {
    ended += news.ended != nullptr;
    EXPECT_GE(news.packets, last.packets);
    last = news;
  });
  ASSERT_TRUE(simulation.ok());
  EXPECT_EQ(ended, 5u);
  EXPECT_EQ(last.machines, last.machines_expected);
  EXPECT_GT(static_cast<double>(last.packets), 0.8 * static_cast<double>(last.packets_expected));
  EXPECT_EQ(simulation_json(*simulation, {}), simulation_json(simulate(options), {}));
}

TEST(ServiceCost, HasTheMeanThatItSays) {
  for (const char* text : {"fixed:500", "exp:500", "perbyte:100,0.5", "bimodal:100,4000,0.1"}) {
    auto service = ServiceCost::parse(text, 9);
    ASSERT_TRUE(service.ok()) << text;
    double sum = 0;
    for (std::uint64_t i = 0; i < 400'000; ++i) sum += service->of(i, 800);
    EXPECT_NEAR(sum / 400'000 / service->mean_ns(800), 1, 0.01) << text;
  }
}

TEST(ServiceCost, RefusesWhatIsNone) {
  for (const char* text : {"", "fixed", "fixed:", "fixed:0", "fixed:-1", "fixed:1,2", "exp:nan", "exp:1e10",
                           "perbyte:100", "perbyte:100,-1", "bimodal:1,2", "bimodal:1,2,3", "uniform:1"})
    EXPECT_FALSE(ServiceCost::parse(text, 1).ok()) << text;
}

TEST(Zipf, DrawsEachNumberAsOftenAsItShould) {
  base::Random random(2);
  for (const double exponent : {0.0, 0.5, 1.0, 1.4}) {
    const Zipf zipf(50, exponent);
    std::vector<double> drawn(51);
    for (int i = 0; i < 400'000; ++i) ++drawn[zipf.draw(random)];
    double sum = 0;
    for (int k = 1; k <= 50; ++k) sum += std::pow(k, -exponent);
    for (int k = 1; k <= 50; ++k) {
      const double expected = 400'000 * std::pow(k, -exponent) / sum;
      EXPECT_NEAR(drawn[static_cast<std::size_t>(k)], expected, 5 * std::sqrt(expected))
          << exponent << ", " << k;
    }
  }
}

TEST(Workload, ComesAtTheRateThatIsAskedFor) {
  for (const WorkloadModel& workload : workloads()) {
    WorkloadFeed feed(workload, {.units = 2, .connections = 0, .packets_per_second = 1e6, .seed = 4});
    Arrival arrival;
    std::int64_t last_ns = 0;
    for (int i = 0; i < 600'000; ++i) {
      ASSERT_TRUE(feed.next(arrival));
      ASSERT_GE(arrival.time_ns, last_ns) << workload.name;
      last_ns = arrival.time_ns;
    }
    // Bursts have long periods: about 6 of them.
    EXPECT_NEAR(static_cast<double>(arrival.time_ns), 6e8, workload.name == "bursts" ? 1e8 : 1e7)
        << workload.name;
  }
}

TEST(LatencyHistogram, QuantilesAreAtMostASixtyFourthTooHigh) {
  LatencyHistogram histogram;
  for (std::int64_t i = 1; i <= 100'000; ++i) histogram.add(i * 37);
  for (const double fraction : {0.01, 0.5, 0.99, 0.999}) {
    const double exact = fraction * 100'000 * 37;
    EXPECT_GE(histogram.quantile_ns(fraction), exact * 0.9999);
    EXPECT_LE(histogram.quantile_ns(fraction), exact * (1 + 1.0 / 64));
  }
  EXPECT_TRUE(std::isinf(histogram.quantile_ns(0.99, 2'000)));
}

}  // namespace
}  // namespace evenkeel::sim
