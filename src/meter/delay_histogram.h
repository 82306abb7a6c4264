// How long things waited: counts by class of time, four classes for each doubling.
//
// One writer, any reader (counter.h). A quantile read from it is at most a quarter too large.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "meter/counter.h"

namespace evenkeel::meter {

class DelayHistogram {
 public:
  // [owner]
  void add(std::uint64_t ticks) { counts_[class_of(ticks)].increment(); }

  // [any]
  std::uint64_t read(std::size_t index) const { return counts_[index].read(); }

  static constexpr std::size_t kClasses = 160;  // up to 2^41 ticks: 10 minutes

  // 0 to 3 are classes of their own; then the leading bit and the two bits behind it say which.
  static constexpr std::size_t class_of(std::uint64_t ticks) {
    if (ticks < 4) return ticks;
    const auto octave = static_cast<std::size_t>(std::bit_width(ticks)) - 1;
    return std::min(4 * (octave - 1) + (ticks >> (octave - 2) & 3), kClasses - 1);
  }
  // The largest time of a class.
  static constexpr std::uint64_t end_of(std::size_t index) {
    if (index < 4) return index;
    const std::size_t octave = index / 4 + 1;
    return ((index % 4 + 5) << (octave - 2)) - 1;
  }

 private:
  std::array<Counter, kClasses> counts_;
};
static_assert(DelayHistogram::class_of(DelayHistogram::end_of(50)) == 50 &&
              DelayHistogram::class_of(DelayHistogram::end_of(50) + 1) == 51);

// The sum of several histograms, as values.
class DelaySummary {
 public:
  void add(const DelayHistogram& histogram) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += histogram.read(i);
  }

  std::uint64_t count() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : counts_) sum += count;
    return sum;
  }

  // The time that a fraction `quantile` of all did not exceed, in ticks; 0 where there is nothing.
  std::uint64_t quantile_ticks(double quantile) const {
    const double wanted = quantile * static_cast<double>(count());
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (counts_[i] != 0 && static_cast<double>(seen) >= wanted) return DelayHistogram::end_of(i);
    }
    return 0;
  }

 private:
  std::array<std::uint64_t, DelayHistogram::kClasses> counts_{};
};

}  // namespace evenkeel::meter
