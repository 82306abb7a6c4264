#include "observe/text.h"

#include <gtest/gtest.h>

#include <limits>

#include "observe/progress.h"

namespace evenkeel::observe {
namespace {

TEST(Text, GroupsDigits) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1'000), "1,000");
  EXPECT_EQ(count_text(std::numeric_limits<std::uint64_t>::max()), "18,446,744,073,709,551,615");
}

TEST(Text, RatesHaveThreeFigures) {
  EXPECT_EQ(rate_text(0, "pps"), "0 pps");
  EXPECT_EQ(rate_text(999, "pps"), "999 pps");
  EXPECT_EQ(rate_text(999.9, "pps"), "1.00 kpps");
  EXPECT_EQ(rate_text(2'164'502, "pps"), "2.16 Mpps");
  EXPECT_EQ(rate_text(12'349'000'000.0, "bit/s"), "12.3 Gbit/s");
  EXPECT_EQ(rate_text(123'490'000'000.0, "bit/s"), "123 Gbit/s");
}

TEST(Text, DurationsUseTheUnitThatFits) {
  EXPECT_EQ(duration_text(-1), "0 us");
  EXPECT_EQ(duration_text(0.00025), "250 us");
  EXPECT_EQ(duration_text(0.001), "1 ms");
  EXPECT_EQ(duration_text(0.42), "420 ms");
  EXPECT_EQ(duration_text(0.9999), "1.00 s");
  EXPECT_EQ(duration_text(12.34), "12.3 s");
  EXPECT_EQ(duration_text(59.99), "1 min 00 s");
  EXPECT_EQ(duration_text(252), "4 min 12 s");
  EXPECT_EQ(duration_text(10'920), "3 h 02 min");
  EXPECT_EQ(duration_text(180'000), "2 d 02 h");
  EXPECT_EQ(duration_text(std::numeric_limits<double>::infinity()), "0 us");
}

TEST(Progress, SaysPacketsPartRateAndTimeLeft) {
  EXPECT_EQ(progress_text({.elapsed_seconds = 6, .packets = 12'345'678, .done_fraction = 0.5}, 5'210'000),
            "12,345,678 packets  50 %  5.21 Mpps  6 s left");
  EXPECT_EQ(progress_text({.elapsed_seconds = 6, .packets = 7, .done_fraction = std::nullopt}, 1),
            "7 packets  1 pps");
}

TEST(Progress, IsRareAndIsTakenAwayAgain) {
  std::string written;
  Progress progress([&](std::string_view text) { written += text; });
  progress.update({.elapsed_seconds = 0.3, .packets = 10, .done_fraction = 0.1});
  progress.clear();
  EXPECT_EQ(written, "") << "a short run shows none";
  progress.update({.elapsed_seconds = 0.5, .packets = 1000, .done_fraction = 0.5});
  progress.update({.elapsed_seconds = 0.6, .packets = 1100, .done_fraction = 0.6});
  EXPECT_EQ(written, "\r1,000 packets  50 %  2.00 kpps  1 s left\x1b[K");
  written.clear();
  progress.update({.elapsed_seconds = 1.0, .packets = 2000, .done_fraction = 0.9});
  EXPECT_EQ(written, "\r2,000 packets  90 %  2.00 kpps  1 s left\x1b[K");
  progress.clear();
  EXPECT_TRUE(written.ends_with("\r\x1b[K"));
}

TEST(Progress, IsSilentWhereNobodyWatches) {
  testing::internal::CaptureStderr();  // stderr is a file now
  Progress progress;
  progress.update({.elapsed_seconds = 10, .packets = 1000, .done_fraction = 0.5});
  progress.clear();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace evenkeel::observe
