#include "runtime/queue_limits.h"

#include <gtest/gtest.h>

#include <tuple>

namespace evenkeel::runtime {
namespace {

constexpr QueueLimitNames kNames{"limit_worker", "limit_bucket", "limit_connection"};

using Limits = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;

Limits limits_of(const GivenQueueLimits& given) {
  const auto limits = queue_limits(given, kNames);
  if (!limits) return {0, 0, 0};
  return {limits->worker_packets, limits->bucket_packets, limits->connection_packets};
}

TEST(QueueLimits, WhatIsNotGivenIsAPartOfWhatHoldsIt) {
  EXPECT_EQ(limits_of({}), Limits(8192, 4096, 2048));
  EXPECT_EQ(limits_of({.worker = 100}), Limits(100, 50, 25));
  EXPECT_EQ(limits_of({.worker = 1}), Limits(1, 1, 1));
  EXPECT_EQ(limits_of({.bucket = 10}), Limits(8192, 10, 10));
  EXPECT_EQ(limits_of({.worker = 100, .bucket = 100, .connection = 100}), Limits(100, 100, 100));
}

TEST(QueueLimits, NoneIsAboveWhatHoldsIt) {
  EXPECT_EQ(queue_limits({.worker = 10, .bucket = 11}, kNames).error().message,
            "limit_bucket 11 is above what may wait at a worker (10): raise limit_worker, or lower it");
  EXPECT_EQ(queue_limits({.worker = 10, .connection = 6}, kNames).error().message,
            "limit_connection 6 is above what may wait of a bucket (5): raise limit_bucket, or lower it");
}

}  // namespace
}  // namespace evenkeel::runtime
