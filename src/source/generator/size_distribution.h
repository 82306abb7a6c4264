// Sizes of connections, drawn from a published cumulative distribution.
#pragma once

#include <cstdint>
#include <span>

#include "base/random.h"

namespace evenkeel::source {

// Of all connections, the fraction `cumulative` has at most `bytes` of data.
struct SizePoint {
  double bytes;
  double cumulative;
};

class SizeDistribution {
 public:
  // `points` rise in both parts, from cumulative 0 to 1, and live as long as this.
  constexpr explicit SizeDistribution(std::span<const SizePoint> points) : points_(points) {}

  // By inversion, linear between points. At least 1.
  std::uint32_t draw(base::Random& random) const;

  double mean_bytes() const;

 private:
  std::span<const SizePoint> points_;
};

}  // namespace evenkeel::source
