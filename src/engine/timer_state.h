// The part of a timer that lies in its connection: 8 bytes for each kind of timer.
#pragma once

#include <concepts>
#include <cstdint>

#include "engine/timer_chunks.h"

namespace evenkeel::engine {

// Which of a connection's timers: idle, keep-alive, retransmission, … as its user numbers them.
using TimerKind = std::uint8_t;
inline constexpr TimerKind kTimerKindsMax = 16;

// A timer of a bucket: the connection's slot in the table, and which of its timers.
struct TimerName {
  std::uint32_t slot = 0;
  TimerKind kind = 0;

  friend bool operator==(TimerName, TimerName) = default;
};

// Zero is a timer that has no entry in a wheel. Written only by the wheel of the bucket; belongs to the
// bucket's owner. Before a state with an entry goes away (its connection ends), TimerWheel::remove() must be
// called.
class TimerState {
 public:
  static constexpr int kDeadlineBits = 34;

  bool armed() const { return armed_ != 0; }
  bool has_entry() const { return chunk_ != 0; }

 private:
  template <typename Clock>
  friend class TimerWheel;

  std::uint64_t deadline_ : kDeadlineBits = 0;  // tick at which it fires, low bits; of the last start
  std::uint64_t armed_ : 1 = 0;
  std::uint64_t chunk_ : kChunkIndexBits = 0;  // where its entry is; 0: it has none
  std::uint64_t place_ : 3 = 0;                // in the chunk
};
static_assert(sizeof(TimerState) == 8);

// Where a wheel finds the states of its bucket's timers.
template <typename S>
concept TimerStates = requires(S& states, TimerName name) {
  { states.state(name) } -> std::same_as<TimerState&>;
  states.prefetch(name);  // soon state(name) will be read and written
};

}  // namespace evenkeel::engine
