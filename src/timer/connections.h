// The connections of a timer service: what a handler needs to know of each, and the states of their timers.
//
// Invariant: a slot that is in use says its bucket and its generation, one that is free says that it is. A
// call is executed only if it names all three as they stand, so that a call with an old or a made-up handle
// never reaches a timer of another bucket than the one whose owner executes it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/prefetch.h"
#include "base/reserved_memory.h"
#include "engine/slot_pool.h"
#include "engine/timer_state.h"
#include "evenkeel/result.h"
#include "evenkeel/timer_service.h"

namespace evenkeel::timer {

class TimerConnections {
 public:
  static Result<std::unique_ptr<TimerConnections>> make(std::uint32_t connections_max,
                                                        std::uint32_t timers_each, std::uint32_t workers);

  // [any] A connection in this bucket, or nothing when all slots are taken.
  std::optional<TimerConnection> add(BucketId bucket, std::uint64_t tag);

  // [any] Whether add() gave it and it was not removed; its slot must be below slots(). For the owner of its
  // bucket a yes stays true until that owner retires it, since nobody else does; what others see may be old.
  // Acquire: pairs with the release in add(), so that whoever finds the connection finds its tag, and its
  // timers as the slot's last owner left them, however the handle came here.
  bool is_current(const TimerConnection& connection) const {
    return record(connection.slot).identity.load(std::memory_order_acquire) == identity_of(connection);
  }

  // [owner of the bucket] From now on the connection is not current; the slot may be given back.
  // Relaxed: the slot goes to its next user through the pool's lock.
  void retire(std::uint32_t slot) {
    record(slot).identity.store(free_identity(generation(slot) + 1), std::memory_order_relaxed);
  }

  // [owner of the bucket]
  std::uint64_t tag(std::uint32_t slot) const { return record(slot).tag; }
  std::uint32_t generation(std::uint32_t slot) const {
    return static_cast<std::uint32_t>(record(slot).identity.load(std::memory_order_relaxed) >> 32);
  }
  std::uint32_t timers_each() const { return timers_each_; }
  std::uint32_t slots() const { return slots_; }
  engine::SlotPool& pool() { return *pool_; }

  // engine::TimerStates [owner of the bucket]
  engine::TimerState& state(engine::TimerName name) {
    return states()[std::size_t{name.slot} * timers_each_ + name.kind];
  }
  void prefetch(engine::TimerName name) { base::prefetch_to_write(&state(name)); }

 private:
  // Generation, whether the slot is in use, and by a connection of which bucket: one word, so that it is read
  // and written as a whole. Zero is a slot that was never used.
  using Identity = std::uint64_t;
  static Identity free_identity(std::uint32_t generation) { return Identity{generation} << 32; }
  static Identity identity_of(const TimerConnection& connection) {
    constexpr Identity kInUse = Identity{1} << 16;
    return free_identity(connection.generation) | kInUse | connection.bucket;
  }

  struct Record {
    std::uint64_t tag;
    std::atomic<Identity> identity;
  };
  static_assert(sizeof(Record) == 16);
  // A free slot of the pool; apart from the records, whose generation outlives the connection.
  static constexpr std::size_t kPoolSlotBytes = 16;

  TimerConnections(std::uint32_t slots, std::uint32_t timers_each)
      : slots_(slots), timers_each_(timers_each) {}

  Record& record(std::uint32_t slot) const { return reinterpret_cast<Record*>(records_.data())[slot]; }
  engine::TimerState* states() { return reinterpret_cast<engine::TimerState*>(states_.data()); }

  const std::uint32_t slots_;
  const std::uint32_t timers_each_;
  base::ReservedMemory records_, states_, pool_memory_;  // zero: free, and no timer runs
  std::unique_ptr<engine::SlotPool> pool_;
};

}  // namespace evenkeel::timer
