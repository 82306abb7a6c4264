#include "meter/sample_limit.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace evenkeel::meter {
namespace {

constexpr std::uint64_t kFloor = 500;

TEST(SampleLimit, CountsUsualSamplesInFull) {
  SampleLimit limit;
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t sample = 100 + static_cast<std::uint64_t>(i % 300);
    ASSERT_EQ(limit.admit(sample, kFloor), sample);
  }
}

TEST(SampleLimit, OneInterruptionWeighsNoMoreThanTheLimit) {
  SampleLimit limit;
  for (int i = 0; i < 1000; ++i) limit.admit(200, kFloor);
  EXPECT_EQ(limit.admit(10'000'000, kFloor), kFloor);
}

TEST(SampleLimit, BelievesWhatIsTrulyHeavyAfterAFewSamples) {
  SampleLimit limit;
  for (int i = 0; i < 1000; ++i) limit.admit(200, kFloor);
  for (int i = 0; i < 10; ++i) limit.admit(200'000, kFloor);
  EXPECT_EQ(limit.admit(200'000, kFloor), 200'000u);
}

// The mean of a bucket in which some connections' packets cost a thousand times as much as the others'.
TEST(SampleLimit, TheMeanOfAMixtureStaysTrue) {
  for (const double heavy_fraction : {0.02, 0.1, 0.5, 0.98}) {
    SampleLimit limit;
    base::Random random(7);
    double admitted = 0, offered = 0;
    for (int i = 0; i < 100'000; ++i) {
      const bool heavy = static_cast<double>(random.below(10'000)) < heavy_fraction * 10'000;
      const std::uint64_t sample = heavy ? 200'000 : 200;
      offered += static_cast<double>(sample);
      admitted += static_cast<double>(limit.admit(sample, kFloor));
    }
    EXPECT_NEAR(admitted / offered, 1, 0.03) << heavy_fraction;
  }
}

// 1 in 20,000 samples is interrupted for 4 ms: that is 200 us on each, a thousand times their true cost.
TEST(SampleLimit, TheMeanUnderInterruptionsStaysTrue) {
  SampleLimit limit;
  base::Random random(7);
  double admitted = 0;
  constexpr int kSamples = 1'000'000;
  for (int i = 0; i < kSamples; ++i)
    admitted += static_cast<double>(limit.admit(random.below(20'000) == 0 ? 4'000'000 : 200, kFloor));
  EXPECT_NEAR(admitted / kSamples, 200, 1);
}

}  // namespace
}  // namespace evenkeel::meter
