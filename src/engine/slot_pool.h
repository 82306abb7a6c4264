// Slots: equal pieces of one reserved memory, named by a 32-bit number. The pool is shared by all workers and
// locked; a worker keeps a few slots in a cache of its own, so that it takes the lock once for many slots.
//
// Invariant: every slot is in exactly one place: never used yet (fresh), in the pool, in one cache, or with
// whoever took it. The pool allocates nothing: a free slot's own memory lists other free slots (a "trunk", as
// in the freelist of SQLite's file format), so that one cache miss brings many numbers.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

#include "evenkeel/ids.h"

namespace evenkeel::engine {

using SlotId = Id<struct SlotTag>;
inline constexpr SlotId kNoSlot{UINT32_MAX};

class SlotPool {
 public:
  // Bytes of a slot that a trunk needs: its header and one number.
  static constexpr std::size_t kSlotBytesMin = 12;

  // `memory` holds `slots` pieces of `slot_bytes` (at least kSlotBytesMin) and outlives the pool.
  SlotPool(std::byte* memory, std::size_t slot_bytes, std::uint32_t slots);

  // [any] Fills `out` from its front and says how many there were: fewer than asked means that all others
  // are taken. Cost: a lock, and a cache miss for each slot_bytes / 4 slots.
  std::size_t take(std::span<SlotId> out);

  // [any] The bytes of these slots belong to the pool from here on.
  void give_back(std::span<const SlotId> slots);

  // [any] Slots that are neither fresh nor in the pool. Relaxed: a number to decide by, which may be old by
  // the time it is used; nothing else is read through it.
  std::uint32_t taken() const { return taken_.load(std::memory_order_relaxed); }

 private:
  struct Trunk {
    std::uint32_t next;   // the next trunk, or kNoSlot
    std::uint32_t count;  // numbers that follow this header
  };

  SlotId take_one();
  void give_back_one(SlotId slot);
  std::byte* at(std::uint32_t slot) const { return memory_ + std::size_t{slot} * slot_bytes_; }

  std::byte* const memory_;
  const std::size_t slot_bytes_;
  const std::uint32_t slots_;
  const std::uint32_t trunk_capacity_;

  std::mutex mutex_;
  std::uint32_t fresh_ = 0;              // slots from here on were never taken
  std::atomic<std::uint32_t> taken_{0};  // written under the lock
  std::uint32_t trunk_ = kNoSlot.value();
};

// A worker's own few slots.
// Thread: [worker], one at a time.
class SlotCache {
 public:
  static constexpr std::uint32_t kCapacityMax = 64;

  // Holds up to `capacity` slots (1 to kCapacityMax) and moves half of that to or from the pool at once.
  SlotCache(SlotPool& pool, std::uint32_t capacity);
  SlotCache(const SlotCache&) = delete;
  SlotCache& operator=(const SlotCache&) = delete;
  ~SlotCache() { give_back_all(); }

  // A slot, or kNoSlot where neither cache nor pool has one.
  SlotId take() {
    if (count_ == 0) refill();
    return count_ == 0 ? kNoSlot : slots_[--count_];
  }

  void give_back(SlotId slot) {
    if (count_ == capacity_) spill();
    slots_[count_++] = slot;
  }

  void give_back_all();

 private:
  void refill();
  void spill();

  SlotPool& pool_;
  const std::uint32_t capacity_;
  std::uint32_t count_ = 0;
  std::array<SlotId, kCapacityMax> slots_;
};

}  // namespace evenkeel::engine
