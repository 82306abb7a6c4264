#include "meter/cpu_time.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace evenkeel::meter {
namespace {

TEST(CpuTimeTest, ReadsEachCpuAndLeavesOutOfflineOnes) {
  const CpuTimes times = parse_cpu_times(
      "cpu  1 1 1 1 1 1 1 1 0 0\ncpu0 100 20 30 400 50 6 7 8 0 0\ncpu2 1 0 0 9 0 0 0 0 0 0\nintr 1 2\n", 100);
  ASSERT_EQ(times.size(), 3u);
  ASSERT_TRUE(times[0].has_value());
  EXPECT_DOUBLE_EQ(times[0]->tasks, 1.5);
  EXPECT_DOUBLE_EQ(times[0]->idle, 4.5);
  EXPECT_DOUBLE_EQ(times[0]->interrupt, 0.13);
  EXPECT_DOUBLE_EQ(times[0]->stolen, 0.08);
  EXPECT_FALSE(times[1].has_value());
  EXPECT_TRUE(times[2].has_value());
}

TEST(CpuTimeTest, LeavesOutWhatItDoesNotUnderstand) {
  EXPECT_TRUE(parse_cpu_times("", 100).empty());
  EXPECT_TRUE(parse_cpu_times("cpu0\ncpux 1 2\ncpu1 a b c d e f g h\n", 100).empty());
}

TEST(CpuTimeTest, ReadsTheRunningMachine) {
  EXPECT_FALSE(read_cpu_times().empty());
  EXPECT_FALSE(read_run_time_ns(0).has_value());
}

TEST(CapacityTest, AnIdleCpuIsWhole) { EXPECT_DOUBLE_EQ(capacity_beside_others({}, {.idle = 1}, 0), 1); }

TEST(CapacityTest, OwnWorkDoesNotLowerCapacity) {
  EXPECT_DOUBLE_EQ(capacity_beside_others({}, {.tasks = 0.9, .idle = 0.1}, 0.9), 1);
}

TEST(CapacityTest, StolenAndInterruptTimeAreGone) {
  EXPECT_NEAR(capacity_beside_others({}, {.interrupt = 0.2, .stolen = 0.3, .idle = 0.5}, 0), 0.5, 1e-9);
}

TEST(CapacityTest, OtherTasksTakeAtMostHalf) {
  EXPECT_NEAR(capacity_beside_others({}, {.tasks = 1}, 0), 0.5, 1e-9);
  EXPECT_NEAR(capacity_beside_others({}, {.tasks = 0.2, .idle = 0.8}, 0), 0.8, 1e-9);
}

TEST(CapacityTest, NoCpuIsWorthNothing) { EXPECT_GT(capacity_beside_others({}, {.stolen = 1}, 0), 0); }

}  // namespace
}  // namespace evenkeel::meter
