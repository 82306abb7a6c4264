// A histogram of durations, by one writer, for any reader.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "meter/counter.h"

namespace evenkeel::meter {

// Classes of 1/8 of a power of two: a percentile is at most 12.5 % too high. 0 to 2^40 ns (18 minutes), then
// the last.
class DurationHistogram {
 public:
  static constexpr std::uint32_t kClasses = 38 * 8;

  // [owner]
  void add(std::int64_t duration_ns) { classes_[class_of(duration_ns)].increment(); }

  // [any] Adds what was counted here to `sums`.
  void add_to(std::array<std::uint64_t, kClasses>& sums) const {
    for (std::uint32_t i = 0; i < kClasses; ++i) sums[i] += classes_[i].read();
  }

  // The upper border of the class that holds the percentile; 0 if nothing was counted.
  static std::int64_t percentile_ns(const std::array<std::uint64_t, kClasses>& sums, double fraction) {
    std::uint64_t total = 0;
    for (const std::uint64_t count : sums) total += count;
    const double wanted = static_cast<double>(total) * fraction;
    double seen = 0;
    for (std::uint32_t i = 0; i < kClasses; ++i) {
      seen += static_cast<double>(sums[i]);
      if (total != 0 && seen >= wanted) return upper_border_ns(i);
    }
    return 0;
  }

  static std::uint32_t class_of(std::int64_t duration_ns) {
    const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(duration_ns, 0));
    if (value < 8) return static_cast<std::uint32_t>(value);
    const auto exponent = static_cast<std::uint32_t>(std::bit_width(value)) - 4;
    return std::min((exponent + 1) * 8 + static_cast<std::uint32_t>(value >> exponent & 7), kClasses - 1);
  }

  static std::int64_t upper_border_ns(std::uint32_t index) {
    if (index < 8) return index;
    const std::uint32_t exponent = index / 8 - 1;
    return ((std::int64_t{8} + index % 8 + 1) << exponent) - 1;
  }

 private:
  std::array<Counter, kClasses> classes_{};
};

}  // namespace evenkeel::meter
