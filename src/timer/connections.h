// The connections of a timer service: what a handler needs to know of each, and the states of their timers.
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

  // [any] Whether it was not removed. Only the owner of the connection's bucket can rely on the answer.
  // Relaxed: whoever removed it did so as the bucket's owner, and the handover made that visible here.
  bool is_current(std::uint32_t slot, std::uint16_t generation) const {
    return record(slot).generation.load(std::memory_order_relaxed) == generation;
  }

  // [owner of the bucket] From now on the connection is not current; the slot may be given back.
  void retire(std::uint32_t slot) {
    std::atomic<std::uint16_t>& generation = record(slot).generation;
    generation.store(static_cast<std::uint16_t>(generation.load(std::memory_order_relaxed) + 1),
                     std::memory_order_relaxed);
  }

  std::uint64_t tag(std::uint32_t slot) const { return record(slot).tag; }
  std::uint16_t generation(std::uint32_t slot) const {
    return record(slot).generation.load(std::memory_order_relaxed);
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
  struct Record {
    std::uint64_t tag;
    std::atomic<std::uint16_t> generation;
  };
  // A free slot of the pool; apart from the records, whose generation outlives the connection.
  static constexpr std::size_t kPoolSlotBytes = 16;

  TimerConnections(std::uint32_t slots, std::uint32_t timers_each)
      : slots_(slots), timers_each_(timers_each) {}

  Record& record(std::uint32_t slot) const { return reinterpret_cast<Record*>(records_.data())[slot]; }
  engine::TimerState* states() { return reinterpret_cast<engine::TimerState*>(states_.data()); }

  const std::uint32_t slots_;
  const std::uint32_t timers_each_;
  base::ReservedMemory records_, states_, pool_memory_;  // zero: generation 0, and no timer runs
  std::unique_ptr<engine::SlotPool> pool_;
};

}  // namespace evenkeel::timer
