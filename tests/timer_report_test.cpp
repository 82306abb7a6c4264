// The report's section on timers, of a whole run.
#include <gtest/gtest.h>

#include <atomic>

#include "runtime/meter_run.h"

namespace evenkeel::tests {
namespace {

TEST(TimerReport, AddsUpAndNothingFiresOffItsOwner) {
  const std::atomic<bool> interrupted{false};
  runtime::MeterRunOptions options;
  options.inputs = {"generator:campus,packets=300000,connections=3000,rate=20000"};  // 15 s
  options.interval_ns = 2'000'000;
  options.idle_timeout_ns = 500'000'000;
  const auto report = runtime::meter_run(options, {.interrupted = interrupted, .progress = {}});
  ASSERT_TRUE(report.ok());
  const observe::EngineTimers& all = report->timers;
  EXPECT_GT(all.fired, 0u);
  EXPECT_GT(all.late_p99_microseconds, 0);
  EXPECT_EQ(all.fired_off_owner, 0u);
  EXPECT_EQ(all.started, all.fired + all.cancelled) << "none is lost";
  observe::EngineTimers sum;
  for (const observe::WorkerReport& worker : report->workers) {
    sum.started += worker.timers.started;
    sum.restarted += worker.timers.restarted;
    sum.cancelled += worker.timers.cancelled;
    sum.fired += worker.timers.fired;
    EXPECT_GT(worker.timers.late_p99_microseconds, 0);
  }
  EXPECT_EQ(sum.started, all.started);
  EXPECT_EQ(sum.restarted, all.restarted);
  EXPECT_EQ(sum.cancelled, all.cancelled);
  EXPECT_EQ(sum.fired, all.fired);
}

}  // namespace
}  // namespace evenkeel::tests
