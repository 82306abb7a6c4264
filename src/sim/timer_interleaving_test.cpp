#include "sim/timer_interleaving.h"

#include <gtest/gtest.h>

namespace evenkeel::sim {
namespace {

TEST(TimerInterleaving, NoTimerFiresEarlyTwiceOffItsOwnerOrNeverWhateverMoves) {
  std::uint64_t fired = 0, moves = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    const TimerInterleavingResult result = run_timer_interleaving(seed);
    ASSERT_EQ(result.violation, "") << "seed " << seed << " at step " << result.steps << ", "
                                    << result.setting;
    fired += result.fired;
    moves += result.moves;
  }
  EXPECT_GT(fired, 10'000u);
  EXPECT_GT(moves, 10'000u);
}

TEST(TimerInterleaving, ASeedReplaysExactly) {
  const TimerInterleavingResult a = run_timer_interleaving(7), b = run_timer_interleaving(7);
  EXPECT_EQ(a.steps, b.steps);
  EXPECT_EQ(a.fired, b.fired);
  EXPECT_EQ(a.moves, b.moves);
}

}  // namespace
}  // namespace evenkeel::sim
