// The timer service in virtual time: its lanes, timer threads and moves of buckets, in an order that a seed
// decides.
//
// What is driven is the service's own code; clock, threads, callers and moves are replaced. Buckets move
// whenever the moves before are done, some of them at every step. Laws that are checked: no timer fires
// early, twice, off its owner or never, and calls with handles of no connection change nothing.
#pragma once

#include <cstdint>
#include <string>

namespace evenkeel::sim {

struct TimerInterleavingResult {
  std::uint64_t steps = 0;
  std::uint64_t calls = 0;
  std::uint64_t fired = 0;
  std::uint64_t moves = 0;
  std::string setting;
  std::string violation;  // empty: every law held
};

TimerInterleavingResult run_timer_interleaving(std::uint64_t seed);

}  // namespace evenkeel::sim
