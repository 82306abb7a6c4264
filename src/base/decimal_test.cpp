#include "base/decimal.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

#include "base/random.h"

namespace evenkeel::base {
namespace {

std::string decimal(std::uint64_t value) {
  char text[kDecimalDigitsMax];
  return {text, append_decimal(text, value)};
}

TEST(Decimal, IsWhatTheStandardLibraryWrites) {
  EXPECT_EQ(decimal(0), "0");
  EXPECT_EQ(decimal(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
  // Both sides of every change in the number of digits.
  for (std::uint64_t power = 1; power <= 1'000'000'000'000'000'000; power *= 10) {
    for (const std::uint64_t value : {power - 1, power, power + 1, 9 * power})
      EXPECT_EQ(decimal(value), std::to_string(value));
  }
  Random random(1);
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t value = random.next() >> random.below(64);
    EXPECT_EQ(decimal(value), std::to_string(value));
  }
}

}  // namespace
}  // namespace evenkeel::base
