#include "engine/codel.h"

#include <gtest/gtest.h>

namespace evenkeel::engine {
namespace {

constexpr std::uint64_t kMillisecond = 1'000'000;
constexpr CodelTimes kTimes{5 * kMillisecond, 100 * kMillisecond};

// One packet each millisecond, each having waited as long; returns the drops.
int drops(Codel& codel, std::uint64_t& now, int packets, std::uint64_t waited, bool small = false) {
  int count = 0;
  for (int i = 0; i < packets; ++i) {
    now += kMillisecond;
    count += codel.drops(kTimes, now, waited, small);
  }
  return count;
}

TEST(Codel, ABurstShorterThanTheIntervalIsLeftAlone) {
  Codel codel;
  std::uint64_t now = 1;
  EXPECT_EQ(drops(codel, now, 99, 50 * kMillisecond), 0);
  EXPECT_EQ(drops(codel, now, 1, kMillisecond), 0);
  EXPECT_EQ(drops(codel, now, 99, 50 * kMillisecond), 0);
}

TEST(Codel, AStandingQueueIsDroppedFromMoreAndMoreOften) {
  Codel codel;
  std::uint64_t now = 1;
  const int first = drops(codel, now, 600, 50 * kMillisecond);
  const int second = drops(codel, now, 600, 50 * kMillisecond);
  // The k-th drop comes 100 ms / sqrt(k) after the one before (RFC 8289, 5.3): 10 in the first 500 ms.
  EXPECT_NEAR(first, 10, 2);
  EXPECT_GT(second, 2 * first);
}

TEST(Codel, ItEndsWhenTheWaitIsShortAgainOrLittleWaits) {
  Codel codel;
  std::uint64_t now = 1;
  EXPECT_GT(drops(codel, now, 300, 50 * kMillisecond), 0);
  EXPECT_EQ(drops(codel, now, 300, 4 * kMillisecond), 0);
  EXPECT_EQ(drops(codel, now, 300, 50 * kMillisecond, true), 0);
}

}  // namespace
}  // namespace evenkeel::engine
