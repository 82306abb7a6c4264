// Packet times of the generator: trains of packets come as a Poisson process, the packets of a train close
// together, and the mean rate is the one asked for.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "base/random.h"
#include "base/units.h"

namespace evenkeel::source {

class PacketClock {
 public:
  static constexpr std::uint64_t kRateMin = 1'000;
  static constexpr std::uint64_t kRateMax = 1'000'000'000;
  // 2026-01-01 00:00:00 UTC
  static constexpr std::int64_t kStartNs = 1'767'225'600 * base::kNanosecondsPerSecond;

  // `packets_per_second` from kRateMin to kRateMax.
  explicit PacketClock(std::uint64_t packets_per_second)
      : mean_gap_((static_cast<std::uint64_t>(base::kNanosecondsPerSecond) << kFractionBits) /
                  packets_per_second) {
    double sum = 0;
    const auto quantile = [](std::size_t i) {
      return -std::log1p(-(static_cast<double>(i) + 0.5) / static_cast<double>(kQuantiles));
    };
    for (std::size_t i = 0; i < kQuantiles; ++i) sum += quantile(i);
    const double unit = static_cast<double>(kQuantiles << kQuantileBits) / sum;
    for (std::size_t i = 0; i < kQuantiles; ++i) {
      quantiles_[i] = static_cast<std::uint32_t>(std::lround(quantile(i) * unit));
    }
  }

  std::int64_t now_ns() const { return kStartNs + static_cast<std::int64_t>(elapsed_ >> kFractionBits); }

  // Moves on to the first packet of a train of `packets` (below 256).
  void begin_train(base::Random& random, std::uint32_t packets) {
    const std::uint64_t mean = mean_gap_ * packets - gap_inside() * (packets - 1);
    elapsed_ += mean * quantiles_[random.next() % kQuantiles] >> kQuantileBits;
  }

  // Moves on to the next packet of a train.
  void continue_train() { elapsed_ += gap_inside(); }

 private:
  static constexpr unsigned kFractionBits = 10;
  static constexpr unsigned kQuantileBits = 16;
  static constexpr std::size_t kQuantiles = 1'024;

  std::uint64_t gap_inside() const { return mean_gap_ / 8; }

  std::uint64_t mean_gap_;     // in 2^-kFractionBits ns
  std::uint64_t elapsed_ = 0;  // in the same unit
  // Of the exponential distribution with mean 1, in 2^-kQuantileBits.
  std::array<std::uint32_t, kQuantiles> quantiles_;
};

}  // namespace evenkeel::source
