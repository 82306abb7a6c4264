// Virtual time: a clock that goes on only when it is told to.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace evenkeel::sim {

// One tick is one nanosecond. Copies show the same time: they point to it.
class VirtualClock {
 public:
  explicit VirtualClock(const std::uint64_t* now) : now_(now) {}
  std::uint64_t ticks() const { return *now_; }
  double ticks_per_nanosecond() const { return 1.0; }

 private:
  const std::uint64_t* now_;
};
static_assert(base::TickClock<VirtualClock>);

// The time of one processor, which goes on while it works; others may be ahead or behind.
class ProcessorClock {
 public:
  explicit ProcessorClock(const std::uint64_t* now) : now_(now) {}
  std::uint64_t ticks() const { return *now_; }
  double ticks_per_nanosecond() const { return 1.0; }
  bool has_reached(std::uint64_t ticks) const { return ticks <= *now_; }

 private:
  const std::uint64_t* now_;
};
static_assert(base::ProcessorLocalClock<ProcessorClock> && !base::ProcessorLocalClock<VirtualClock>);

}  // namespace evenkeel::sim
