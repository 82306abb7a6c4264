// Units: times are nanoseconds in 64 signed bits (292 years), named with the unit last.
#pragma once

#include <cstddef>
#include <cstdint>

namespace evenkeel::base {

inline constexpr std::int64_t kNanosecondsPerMicrosecond = 1'000;
inline constexpr std::int64_t kNanosecondsPerMillisecond = 1'000'000;
inline constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

// The span that one core takes from another at once: 64 bytes on every x86-64 and most arm64.
inline constexpr std::size_t kCacheLine = 64;

}  // namespace evenkeel::base
