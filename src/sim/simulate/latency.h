// How long packets took: counts in classes of 1/64 of a power of two, so that a quantile is at most 1.6 % too
// high.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace evenkeel::sim {

class LatencyHistogram {
 public:
  void add(std::int64_t nanoseconds) {
    const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(nanoseconds, 0));
    ++counts_[class_of(value)];
    ++count_;
    sum_ += value;
    max_ = std::max(max_, value);
  }

  std::uint64_t count() const { return count_; }
  double mean_ns() const { return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_); }
  double max_ns() const { return static_cast<double>(max_); }

  // What a fraction of all did not exceed, if `lost` more took for ever (then it may be infinite); 0 where
  // there is nothing.
  double quantile_ns(double fraction, std::uint64_t lost = 0) const {
    if (count_ + lost == 0) return 0;
    const double wanted = std::ceil(fraction * static_cast<double>(count_ + lost));
    double seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += static_cast<double>(counts_[i]);
      if (counts_[i] != 0 && seen >= wanted) return std::min(upper_border(i), max_ns());
    }
    return std::numeric_limits<double>::infinity();
  }

 private:
  static constexpr std::uint32_t kBits = 6;
  static constexpr std::size_t kClasses = std::size_t{50} << kBits;  // up to 2^50 ns: 13 days

  static std::size_t class_of(std::uint64_t value) {
    if (value < (1u << kBits)) return value;
    const auto shift = static_cast<std::uint32_t>(std::bit_width(value)) - kBits - 1;
    return std::min<std::size_t>(((shift + 1) << kBits) + (value >> shift) - (1u << kBits), kClasses - 1);
  }
  static double upper_border(std::size_t index) {
    if (index < (1u << kBits)) return static_cast<double>(index);
    const std::size_t shift = (index >> kBits) - 1;
    const std::size_t leading = (index & ((1u << kBits) - 1)) + (1u << kBits);
    return std::ldexp(static_cast<double>(leading + 1), static_cast<int>(shift)) - 1;
  }

  std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>(kClasses);
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace evenkeel::sim
