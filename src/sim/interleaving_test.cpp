#include "sim/interleaving.h"

#include <gtest/gtest.h>

namespace evenkeel::sim {
namespace {

TEST(Interleaving, EveryLawHoldsUnderManySeeds) {
  std::uint64_t moves = 0, queued = 0, shed = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    const InterleavingResult result = run_interleaving(seed);
    ASSERT_EQ(result.violation, "") << "seed " << seed << ": " << result.setting
                                    << "\nreplay: ./dev sim --first-seed " << seed << " --seeds 1";
    moves += result.moves;
    queued += result.queued;
    shed += result.shed;
  }
  EXPECT_GT(moves, 10'000u);
  EXPECT_GT(queued, 50'000u);
  EXPECT_GT(shed, 1'000u);
}

TEST(Interleaving, TheSameSeedGivesTheSameRun) {
  const InterleavingResult a = run_interleaving(7), b = run_interleaving(7);
  EXPECT_EQ(a.steps, b.steps);
  EXPECT_EQ(a.packets, b.packets);
  EXPECT_EQ(a.moves, b.moves);
}

}  // namespace
}  // namespace evenkeel::sim
