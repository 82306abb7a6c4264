#include "source/live/clock_offset.h"

#include <gtest/gtest.h>

#include <vector>

namespace evenkeel::source {
namespace {

constexpr std::int64_t kAhead_ns = 1'700'000'000'000'000'000;

// Time passes by a step with each reading; the steps in turn, the last for ever.
struct FakeTime {
  explicit FakeTime(std::vector<std::int64_t> passing) : steps(std::move(passing)) {}
  std::int64_t read() {
    now_ns += steps[next];
    if (next + 1 < steps.size()) ++next;
    ++readings;
    return now_ns;
  }
  std::vector<std::int64_t> steps;
  std::size_t next = 0;
  std::int64_t now_ns = 0;
  int readings = 0;
};

std::int64_t offset_of(FakeTime& time) {
  return clock_offset_ns([&] { return time.read() + kAhead_ns; }, [&] { return time.read(); });
}

TEST(ClockOffset, ReadingsThatWereInterruptedAreNotBelieved) {
  // Before, between, or after the reading of the other clock.
  for (const std::vector<std::int64_t>& steps : {std::vector<std::int64_t>{20},
                                                 {20, 5'000'000, 20},
                                                 {20, 20, 5'000'000, 20},
                                                 {5'000'000, 20},
                                                 {20, 9'000'000, 20, 20, 3'000'000, 20}}) {
    FakeTime time(steps);
    EXPECT_EQ(offset_of(time), kAhead_ns);
  }
}

TEST(ClockOffset, OfOnlySlowReadingsTheBestIsTaken) {
  std::vector<std::int64_t> steps(30, 40'000);
  steps[13] = steps[14] = 1'000;
  FakeTime time(steps);
  EXPECT_EQ(offset_of(time), kAhead_ns);
  EXPECT_EQ(time.readings, 30) << "it gives up looking for a better one";
}

}  // namespace
}  // namespace evenkeel::source
