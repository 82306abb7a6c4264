// What travels to a timer thread: a call for a connection's timer, or a mark that says where a bucket changes
// hands.
#pragma once

#include <cstdint>

#include "engine/ring.h"
#include "engine/timer_state.h"
#include "evenkeel/ids.h"
#include "evenkeel/timer_service.h"

namespace evenkeel::timer {

struct TimerCommand {
  enum class Kind : std::uint8_t {
    kStart,
    kRestart,
    kCancel,
    kRemove,
    kReleaseMark,  // no more calls for the bucket follow in this ring
    kAcquireMark,  // calls for the bucket follow in this ring
  };

  Kind kind = Kind::kStart;
  engine::TimerKind timer = 0;
  std::uint16_t bucket = 0;
  std::uint32_t generation = 0;
  std::uint32_t slot_or_version = 0;  // of the connection; of the table, for marks
  std::int64_t deadline_ns = 0;

  // Of a call.
  TimerConnection connection() const { return {slot_or_version, bucket, generation}; }
};
static_assert(sizeof(TimerCommand) == 24);

using CommandRing = engine::Ring<TimerCommand>;

}  // namespace evenkeel::timer
