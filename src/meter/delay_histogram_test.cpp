#include "meter/delay_histogram.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace evenkeel::meter {
namespace {

TEST(DelayHistogram, QuantilesAreAtMostAnEighthTooHighAndNeverTooLow) {
  base::Random random(1);
  for (int round = 0; round < 1'000; ++round) {
    DelayHistogram histogram;
    const std::uint64_t value = random.below(std::uint64_t{1} << random.below(41));
    histogram.add(value);
    DelaySummary summary;
    summary.add(histogram);
    EXPECT_GE(summary.quantile(0.99), value);
    EXPECT_LE(static_cast<double>(summary.quantile(0.99)), static_cast<double>(value) * 1.126);
  }
}

TEST(DelayHistogram, ItsQuantileIsThatOfAllWritersTogether) {
  DelayHistogram early, late;
  for (int i = 0; i < 98; ++i) early.add(3);
  for (int i = 0; i < 2; ++i) late.add(1'000'000);
  DelaySummary summary;
  EXPECT_EQ(summary.quantile(0.5), 0u);
  summary.add(early);
  summary.add(late);
  EXPECT_EQ(summary.count(), 100u);
  EXPECT_EQ(summary.quantile(0.98), 3u);
  EXPECT_GE(summary.quantile(0.99), 1'000'000u);
}

TEST(DelayHistogram, TheLongestTimesShareTheLastClass) {
  EXPECT_EQ(DelayHistogram::class_of(~std::uint64_t{0}), DelayHistogram::kClasses - 1);
}

}  // namespace
}  // namespace evenkeel::meter
