#include "control/topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace evenkeel::control {
namespace {

using testing::ElementsAre;

class Topology : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("evenkeel-topology-" + std::to_string(::getpid()) + "-" +
               testing::UnitTest::GetInstance()->current_test_info()->name());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void say(std::uint32_t cpu, const std::string& name, const std::string& text) {
    const auto path = folder_ / ("cpu" + std::to_string(cpu)) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text << "\n";
  }
  std::vector<double> capacities(std::vector<std::uint32_t> cpus) { return capacities_of(cpus, folder_); }
  std::filesystem::path folder_;
};

TEST_F(Topology, WithoutAnySayEveryProcessorIsEqual) {
  EXPECT_THAT(capacities({0, 1, 5}), ElementsAre(1, 1, 1));
}

TEST_F(Topology, SlowCoresHaveLess) {
  say(0, "cpu_capacity", "1024");
  say(1, "cpu_capacity", "512");
  EXPECT_THAT(capacities({0, 1}), ElementsAre(1, 0.5));
  EXPECT_THAT(capacities({1}), ElementsAre(1)) << "relative to the fastest of those in use";
}

TEST_F(Topology, FrequencyCountsWhereCapacityIsNotTold) {
  say(0, "cpufreq/cpuinfo_max_freq", "4000000");
  say(1, "cpufreq/cpuinfo_max_freq", "3000000");
  EXPECT_THAT(capacities({0, 1}), ElementsAre(1, 0.75));
  say(2, "topology/thread_siblings_list", "2");
  EXPECT_THAT(capacities({0, 1, 2}), ElementsAre(1, 1, 1)) << "one that does not tell";
}

TEST_F(Topology, ProcessorsThatShareACoreHaveAPartOfIt) {
  say(0, "topology/thread_siblings_list", "0-1");
  say(1, "topology/thread_siblings_list", "0-1");
  say(2, "topology/thread_siblings_list", "2,3");
  EXPECT_THAT(capacities({0, 1, 2}), ElementsAre(kSharedCoreGain / 2, kSharedCoreGain / 2, 1));
  EXPECT_THAT(capacities({0, 2}), ElementsAre(1, 1)) << "an idle sibling takes nothing";
}

}  // namespace
}  // namespace evenkeel::control
