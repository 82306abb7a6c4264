#include "source/generator/size_distribution.h"

#include <algorithm>
#include <limits>

namespace evenkeel::source {

std::uint32_t SizeDistribution::draw(base::Random& random) const {
  const double u = random.uniform();
  const auto above = std::find_if(points_.begin() + 1, points_.end() - 1,
                                  [u](const SizePoint& p) { return u < p.cumulative; });
  const SizePoint& low = *(above - 1);
  const double width = above->cumulative - low.cumulative;
  const double part = width > 0 ? std::min(1.0, (u - low.cumulative) / width) : 1.0;
  const double bytes = low.bytes + part * (above->bytes - low.bytes);
  constexpr double kMax = std::numeric_limits<std::uint32_t>::max();
  return static_cast<std::uint32_t>(std::clamp(bytes, 1.0, kMax));
}

double SizeDistribution::mean_bytes() const {
  double mean = 0;
  for (std::size_t i = 1; i < points_.size(); ++i) {
    mean +=
        (points_[i].cumulative - points_[i - 1].cumulative) * (points_[i].bytes + points_[i - 1].bytes) / 2;
  }
  return mean;
}

}  // namespace evenkeel::source
