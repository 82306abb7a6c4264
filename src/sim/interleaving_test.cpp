#include "sim/interleaving.h"

#include <gtest/gtest.h>

#include "sim/isolation.h"

namespace evenkeel::sim {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kStepsOfShard = 50'000;
#else
constexpr std::uint64_t kStepsOfShard = 1'300'000;  // 10.4 million in all
#endif
constexpr std::uint64_t kStepsThatMeetAll = 1'000'000;  // in fewer, what is rare may be missing
constexpr std::uint64_t kShards = 8;
constexpr std::uint64_t kSeedsOfShard = 100'000;  // more than are needed: shards do not overlap

class TrustRun : public testing::TestWithParam<std::uint64_t> {};

TEST_P(TrustRun, EveryLawHoldsAfterEveryStep) {
  InterleavingResult sum;
  for (std::uint64_t seed = 1 + GetParam() * kSeedsOfShard; sum.steps < kStepsOfShard; ++seed) {
    const InterleavingResult result = run_interleaving(seed);
    ASSERT_EQ(result.violation, "") << "seed " << seed << ": " << result.setting
                                    << "\nreplay: ./dev sim --first-seed " << seed << " --seeds 1";
    sum.steps += result.steps;
    sum.moves += result.moves;
    sum.queued += result.queued;
    sum.shed += result.shed;
    sum.rounds += result.rounds;
    sum.removed += result.removed;
  }
  if (kStepsOfShard < kStepsThatMeetAll) return;
  EXPECT_GT(sum.moves, kStepsOfShard / 100);
  EXPECT_GT(sum.queued, kStepsOfShard / 100);
  EXPECT_GT(sum.shed, kStepsOfShard / 10'000);
  EXPECT_GT(sum.rounds, kStepsOfShard / 10'000);
  EXPECT_GT(sum.removed, kStepsOfShard / 50'000);
}

INSTANTIATE_TEST_SUITE_P(Shard, TrustRun, testing::Range<std::uint64_t>(0, kShards));

TEST(Interleaving, TheSameSeedGivesTheSameRun) {
  const InterleavingResult a = run_interleaving(7), b = run_interleaving(7);
  EXPECT_EQ(a.steps, b.steps);
  EXPECT_EQ(a.packets, b.packets);
  EXPECT_EQ(a.moves, b.moves);
}

TEST(Isolation, LightConnectionsAreServedWithinTheirShareWhateverHeavyOnesSend) {
  std::uint64_t light = 0, shed = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const IsolationResult result = run_isolation(seed);
    ASSERT_EQ(result.violation, "") << "seed " << seed << ": " << result.setting;
    light += result.light_packets;
    shed += result.shed;
  }
  EXPECT_GT(light, 1'000u);
  EXPECT_GT(shed, 10'000u);
}

}  // namespace
}  // namespace evenkeel::sim
