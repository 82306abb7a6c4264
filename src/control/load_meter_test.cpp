#include "control/load_meter.h"

#include <gtest/gtest.h>

#include <numeric>

namespace evenkeel::control {
namespace {

class LoadMeterTest : public testing::Test {
 protected:
  std::vector<meter::WorkerMeters> workers{2};
  std::vector<meter::BucketMeters> buckets{4};
  std::vector<ProcessorId> owners{ProcessorId(0), ProcessorId(1), ProcessorId(0), ProcessorId(1)};
  std::vector<std::uint64_t> waiting{0, 0};
  LoadMeter load_meter{workers, buckets, {1.0, 1.0}, 0};

  void work(std::uint32_t bucket, std::uint64_t packets, std::uint64_t ticks) {
    buckets[bucket].packets.add(packets);
    buckets[bucket].cost_ticks.add(ticks);
    workers[owners[bucket].value()].processed.add(packets);
    workers[owners[bucket].value()].busy_ticks.add(ticks);
  }
};

TEST_F(LoadMeterTest, UsageIsBusyTicksOfTheInterval) {
  work(0, 10, 300);
  work(1, 10, 500);
  load_meter.measure({.ticks = 1000, .waiting = waiting}, owners);
  const Snapshot snapshot = load_meter.snapshot(owners);
  EXPECT_DOUBLE_EQ(snapshot.usage[0], 0.3);
  EXPECT_DOUBLE_EQ(snapshot.usage[1], 0.5);
}

TEST_F(LoadMeterTest, CoversOnlyTheTimeSinceTheMeasurementBefore) {
  work(0, 10, 300);
  load_meter.measure({.ticks = 1000, .waiting = waiting}, owners);
  work(0, 10, 100);
  load_meter.measure({.ticks = 2000, .waiting = waiting}, owners);
  EXPECT_DOUBLE_EQ(load_meter.snapshot(owners).usage[0], 0.1);
}

TEST_F(LoadMeterTest, BucketLoadsOfAWorkerSumToWhatItWasBusy) {
  work(0, 10, 100);
  work(2, 30, 300);
  workers[0].busy_ticks.add(400);  // polling and rings, of no bucket
  load_meter.measure({.ticks = 1000, .waiting = waiting}, owners);
  const Snapshot snapshot = load_meter.snapshot(owners);
  EXPECT_NEAR(snapshot.bucket_load[0] + snapshot.bucket_load[2], 0.8, 1e-12);
  EXPECT_NEAR(snapshot.bucket_load[2] / snapshot.bucket_load[0], 3.0, 1e-12);
}

TEST_F(LoadMeterTest, ABucketWithoutPacketsHasNoLoad) {
  work(0, 10, 100);
  load_meter.measure({.ticks = 1000, .waiting = waiting}, owners);
  work(2, 10, 100);
  load_meter.measure({.ticks = 2000, .waiting = waiting}, owners);
  EXPECT_DOUBLE_EQ(load_meter.snapshot(owners).bucket_load[0], 0.0);
}

TEST_F(LoadMeterTest, BacklogCountsBeyondFullUsage) {
  work(0, 10, 1000);
  waiting[0] = 20;  // of 100 ticks each: two intervals' work
  load_meter.measure({.ticks = 1000, .waiting = waiting}, owners);
  EXPECT_DOUBLE_EQ(load_meter.snapshot(owners).usage[0], 1.0);
  EXPECT_NEAR(load_meter.snapshot(owners).backlog[0], 2.0, 1e-12);
}

TEST_F(LoadMeterTest, TimeInWhichTheThreadWaitedForItsProcessorIsNotBusy) {
  work(0, 10, 900);  // of which 600 waiting: see thread_ticks
  work(1, 10, 300);
  const std::vector<std::uint64_t> thread_ticks = {300, 800};  // the second looked for work for 500
  load_meter.measure({.ticks = 1000, .waiting = waiting, .thread_ticks = thread_ticks}, owners);
  const Snapshot snapshot = load_meter.snapshot(owners);
  EXPECT_DOUBLE_EQ(snapshot.usage[0], 0.3);
  EXPECT_DOUBLE_EQ(snapshot.usage[1], 0.3);
  EXPECT_DOUBLE_EQ(snapshot.bucket_load[0], 0.3);
}

}  // namespace
}  // namespace evenkeel::control
