#include "observe/balance_history.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <numeric>

namespace evenkeel::observe {
namespace {

BalanceSample sample(double start, double end, std::vector<double> busy, std::vector<double> static_busy,
                     std::uint64_t moves = 0) {
  BalanceSample s;
  s.start_seconds = start;
  s.end_seconds = end;
  s.max_over_mean = max_over_mean(busy);
  s.static_max_over_mean = max_over_mean(static_busy);
  s.busy_fraction = std::move(busy);
  s.static_busy_fraction = std::move(static_busy);
  s.moves = moves;
  return s;
}

TEST(MaxOverMean, IsOneWhereThereIsNothingToCompare) {
  EXPECT_EQ(max_over_mean({}), 1);
  EXPECT_EQ(max_over_mean(std::array{0.0, 0.0}), 1);
  EXPECT_EQ(max_over_mean(std::array{0.5, 0.5}), 1);
}

TEST(MaxOverMean, IsTheNumberOfWorkersWhereOneDoesAll) {
  EXPECT_DOUBLE_EQ(max_over_mean(std::array{0.0, 0.7, 0.0, 0.0}), 4);
}

TEST(Measure, GivesStaticHashingTheSameTotalWork) {
  const std::array<double, 4> bucket_loads{0.3, 0.1, 0.1, 0.1};
  const std::array initial{ProcessorId(0), ProcessorId(1), ProcessorId(0), ProcessorId(1)};
  const std::array now{ProcessorId(0), ProcessorId(1), ProcessorId(1), ProcessorId(1)};
  const std::array<double, 2> busy{0.4, 0.4};  // of worker 0, 0.1 belongs to no bucket
  const BalanceSample s = measure({.start_seconds = 1,
                                   .end_seconds = 2,
                                   .busy_fraction = busy,
                                   .bucket_loads = bucket_loads,
                                   .owners = now,
                                   .initial_owners = initial,
                                   .moves = 3});
  EXPECT_DOUBLE_EQ(s.max_over_mean, 1);
  EXPECT_DOUBLE_EQ(s.static_max_over_mean, 0.5 / 0.4);
  EXPECT_DOUBLE_EQ(s.static_busy_fraction[0] + s.static_busy_fraction[1], 0.8);
  EXPECT_DOUBLE_EQ(s.static_busy_fraction[0], 0.5);
  EXPECT_EQ(s.moves, 3u);
}

TEST(BalanceHistory, WhereNothingMovedTheRunIsTheStaticOne) {
  const std::array<double, 2> bucket_loads{0.3, 0.1};
  const std::array owners{ProcessorId(0), ProcessorId(1)};
  const std::array<double, 2> busy{0.5, 0.45};
  const std::array<double, 2> capacity{1, 0.5};
  const BalanceSample s = measure({.start_seconds = 0,
                                   .end_seconds = 1,
                                   .busy_fraction = busy,
                                   .bucket_loads = bucket_loads,
                                   .owners = owners,
                                   .initial_owners = owners,
                                   .capacity = capacity});
  EXPECT_EQ(s.static_busy_fraction, s.busy_fraction);
  EXPECT_EQ(s.static_max_over_mean, s.max_over_mean);
}

TEST(BalanceHistory, AnIntervalOfNoLengthLosesNoMoves) {
  BalanceHistory history;
  history.add(sample(0, 0, {0.1}, {0.1}, 5));
  history.add(sample(0, 1, {0.1}, {0.1}, 2));
  ASSERT_EQ(history.samples().size(), 1u);
  EXPECT_EQ(history.samples()[0].moves, 7u);
}

TEST(BalanceHistory, AnIdleIntervalDoesNotCount) {
  BalanceHistory history;
  history.add(sample(0, 1, {0.5, 0.5}, {0.8, 0.2}));
  history.add(sample(1, 2, {0, 0}, {0, 0}));
  EXPECT_DOUBLE_EQ(history.static_max_over_mean(), 1.6);
}

// Whatever is added, memory stays bounded and the sums stay what they were without merging.
RC_GTEST_PROP(BalanceHistory, MergingKeepsTheSumsAndTheBound, ()) {
  const auto intervals = *rc::gen::inRange<std::size_t>(0, 400);
  const auto samples_max = 2 * *rc::gen::inRange<std::size_t>(1, 12);
  BalanceHistory merged(samples_max);
  BalanceHistory all(1000);
  double now = 0;
  double work = 0;
  for (std::size_t i = 0; i < intervals; ++i) {
    const double length = *rc::gen::inRange(0, 10) / 8.0;
    const double busy = *rc::gen::inRange(0, 9) / 8.0;
    const double static_busy = *rc::gen::inRange(0, 9) / 8.0;
    BalanceSample s = sample(now, now + length, {busy, 1 - busy}, {static_busy, 1 - static_busy});
    now += length;
    work += busy * length;
    merged.add(s);
    all.add(s);
  }
  RC_ASSERT(merged.samples().size() <= samples_max);
  double merged_work = 0;
  double end = 0;
  for (const BalanceSample& s : merged.samples()) {
    RC_ASSERT(s.start_seconds == end);
    end = s.end_seconds;
    merged_work += s.busy_fraction[0] * s.seconds();
  }
  RC_ASSERT(std::abs(merged_work - work) < 1e-9);
  RC_ASSERT(std::abs(merged.max_over_mean() - all.max_over_mean()) < 1e-9);
  RC_ASSERT(std::abs(merged.static_max_over_mean() - all.static_max_over_mean()) < 1e-9);
  if (!merged.samples().empty()) RC_ASSERT(end == now);
}

TEST(BalanceHistory, AMillionIntervalsFitInTheBoundWithAllTheirMoves) {
  BalanceHistory history;
  for (int i = 0; i < 1'000'000; ++i) history.add(sample(i, i + 1, {0.5}, {0.5}, 1));
  EXPECT_LE(history.samples().size(), BalanceHistory::kSamplesMax);
  EXPECT_GE(history.samples().size(), BalanceHistory::kSamplesMax / 2);
  std::uint64_t moves = 0;
  for (const BalanceSample& s : history.samples()) moves += s.moves;
  EXPECT_EQ(moves, 1'000'000u);
}

}  // namespace
}  // namespace evenkeel::observe
