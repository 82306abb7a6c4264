#include "control/steer_loop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace evenkeel::control {
namespace {

constexpr std::size_t kBuckets = 64;

// An interface of two processors, all of whose load starts on the first, moved as told.
class FakeSteering final : public actuator::Steering {
 public:
  FakeSteering() : owner_(kBuckets, ProcessorId(0)) {}

  std::string_view name() const override { return "fake"; }
  std::size_t buckets() const override { return kBuckets; }
  std::span<const std::string> processors() const override { return names_; }
  Result<void> start() override { return {}; }
  Result<void> measure(actuator::Measurement& measurement) override {
    measurement.seconds = interval_seconds;
    measurement.bucket_load.assign(kBuckets, load / kBuckets);
    measurement.owner = owner_;
    measurement.usage.assign(2, 0);
    for (const ProcessorId owner : owner_) measurement.usage[owner.value()] += load / kBuckets;
    measurement.backlog.assign(2, 0);
    measurement.capacity.assign(2, 1);
    return {};
  }
  Result<void> apply(std::span<const Move> moves) override {
    applied += moves.size();
    pending_.assign(moves.begin(), moves.end());
    if (moves_complete) return settle();
    return {};
  }
  Result<void> settle() override {
    for (const Move& move : pending_) owner_[move.bucket.value()] = move.to;
    pending_.clear();
    return {};
  }
  std::size_t pending() const override { return pending_.size(); }
  Result<void> withdraw() override {
    ++withdrawals;
    pending_.clear();
    return {};
  }
  Result<actuator::SteeringTotals> totals() override { return actuator::SteeringTotals{}; }
  Result<void> stop(const std::function<bool()>&) override { return {}; }
  std::vector<std::string> notes() const override { return {}; }

  std::size_t owned_by_first() const {
    return static_cast<std::size_t>(std::count(owner_.begin(), owner_.end(), ProcessorId(0)));
  }

  double load = 0.8;
  double interval_seconds = 0.1;
  bool moves_complete = true;
  std::size_t applied = 0;
  int withdrawals = 0;

 private:
  std::vector<std::string> names_{"cpu 0", "cpu 1"};
  std::vector<ProcessorId> owner_;
  std::vector<Move> pending_;
};

class SteerLoopTest : public testing::Test {
 protected:
  void tick(SteerLoopOptions options, int rounds) {
    if (!loop_) {
      auto policy = make_policy("index");
      ASSERT_TRUE(policy.ok());
      policy_ = std::move(*policy);
      loop_ = std::make_unique<SteerLoop>(steering_, *policy_, options, [](const SteerRound&) {});
    }
    for (int i = 0; i < rounds; ++i) ASSERT_TRUE(loop_->tick().ok());
  }

  FakeSteering steering_;
  std::unique_ptr<Policy> policy_;
  std::unique_ptr<SteerLoop> loop_;
};

TEST_F(SteerLoopTest, LevelsWhatStartsOnOneProcessorAndThenRests) {
  tick({}, 20);
  EXPECT_NEAR(static_cast<double>(steering_.owned_by_first()), kBuckets / 2.0, 2);
  const std::size_t applied = steering_.applied;
  tick({}, 100);
  EXPECT_EQ(steering_.applied, applied) << "equal loads cause no moves";
}

TEST_F(SteerLoopTest, LeavesANearlyIdleInterfaceAlone) {
  steering_.load = 0.02;
  tick({}, 50);
  EXPECT_EQ(steering_.applied, 0u);
}

TEST_F(SteerLoopTest, NeverBeginsMoreMovesThanItsRateAllows) {
  constexpr double kMovesPerSecond = 10;
  for (int round = 1; round <= 30; ++round) {
    tick({.moves_per_second_max = kMovesPerSecond}, 1);
    // What is unused is kept for one second at most.
    EXPECT_LE(static_cast<double>(steering_.applied), kMovesPerSecond * (1 + round * 0.1));
  }
  EXPECT_NEAR(static_cast<double>(steering_.owned_by_first()), kBuckets / 2.0, 2);
}

TEST_F(SteerLoopTest, GivesUpMovesThatStayPendingAndPlansAnew) {
  steering_.moves_complete = false;
  steering_.interval_seconds = 0.25;  // a sum of these is exact
  tick({.pending_seconds_max = 1}, 1);
  ASSERT_GT(steering_.pending(), 0u);
  tick({}, 3);
  EXPECT_EQ(steering_.withdrawals, 0);
  tick({}, 1);
  EXPECT_EQ(steering_.withdrawals, 1);
  steering_.moves_complete = true;
  tick({}, 1);
  EXPECT_LT(steering_.owned_by_first(), kBuckets);
}

TEST_F(SteerLoopTest, WithoutLoadThereIsNoPlanAndNoImbalanceToTellOf) {
  steering_.moves_complete = false;  // all load stays on one processor
  tick({}, 5);
  EXPECT_NEAR(loop_->plan().max_over_mean_before, 2, 0.01);
  steering_.load = 0;
  tick({}, 100);
  EXPECT_EQ(loop_->plan().max_over_mean_before, 1);
  ASSERT_EQ(loop_->plan().processors.size(), 2u);
  EXPECT_EQ(loop_->plan().processors[0].usage, 0);
  steering_.load = 0.8;
  tick({}, 20);
  EXPECT_NEAR(loop_->plan().max_over_mean_before, 2, 0.01);
}

}  // namespace
}  // namespace evenkeel::control
