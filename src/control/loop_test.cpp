// The loop over counters that a model of workers writes, in virtual time: what the policies do in the run.
#include "control/loop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <vector>

#include "base/random.h"

namespace evenkeel::control {
namespace {

constexpr std::uint64_t kIntervalTicks = 100'000'000;
constexpr std::uint64_t kTicksPerPacket = 1000;

// An actuator whose moves are in effect at once, or held up.
class Assignment : public actuator::Actuator {
 public:
  Assignment(std::size_t buckets, std::size_t processors) {
    for (std::size_t j = 0; j < buckets; ++j)
      owners_.emplace_back(static_cast<std::uint32_t>(j % processors));
  }
  std::string_view name() const override { return "assignment"; }
  bool ready() override { return ready_; }
  Result<void> apply(std::span<const Move> moves) override {
    for (const Move& move : moves) owners_[move.bucket.value()] = move.to;
    return {};
  }
  std::span<const ProcessorId> owners() const override { return owners_; }

  std::vector<ProcessorId> owners_;
  bool ready_ = true;
};

std::unique_ptr<Policy> the_default_policy() {
  auto policy = make_policy("index");
  return std::move(*policy);
}

class LoopTest : public testing::Test {
 protected:
  static constexpr std::size_t kBuckets = 256;

  explicit LoopTest(std::vector<double> speeds = {1, 1, 1, 1})
      : capacity(std::move(speeds)), workers(capacity.size()), assignment(kBuckets, capacity.size()) {
    for (double& load : loads) load = 0.5 + random.uniform();
    set_usage(0.6);
  }

  // Scales the loads to this mean usage.
  void set_usage(double usage) {
    const double total = std::accumulate(loads.begin(), loads.end(), 0.0);
    const double wanted = usage * std::accumulate(capacity.begin(), capacity.end(), 0.0);
    for (double& load : loads) load *= wanted / total;
  }

  // One interval of work: packets come by chance (a Gaussian for a Poisson number), a full worker serves the
  // same part of every bucket.
  void work() {
    std::vector<double> ticks(kBuckets), sum(workers.size());
    for (std::size_t j = 0; j < kBuckets; ++j) {
      const double packets = loads[j] * static_cast<double>(kIntervalTicks / kTicksPerPacket);
      const double drawn = noise ? packets + std::sqrt(packets) * random.normal() : packets;
      ticks[j] = std::max(0.0, drawn) * kTicksPerPacket / speed(j);
      sum[owner(j)] += ticks[j];
    }
    for (std::size_t j = 0; j < kBuckets; ++j) {
      const double part = std::min(1.0, static_cast<double>(kIntervalTicks) / sum[owner(j)]);
      const auto served = static_cast<std::uint64_t>(ticks[j] * part);
      buckets[j].cost_ticks.add(served);
      buckets[j].packets.add(served / kTicksPerPacket);
      workers[owner(j)].busy_ticks.add(served);
      workers[owner(j)].processed.add(served / kTicksPerPacket);
    }
  }

  void round() {
    work();
    now += kIntervalTicks;
    ASSERT_TRUE(
        loop.tick({.time_ns = static_cast<std::int64_t>(now), .ticks = now, .waiting = waiting}).ok());
  }
  void rounds(int count) {
    for (int i = 0; i < count; ++i) round();
  }

  double max_over_mean() const {
    std::vector<double> usage(workers.size());
    for (std::size_t j = 0; j < kBuckets; ++j) usage[owner(j)] += loads[j] / speed(j);
    const double mean = std::accumulate(loads.begin(), loads.end(), 0.0) /
                        std::accumulate(capacity.begin(), capacity.end(), 0.0);
    return *std::max_element(usage.begin(), usage.end()) / mean;
  }

  std::uint32_t owner(std::size_t j) const { return assignment.owners_[j].value(); }
  double speed(std::size_t j) const { return capacity[owner(j)]; }

  std::vector<double> capacity;
  std::vector<double> loads = std::vector<double>(kBuckets);
  bool noise = false;
  base::Random random{11};
  std::vector<meter::WorkerMeters> workers;
  std::vector<meter::BucketMeters> buckets{kBuckets};
  std::vector<std::uint64_t> waiting = std::vector<std::uint64_t>(workers.size());
  std::uint64_t now = 0;
  Assignment assignment;
  LoadMeter load_meter{workers, buckets, capacity, 0};
  std::unique_ptr<Policy> policy = the_default_policy();
  Round last;
  Loop loop{load_meter, *policy, assignment, [this](const Round& seen) { last = seen; }};
};

TEST_F(LoopTest, LevelsASkewedStartInAFewRounds) {
  for (std::size_t j = 0; j < kBuckets; ++j) assignment.owners_[j] = ProcessorId(j % 8 == 1 ? 1 : 0);
  set_usage(0.2);
  EXPECT_GT(max_over_mean(), 3);
  rounds(5);
  EXPECT_LT(max_over_mean(), 1.03);
}

TEST_F(LoopTest, LevelsAnOverloadThatSaturationHides) {
  rounds(5);
  for (std::size_t j = 0; j < kBuckets; ++j)
    if (owner(j) == 2) loads[j] *= 2;  // to 1.2 of a processor
  rounds(5);
  EXPECT_LT(max_over_mean(), 1.03);
}

TEST_F(LoopTest, RestsWhenItIsLevel) {
  rounds(5);
  const std::uint64_t moves = loop.counts().moves;
  rounds(50);
  EXPECT_EQ(loop.counts().moves, moves);
}

// 100 packets a bucket and interval: a bucket's load is known to 10 %, a worker's to 1.2 %.
TEST_F(LoopTest, RestsUnderNoiseOnceTheNoiseIsKnown) {
  noise = true;
  for (double& load : loads) load /= 2;
  rounds(50);
  const std::uint64_t moves = loop.counts().moves;
  rounds(200);
  EXPECT_LE(loop.counts().moves - moves, 20u) << "in 200 rounds";
  EXPECT_GT(loop.standard_error(), 0);
  EXPECT_LT(max_over_mean(), 1.05);
}

TEST_F(LoopTest, LevelsUnderARateThatSwings) {
  for (std::size_t j = 0; j < kBuckets; ++j)
    if (owner(j) == 2) loads[j] *= 1.2;
  for (int i = 0; i < 20; ++i) {
    set_usage(i % 2 == 0 ? 0.3 : 0.6);
    round();
  }
  EXPECT_LT(max_over_mean(), 1.03);
}

TEST_F(LoopTest, GivesAnElephantAProcessorOfItsOwn) {
  const double total = std::accumulate(loads.begin(), loads.end(), 0.0);
  loads[7] = total / 2;
  set_usage(0.5);
  rounds(20);
  const auto beside = std::count(assignment.owners_.begin(), assignment.owners_.end(), assignment.owners_[7]);
  EXPECT_EQ(beside, 1) << "buckets at its processor, itself included";
  const std::uint64_t moves = loop.counts().moves;
  rounds(50);
  EXPECT_EQ(loop.counts().moves, moves);
}

TEST_F(LoopTest, LearnsFromRoundsThatItCannotPlan) {
  noise = true;
  assignment.ready_ = false;
  rounds(10);
  EXPECT_EQ(loop.counts().skipped, 10u);
  EXPECT_EQ(loop.counts().moves, 0u);
  EXPECT_GT(loop.standard_error(), 0);
}

TEST_F(LoopTest, ShowsWhatWasMeasuredAndNotWhatIsExpected) {
  round();
  loads[0] += 0.05;
  round();
  EXPECT_NEAR(last.snapshot.bucket_load[0], loads[0], 1e-4);
}

class LoopOfUnequal : public LoopTest {
 protected:
  LoopOfUnequal() : LoopTest({1, 1, 0.5, 0.5}) {}
};

TEST_F(LoopOfUnequal, LevelsUsageAndNotWork) {
  rounds(10);
  EXPECT_LT(max_over_mean(), 1.03);
}

}  // namespace
}  // namespace evenkeel::control
