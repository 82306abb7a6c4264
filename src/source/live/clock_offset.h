// How far one clock is ahead of another that runs alongside.
//
// Two readings belong together only if nothing comes between them: a thread that is interrupted there, for
// milliseconds on a busy machine, would put its packets as much later than others' packets. So one is read
// between two readings of the other, until these are close.
//
// Thread: [any]. Cost: three readings, more where it is interrupted.
#pragma once

#include <cstdint>
#include <limits>

namespace evenkeel::source {

// `ahead` and `behind`: callable, give nanoseconds. Off by at most half of what passed within the shortest of
// kTries.
template <typename Ahead, typename Behind>
std::int64_t clock_offset_ns(Ahead&& ahead, Behind&& behind) {
  constexpr int kTries = 10;
  constexpr std::int64_t kClose_ns = 500;
  std::int64_t shortest_ns = std::numeric_limits<std::int64_t>::max(), offset_ns = 0;
  for (int i = 0; i < kTries && shortest_ns > kClose_ns; ++i) {
    const std::int64_t before_ns = behind();
    const std::int64_t between_ns = ahead();
    const std::int64_t passed_ns = behind() - before_ns;
    if (passed_ns >= shortest_ns) continue;
    shortest_ns = passed_ns;
    offset_ns = between_ns - before_ns - passed_ns / 2;
  }
  return offset_ns;
}

}  // namespace evenkeel::source
