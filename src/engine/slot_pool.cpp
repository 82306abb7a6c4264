#include "engine/slot_pool.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace evenkeel::engine {

SlotPool::SlotPool(std::byte* memory, std::size_t slot_bytes, std::uint32_t slots)
    : memory_(memory),
      slot_bytes_(slot_bytes),
      slots_(slots),
      trunk_capacity_(static_cast<std::uint32_t>((slot_bytes - sizeof(Trunk)) / sizeof(std::uint32_t))) {
  CHECK(slot_bytes >= kSlotBytesMin);
  CHECK(slots < kNoSlot.value());
}

std::size_t SlotPool::take(std::span<SlotId> out) {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  while (count < out.size()) {
    const SlotId slot = take_one();
    if (slot == kNoSlot) break;
    out[count++] = slot;
  }
  taken_.fetch_add(static_cast<std::uint32_t>(count), std::memory_order_relaxed);
  return count;
}

void SlotPool::give_back(std::span<const SlotId> slots) {
  const std::lock_guard lock(mutex_);
  CHECK(slots.size() <= taken());
  for (const SlotId slot : slots) give_back_one(slot);
  taken_.fetch_sub(static_cast<std::uint32_t>(slots.size()), std::memory_order_relaxed);
}

// Slots that were used before come first: their memory is resident already.
SlotId SlotPool::take_one() {
  if (trunk_ == kNoSlot.value()) return fresh_ < slots_ ? SlotId{fresh_++} : kNoSlot;
  Trunk trunk;
  std::memcpy(&trunk, at(trunk_), sizeof trunk);
  if (trunk.count == 0) {
    const SlotId slot{trunk_};
    trunk_ = trunk.next;
    return slot;
  }
  --trunk.count;
  std::uint32_t number;
  std::memcpy(&number, at(trunk_) + sizeof trunk + trunk.count * sizeof number, sizeof number);
  std::memcpy(at(trunk_), &trunk, sizeof trunk);
  return SlotId{number};
}

void SlotPool::give_back_one(SlotId slot) {
  Trunk trunk{kNoSlot.value(), trunk_capacity_};
  if (trunk_ != kNoSlot.value()) std::memcpy(&trunk, at(trunk_), sizeof trunk);
  if (trunk.count == trunk_capacity_) {
    trunk = {trunk_, 0};
    trunk_ = slot.value();
  } else {
    const std::uint32_t number = slot.value();
    std::memcpy(at(trunk_) + sizeof trunk + trunk.count * sizeof number, &number, sizeof number);
    ++trunk.count;
  }
  std::memcpy(at(trunk_), &trunk, sizeof trunk);
}

SlotCache::SlotCache(SlotPool& pool, std::uint32_t capacity) : pool_(pool), capacity_(capacity) {
  CHECK(capacity >= 1 && capacity <= kCapacityMax);
}

void SlotCache::give_back_all() {
  pool_.give_back(std::span(slots_).first(count_));
  count_ = 0;
}

void SlotCache::refill() {
  count_ = static_cast<std::uint32_t>(pool_.take(std::span(slots_).first((capacity_ + 1) / 2)));
  // Last in, first out, and the pool's order is ascending while slots are fresh: hand them out in that order.
  std::reverse(slots_.begin(), slots_.begin() + count_);
}

void SlotCache::spill() {
  const std::uint32_t spilled = (capacity_ + 1) / 2;
  pool_.give_back(std::span(slots_).first(spilled));
  std::copy(slots_.begin() + spilled, slots_.begin() + count_, slots_.begin());
  count_ -= spilled;
}

}  // namespace evenkeel::engine
