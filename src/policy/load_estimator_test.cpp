#include "policy/load_estimator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>
#include <string>

#include "base/random.h"
#include "policy/drift.h"

namespace evenkeel::policy {
namespace {

constexpr std::size_t kBuckets = 64, kProcessors = 4;

struct Interval {
  std::vector<double> load = std::vector<double>(kBuckets, 0.03);
  std::vector<double> usage = std::vector<double>(kProcessors, 0.48);
  std::vector<double> capacity = std::vector<double>(kProcessors, 1);
  std::vector<ProcessorId> owner;

  Interval() {
    for (std::uint32_t j = 0; j < kBuckets; ++j) owner.push_back(ProcessorId(j % kProcessors));
  }
  Snapshot snapshot() const {
    return {.bucket_load = load,
            .owner = owner,
            .usage = usage,
            .backlog = {},
            .capacity = capacity,
            .pinned = {}};
  }
};

TEST(LoadEstimator, OfConstantLoadsIsTheLoadWithoutError) {
  const Interval interval;
  LoadEstimator estimator({.newest_weight = 0.3, .trend_weight = 0.1});
  for (int k = 0; k < 5; ++k) {
    const Snapshot estimate = estimator.observe(interval.snapshot());
    for (std::size_t j = 0; j < kBuckets; ++j) EXPECT_DOUBLE_EQ(estimate.bucket_load[j], 0.03);
    for (std::size_t i = 0; i < kProcessors; ++i) EXPECT_DOUBLE_EQ(estimate.usage[i], 0.48);
  }
  EXPECT_DOUBLE_EQ(estimator.standard_error(), 0);
}

TEST(LoadEstimator, LearnsTheErrorOfItsEstimates) {
  base::Random random(3);
  LoadEstimator estimator;
  for (int k = 0; k < 300; ++k) {
    Interval interval;
    for (double& load : interval.load) load *= 1 + 0.2 * random.normal();
    interval.usage.clear();
    (void)estimator.observe(interval.snapshot());
  }
  // 16 buckets of standard deviation 0.006 each; the difference of two intervals has the root of twice that;
  // a quarter of its square is in the total, which four processors share.
  EXPECT_NEAR(estimator.standard_error(), 0.006 * std::sqrt(2 * 16) * std::sqrt(0.75), 0.006);
}

TEST(LoadEstimator, WhatAllProcessorsGetMoreOfIsNoError) {
  LoadEstimator estimator;
  for (int k = 0; k < 20; ++k) {
    Interval interval;
    for (double& load : interval.load) load *= k % 2 == 0 ? 0.5 : 1;
    (void)estimator.observe(interval.snapshot());
  }
  EXPECT_NEAR(estimator.standard_error(), 0, 1e-12);
}

TEST(LoadEstimator, SeesThroughSaturation) {
  LoadEstimator estimator;
  Interval interval;
  (void)estimator.observe(interval.snapshot());
  // Bucket 0 grows to 1: processor 0 is offered 1.45 and serves 1 of it.
  interval.load[0] = 1;
  for (std::size_t j = 0; j < kBuckets; j += kProcessors) interval.load[j] /= 1.45;
  interval.usage[0] = 1;
  const Snapshot estimate = estimator.observe(interval.snapshot());
  EXPECT_NEAR(estimate.bucket_load[0], 1, 1e-9);
  EXPECT_NEAR(estimate.bucket_load[4], 0.03, 1e-9);
  EXPECT_NEAR(estimate.usage[0], 1.45, 1e-9);
}

TEST(LoadEstimator, KeepsWhatAProcessorDoesBesidesItsBuckets) {
  Interval interval;
  interval.usage[1] = 0.9;
  LoadEstimator estimator({.newest_weight = 0.5});
  for (int k = 0; k < 3; ++k) EXPECT_NEAR(estimator.observe(interval.snapshot()).usage[1], 0.9, 1e-12);
}

TEST(LoadEstimator, PassesOnWhatDoesNotFitForThePolicyToRefuse) {
  Interval interval;
  interval.owner[0] = ProcessorId(99);
  LoadEstimator estimator;
  const Snapshot estimate = estimator.observe(interval.snapshot());
  EXPECT_EQ(estimate.bucket_load.data(), interval.load.data());
}

Result<DriftResult> follow(const std::vector<std::vector<double>>& rounds, std::string_view name,
                           bool estimates) {
  const std::vector<double> capacity(8, 1);
  std::vector<ProcessorId> owner(rounds[0].size());
  if (auto result = assign_by_capacity(capacity, owner); !result) return result.error();
  auto policy = make_policy(name);
  LoadEstimator estimator;
  return run_drift(rounds, capacity, owner, {}, **policy, estimates ? &estimator : nullptr);
}

TEST(Drift, OfPublishedLoadsTakesFewerMovesThanRssppForAnEvenerLoad) {
  for (const char* kind : {"rw_lognormal", "hop_elephant", "flows"}) {
    std::ifstream file(std::string(EVENKEEL_SHARED_DIR) + "/loads/drift/" + kind + "_N512.csv");
    if (!file) GTEST_SKIP() << "the published loads are not here";
    std::vector<std::vector<double>> rounds;
    for (std::string line, cell; std::getline(file, line);) {
      std::stringstream cells(line);
      rounds.emplace_back();
      while (std::getline(cells, cell, ',')) rounds.back().push_back(std::stod(cell));
    }
    const auto index = follow(rounds, "index", true), rsspp = follow(rounds, "rsspp", false);
    ASSERT_TRUE(index.ok() && rsspp.ok());
    EXPECT_LE(index->mean_max_over_mean, rsspp->mean_max_over_mean) << kind;
    EXPECT_LE(index->drop_fraction, rsspp->drop_fraction) << kind;
    EXPECT_LT(index->moves_per_round, rsspp->moves_per_round) << kind;
  }
}

TEST(Drift, RefusesRoundsThatAreTooFewOrDoNotFit) {
  EXPECT_FALSE(follow(std::vector<std::vector<double>>(5, {1, 2}), "index", true).ok());
  std::vector<std::vector<double>> rounds(20, {1, 2});
  rounds[7] = {1};
  EXPECT_FALSE(follow(rounds, "index", true).ok());
  EXPECT_FALSE(follow(std::vector<std::vector<double>>(20, {0, 0}), "index", true).ok());
}

}  // namespace
}  // namespace evenkeel::policy
