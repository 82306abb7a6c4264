// What every contender of the timer benchmark can do, and the clock that all but one of them run on.
//
// A contender holds the timers of connections 0 to n-1 and implements
//   start(i, delay_ticks)       arm, or arm anew
//   cancel(i)
//   prefetch(i), prefetch_more(i)   the two steps of fetching what start(i) will touch
//   advance(now_tick)           fire what is due: each calls on_fire_(i), which starts it again
//   bytes_beside()              memory beside the connection, for all timers
#pragma once

#include <malloc.h>

#include <cstdint>

#include "base/random.h"

namespace bench {

// Milliseconds of virtual time. While `active`, clock_gettime() tells this time to the whole program
// (timers.cpp), so that libevent, libuv and Asio run through minutes of it in seconds, and pay nothing for
// reading the clock.
struct VirtualTime {
  static inline bool active = false;
  static inline std::uint64_t now_ms = 0;
};

// How long a timer that is started now shall run.
class Delays {
 public:
  Delays(std::uint64_t seed, std::uint32_t min, std::uint32_t max)
      : random_(seed), min_(min), span_(max - min + 1) {}
  std::uint32_t next() { return min_ + static_cast<std::uint32_t>(random_.below(span_)); }

 private:
  evenkeel::base::Random random_;
  std::uint32_t min_;
  std::uint32_t span_;
};

inline std::size_t heap_bytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

}  // namespace bench
