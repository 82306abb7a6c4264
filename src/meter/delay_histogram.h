// How long things waited, or how late they were: counts by class of time, eight classes for each doubling.
//
// One writer, any reader (counter.h). A quantile read from it is at most an eighth too large.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "meter/counter.h"

namespace evenkeel::meter {

// Times are whole numbers of whatever unit its writer counts in.
class DelayHistogram {
 public:
  // [owner]
  void add(std::uint64_t time) { counts_[class_of(time)].increment(); }

  // [any]
  std::uint64_t read(std::size_t index) const { return counts_[index].read(); }

  static constexpr std::size_t kClasses = 312;  // up to 2^41: half an hour of nanoseconds

  // 0 to 7 are classes of their own; then the leading bit and the three bits behind it say which.
  static constexpr std::size_t class_of(std::uint64_t time) {
    if (time < 8) return time;
    const auto octave = static_cast<std::size_t>(std::bit_width(time)) - 1;
    return std::min(8 * (octave - 2) + (time >> (octave - 3) & 7), kClasses - 1);
  }
  // The largest time of a class.
  static constexpr std::uint64_t end_of(std::size_t index) {
    if (index < 8) return index;
    const std::size_t octave = index / 8 + 2;
    return ((index % 8 + 9) << (octave - 3)) - 1;
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

  // The time that a fraction `quantile` of all did not exceed; 0 where there is nothing.
  std::uint64_t quantile(double quantile) const {
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
