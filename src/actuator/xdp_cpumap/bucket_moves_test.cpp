#include "actuator/xdp_cpumap/bucket_moves.h"

#include <gtest/gtest.h>

#include <vector>

namespace evenkeel::actuator {
namespace {

constexpr std::int64_t kMillisecond = 1'000'000;

// A kernel side without a kernel: the same operations on the same words.
class BucketMovesTest : public testing::Test {
 protected:
  BucketMoves make(MoveOrder order) {
    BucketMoves moves(states_, arrivals_, delivery_, {.order = order, .deadline_ns = 100 * kMillisecond});
    for (std::uint32_t bucket = 0; bucket < 4; ++bucket) moves.place(bucket, 0);
    return moves;
  }
  void send(std::uint32_t bucket, std::uint32_t packets = 1) {
    states_[bucket].word += std::uint64_t{packets} << kStateSentShift;
  }
  void arrive(std::uint32_t bucket, std::uint32_t packets = 1) { arrivals_[bucket].packets += packets; }

  struct Delivered final : Delivery {
    bool delivered(std::uint64_t) override { return done; }
    bool done = true;
  } delivery_;
  std::vector<evenkeel_bucket_state> states_{4};
  std::vector<evenkeel_bucket_arrival> arrivals_{4};
};

TEST_F(BucketMovesTest, ASilentBucketMovesOnlyAfterTheSilence) {
  BucketMoves moves = make(MoveOrder::kStrict);
  moves.want(1, 3, 0);
  moves.settle(kMillisecond);
  moves.settle(5 * kMillisecond);
  EXPECT_EQ(moves.target(1), 0u);
  moves.settle(6 * kMillisecond);
  EXPECT_EQ(moves.target(1), 3u);
  EXPECT_EQ(moves.pending(), 0u);
  EXPECT_EQ(moves.counts().done, 1u);
  EXPECT_EQ(moves.counts().forced, 0u);
}

TEST_F(BucketMovesTest, WhatIsForcedAtTheEndIsCounted) {
  BucketMoves moves = make(MoveOrder::kStrict);
  send(1, 5);
  arrive(1, 3);
  moves.want(0, kTargetInline, 0);
  moves.want(1, kTargetInline, 0);
  moves.force_all();
  EXPECT_EQ(moves.pending(), 0u);
  EXPECT_EQ(moves.target(0), std::uint32_t{kTargetInline});
  EXPECT_EQ(moves.target(1), std::uint32_t{kTargetInline});
  EXPECT_EQ(moves.counts().done, 2u);
  EXPECT_EQ(moves.counts().forced, 1u) << "only one had packets in flight";
  EXPECT_EQ(moves.counts().reorder_risk, 2u);
}

TEST_F(BucketMovesTest, StrictNeverMovesWhileAPacketIsInFlight) {
  BucketMoves moves = make(MoveOrder::kStrict);
  send(1, 3);
  arrive(1, 2);
  moves.want(1, 3, 0);
  for (std::int64_t now = 0; now < 1000; ++now) moves.settle(now * kMillisecond);
  EXPECT_EQ(moves.target(1), 0u);
  EXPECT_EQ(moves.in_flight(1), 1u);
  arrive(1);
  moves.settle(2000 * kMillisecond);
  EXPECT_EQ(moves.target(1), 0u) << "it has only just arrived";
  moves.settle(2005 * kMillisecond);
  EXPECT_EQ(moves.target(1), 3u);
}

TEST_F(BucketMovesTest, ASilentBucketWaitsForTheDeliveryOfWhatHasArrived) {
  BucketMoves moves = make(MoveOrder::kStrict);
  delivery_.done = false;
  moves.want(1, 3, 0);
  for (std::int64_t now = 0; now < 100; ++now) moves.settle(now * kMillisecond);
  EXPECT_EQ(moves.target(1), 0u);
  delivery_.done = true;
  moves.settle(100 * kMillisecond);
  EXPECT_EQ(moves.target(1), 3u);
}

TEST_F(BucketMovesTest, APacketInBetweenStartsTheSilenceAnew) {
  BucketMoves moves = make(MoveOrder::kStrict);
  moves.want(1, 3, 0);
  moves.settle(1 * kMillisecond);
  send(1);
  arrive(1);
  moves.settle(6 * kMillisecond);
  EXPECT_EQ(moves.target(1), 0u);
  moves.settle(11 * kMillisecond);
  EXPECT_EQ(moves.target(1), 3u);
}

TEST_F(BucketMovesTest, IdleFirstNeverForcesABucketOfAProcessorThatIsNotOverloaded) {
  BucketMoves moves = make(MoveOrder::kIdleFirst);
  moves.note_overloaded({3});
  send(2, 7);
  moves.want(2, 1, 0);
  moves.settle(10'000 * kMillisecond);
  EXPECT_EQ(moves.target(2), 0u);
  EXPECT_EQ(moves.pending(), 1u);
  moves.note_overloaded({3, 0});
  moves.settle(10'001 * kMillisecond);
  EXPECT_EQ(moves.target(2), 1u);
  EXPECT_EQ(moves.counts().forced, 1u);
}

TEST_F(BucketMovesTest, IdleFirstMovesAtItsDeadlineAndCountsWhatWasInFlight) {
  BucketMoves moves = make(MoveOrder::kIdleFirst);
  moves.note_overloaded({0});
  send(2, 7);
  moves.want(2, 1, 0);
  moves.settle(99 * kMillisecond);
  EXPECT_EQ(moves.target(2), 0u);
  moves.settle(100 * kMillisecond);
  EXPECT_EQ(moves.target(2), 1u);
  EXPECT_EQ(moves.counts().forced, 1u);
  EXPECT_EQ(moves.counts().reorder_risk, 7u);
}

TEST_F(BucketMovesTest, FastMovesAtOnceAndCountsWhatWasInFlight) {
  BucketMoves moves = make(MoveOrder::kFast);
  send(2, 2);
  moves.want(2, 1, 0);
  moves.want(3, 1, 0);
  EXPECT_EQ(moves.target(2), 1u);
  EXPECT_EQ(moves.target(3), 1u);
  EXPECT_EQ(moves.pending(), 0u);
  EXPECT_EQ(moves.counts().done, 2u);
  EXPECT_EQ(moves.counts().forced, 1u);
  EXPECT_EQ(moves.counts().reorder_risk, 2u);
}

TEST_F(BucketMovesTest, AMoveThatTheKernelCompletedIsCountedOnce) {
  BucketMoves moves = make(MoveOrder::kStrict);
  moves.want(0, 2, 0);
  states_[0].word = std::uint64_t{1} << kStateSentShift | 2u << kStateTargetShift | kTargetNone;
  moves.settle(kMillisecond);
  EXPECT_EQ(moves.pending(), 0u);
  EXPECT_EQ(moves.counts().done, 1u);
}

TEST_F(BucketMovesTest, ANewerWishReplacesAPendingOne) {
  BucketMoves moves = make(MoveOrder::kStrict);
  moves.want(0, 2, 0);
  moves.want(0, 3, 0);
  EXPECT_EQ(moves.pending(), 1u);
  moves.settle(1 * kMillisecond);
  moves.settle(6 * kMillisecond);
  EXPECT_EQ(moves.target(0), 3u);
  EXPECT_EQ(moves.counts().wanted, 2u);
  EXPECT_EQ(moves.counts().withdrawn, 1u);
  EXPECT_EQ(moves.counts().done, 1u);
}

TEST_F(BucketMovesTest, WithdrawnMovesLeaveTheBucketWhereItIs) {
  BucketMoves moves = make(MoveOrder::kStrict);
  send(0);
  moves.want(0, 2, 0);
  moves.withdraw_all();
  EXPECT_EQ(moves.pending(), 0u);
  EXPECT_EQ(states_[0].word & kTargetMask, static_cast<std::uint64_t>(kTargetNone));
  EXPECT_EQ(moves.target(0), 0u);
  EXPECT_EQ(moves.sent(0), 1u);
}

TEST_F(BucketMovesTest, LostPacketsThatAreWrittenOffNoLongerBlockAMove) {
  BucketMoves moves = make(MoveOrder::kStrict);
  send(0, 5);
  arrive(0, 3);
  moves.write_off(0, 5);
  EXPECT_EQ(moves.in_flight(0), 0u);
  EXPECT_EQ(moves.counts().written_off, 2u);
  moves.write_off(0, 4);
  EXPECT_EQ(moves.counts().written_off, 2u) << "never below what has arrived";
}

TEST_F(BucketMovesTest, CountsSurviveTheirWrap) {
  BucketMoves moves = make(MoveOrder::kStrict);
  states_[0].word |= std::uint64_t{0xffff'fffe} << kStateSentShift;
  arrivals_[0].packets = 0xffff'fffe;
  send(0, 4);
  EXPECT_EQ(moves.sent(0), 2u);
  EXPECT_EQ(moves.target(0), 0u) << "the carry must not reach the target";
  EXPECT_EQ(moves.in_flight(0), 4u);
  arrive(0, 4);
  EXPECT_EQ(moves.in_flight(0), 0u);
}

}  // namespace
}  // namespace evenkeel::actuator
