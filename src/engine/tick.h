// Ticks: the steps in which timers are kept. A tick belongs to one clock: ticks of packet time and ticks of a
// monotonic clock do not mix, because they are of different types.
#pragma once

#include <compare>
#include <cstdint>

#include "base/check.h"
#include "base/units.h"

namespace evenkeel::engine {

inline constexpr std::int64_t kTimerResolutionDefault_ns = base::kNanosecondsPerMillisecond;

// The tick `value`, which begins `value` times the resolution after the clock's zero. `Clock` is any type
// that stands for the clock; it need not be complete.
template <typename Clock>
struct Tick {
  std::uint64_t value = 0;

  friend auto operator<=>(Tick, Tick) = default;
  friend Tick operator+(Tick tick, std::uint64_t ticks) { return {tick.value + ticks}; }
};

// Later than every tick that a clock of 64 signed bits of nanoseconds reaches.
template <typename Clock>
inline constexpr Tick<Clock> kNever{~std::uint64_t{0}};

// Converts times to ticks. Times are nanoseconds of the clock, not negative.
//
// A division by a number that is known only at run time costs 25 to 90 cycles on x86-64 before Ice Lake; this
// one multiplies by the reciprocal and corrects by one (Granlund and Montgomery, PLDI 1994), about 8 cycles
// on all.
template <typename Clock>
class TickScale {
 public:
  explicit TickScale(std::int64_t resolution_ns = kTimerResolutionDefault_ns)
      : resolution_ns_(static_cast<std::uint64_t>(resolution_ns)),
        reciprocal_(resolution_ns == 1
                        ? ~std::uint64_t{0}
                        : static_cast<std::uint64_t>((static_cast<unsigned __int128>(1) << 64) /
                                                     static_cast<std::uint64_t>(resolution_ns))) {
    CHECK(resolution_ns > 0);
  }

  std::int64_t resolution_ns() const { return static_cast<std::int64_t>(resolution_ns_); }

  // The tick that holds `time_ns`.
  Tick<Clock> at(std::int64_t time_ns) const { return {divide(static_cast<std::uint64_t>(time_ns))}; }

  // The first tick that begins at or after `time_ns`: when it has come, so has the time.
  Tick<Clock> not_before(std::int64_t time_ns) const {
    return {divide(static_cast<std::uint64_t>(time_ns) + resolution_ns_ - 1)};
  }

  // When the tick begins.
  std::int64_t begin_ns(Tick<Clock> tick) const {
    return static_cast<std::int64_t>(tick.value * resolution_ns_);
  }

 private:
  std::uint64_t divide(std::uint64_t time) const {
    // The reciprocal is rounded down by less than 1, so the quotient is at most one too small.
    auto quotient = static_cast<std::uint64_t>((static_cast<unsigned __int128>(time) * reciprocal_) >> 64);
    if (time - quotient * resolution_ns_ >= resolution_ns_) ++quotient;
    return quotient;
  }

  std::uint64_t resolution_ns_;
  std::uint64_t reciprocal_;
};

}  // namespace evenkeel::engine
