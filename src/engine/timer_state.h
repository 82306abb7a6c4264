// The part of a timer that lies in its connection: 8 bytes for each kind of timer.
#pragma once

#include <concepts>
#include <cstdint>

namespace evenkeel::engine {

// Which of a connection's timers: idle, keep-alive, retransmission, … as its user numbers them.
using TimerKind = std::uint8_t;
inline constexpr TimerKind kTimerKindsMax = 16;

// A timer of a bucket: the connection's slot in the bucket's table, and which of its timers.
struct TimerName {
  std::uint32_t slot = 0;
  TimerKind kind = 0;

  friend bool operator==(TimerName, TimerName) = default;
};

// Zero is a timer that never ran. Written only by the wheel of the bucket; belongs to the bucket's owner.
//
// Where a table uses a connection's slot again, the state should stay as it is (cancelled): an entry that the
// old connection left in the wheel then serves the new one. Clearing it is harmless after
// TimerWheel::forget().
class TimerState {
 public:
  static constexpr int kDeadlineBits = 34;
  static constexpr int kFiledBits = 24;
  static constexpr int kGenerationBits = 4;

  bool armed() const { return armed_ != 0; }

 private:
  template <typename Clock>
  friend class TimerWheel;

  std::uint64_t deadline_ : kDeadlineBits = 0;  // tick at which it fires, low bits; if armed
  std::uint64_t filed_ : kFiledBits = 0;  // tick at which the wheel looks at it, low bits; if it has an entry
  std::uint64_t generation_ : kGenerationBits = 0;  // tells its entry from those that it left behind
  std::uint64_t has_entry_ : 1 = 0;
  std::uint64_t armed_ : 1 = 0;
};
static_assert(sizeof(TimerState) == 8);

// Where a wheel finds the states of its bucket's timers.
template <typename S>
concept TimerStates = requires(S& states, TimerName name) {
  { states.state(name) } -> std::same_as<TimerState&>;
  states.prefetch(name);  // soon state(name) will be read and written
};

}  // namespace evenkeel::engine
