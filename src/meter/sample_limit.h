// Bounds what one sample may weigh, so that a thread interrupted in the middle of a timed packet does not
// make its bucket look a thousand times as heavy as it is; a winsorised mean whose bound is learnt.
//
// A sample above the limit counts as the limit, and the limit grows fourfold; any other counts in full, and
// the limit falls by 1/256. Where a fraction p of the samples exceeds it, it rests at 4^p (255/256)^(1-p) =
// 1: p = 0.28 %. It is thus near the 99.7th percentile, found by stochastic approximation (Robbins and Monro
// 1951). An interruption hits far fewer: 250 a second into packets of 0.2 us is 0.005 % of the samples. What
// is truly heavy is far more: packets a thousand times as dear are taken at their full cost after five of
// them, and for as long as they are more than one in 350 of their bucket's. What is heavy and rarer is cut:
// then its worker's load is right and its bucket's part of it too low. docs/decisions/measurement.md has the
// measurement.
//
// Invariant: never returns more than the sample. Thread: that of its owner [worker]. Cost: three instructions
// and a branch that is nearly always taken, for each sample, not for each packet.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace evenkeel::meter {

class SampleLimit {
 public:
  // The sample, or the limit where the sample is above it. `floor`: the limit is at least this now.
  std::uint64_t admit(std::uint64_t sample, std::uint64_t floor) {
    const std::uint64_t limit = std::max<std::uint64_t>(limit_, floor);
    if (sample > limit) [[unlikely]] {
      limit_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(kGrowth * limit, kLimitMax));
      return limit;
    }
    limit_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(limit - (limit >> kDecayShift), kLimitMax));
    return sample;
  }

  // False before the first sample: what is usual elsewhere is then a better floor than nothing.
  bool known() const { return limit_ != 0; }
  std::uint64_t limit() const { return limit_; }

 private:
  static constexpr std::uint64_t kGrowth = 4;
  static constexpr int kDecayShift = 8;
  static constexpr std::uint64_t kLimitMax = std::numeric_limits<std::uint32_t>::max();

  std::uint32_t limit_ = 0;  // in ticks; 32 bits hold a second of any clock
};

}  // namespace evenkeel::meter
