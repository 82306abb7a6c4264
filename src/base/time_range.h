// The times and spans that are worked with: half of what 64 bits hold, so that the sum of any two, and the
// difference of any two, is still one of 64 bits. A capture may say any time, and a user any timeout; what is
// beyond is as good as the bound.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace evenkeel::base {

inline constexpr std::int64_t kTimeMax_ns = std::numeric_limits<std::int64_t>::max() / 2;  // 146 years

constexpr std::int64_t bounded_time_ns(std::int64_t time_ns) {
  return std::clamp(time_ns, -kTimeMax_ns, kTimeMax_ns);
}

}  // namespace evenkeel::base
