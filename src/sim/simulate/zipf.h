// Numbers 1 to n, the k-th with a likelihood of 1 / k^exponent, in constant time for any n:
// rejection-inversion (Hörmann and Derflinger, ACM TOMACS 6(3), 1996).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/random.h"

namespace evenkeel::sim {

class Zipf {
 public:
  Zipf() = default;
  // n >= 1, exponent >= 0 (0: all alike).
  Zipf(std::uint32_t n, double exponent)
      : n_(n),
        exponent_(exponent),
        integral_first_(integral(1.5) - 1),
        integral_last_(integral(n + 0.5)),
        threshold_(2 - inverse(integral(2.5) - density(2))) {}

  std::uint32_t draw(base::Random& random) const {
    if (exponent_ == 0) return 1 + static_cast<std::uint32_t>(random.below(n_));
    while (true) {
      const double u = integral_last_ + random.uniform() * (integral_first_ - integral_last_);
      const double x = inverse(u);
      const double k = std::clamp(std::floor(x + 0.5), 1.0, static_cast<double>(n_));
      if (k - x <= threshold_ || u >= integral(k + 0.5) - density(k)) return static_cast<std::uint32_t>(k);
    }
  }

 private:
  double density(double x) const { return std::exp(-exponent_ * std::log(x)); }
  // Of the density, up to a constant.
  double integral(double x) const {
    const double t = (1 - exponent_) * std::log(x);
    return std::abs(t) < 1e-8 ? std::log(x) * (1 + t / 2) : std::expm1(t) / (1 - exponent_);
  }
  double inverse(double y) const {
    const double t = std::max(y * (1 - exponent_), -1.0);
    return std::exp(std::abs(t) < 1e-8 ? y * (1 - t / 2) : std::log1p(t) / (1 - exponent_));
  }

  std::uint32_t n_ = 1;
  double exponent_ = 0;
  double integral_first_ = 0;
  double integral_last_ = 0;
  double threshold_ = 0;
};

}  // namespace evenkeel::sim
