#include "control/steer_watchdog.h"

#include <gtest/gtest.h>

namespace evenkeel::control {
namespace {

TEST(SteerWatchdogTest, IsQuietWhileEverythingArrives) {
  SteerWatchdog watchdog(10'000);
  Vitals vitals;
  for (int i = 0; i < 100; ++i) {
    vitals.received += 1'000;
    vitals.steered += 1'000;
    vitals.arrived += 990;
    EXPECT_FALSE(watchdog.check(vitals, 0.1).has_value());
  }
}

TEST(SteerWatchdogTest, BarksWhenPacketsStopComing) {
  SteerWatchdog watchdog(10'000);
  EXPECT_FALSE(watchdog.check({}, 1));
  EXPECT_FALSE(watchdog.check({}, 1));
  EXPECT_FALSE(watchdog.check({}, 1));
  EXPECT_TRUE(watchdog.check({}, 1));
}

TEST(SteerWatchdogTest, ASilentInterfaceThatWasSilentBeforeIsNoReason) {
  SteerWatchdog watchdog(5);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(watchdog.check({}, 1));
}

TEST(SteerWatchdogTest, ASenderThatPausesLaterIsNoReason) {
  SteerWatchdog watchdog(10'000);
  EXPECT_FALSE(watchdog.check({}, 1));
  const Vitals some{.received = 10, .steered = 10, .arrived = 10};
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(watchdog.check(some, 1));
}

TEST(SteerWatchdogTest, BarksWhenPacketsAreSentToCpusAndNeverArrive) {
  SteerWatchdog watchdog(0);
  EXPECT_FALSE(watchdog.check({}, 0.5));
  EXPECT_FALSE(watchdog.check({.received = 10, .steered = 10}, 0.5));
  EXPECT_TRUE(watchdog.check({.received = 20, .steered = 20}, 0.5));
}

TEST(SteerWatchdogTest, BarksWhenChecksumsBreakAndNamesTheRemedy) {
  SteerWatchdog watchdog(0);
  EXPECT_FALSE(watchdog.check({}, 1));
  const auto reason =
      watchdog.check({.received = 500, .steered = 500, .arrived = 500, .checksum_errors = 400}, 1);
  ASSERT_TRUE(reason.has_value());
  EXPECT_NE(reason->find("ethtool -K"), std::string::npos);
}

TEST(SteerWatchdogTest, AFewBadChecksumsAreNoReason) {
  SteerWatchdog watchdog(0);
  EXPECT_FALSE(watchdog.check({}, 1));
  EXPECT_FALSE(watchdog.check({.received = 500, .steered = 500, .arrived = 500, .checksum_errors = 9}, 1));
}

}  // namespace
}  // namespace evenkeel::control
