#include "timer/connections.h"

#include <array>

namespace evenkeel::timer {

Result<std::unique_ptr<TimerConnections>> TimerConnections::make(std::uint32_t connections_max,
                                                                 std::uint32_t timers_each,
                                                                 std::uint32_t workers) {
  // What the workers' caches may keep for themselves comes on top.
  const std::uint32_t slots = connections_max + workers * engine::SlotCache::kCapacityMax;
  std::unique_ptr<TimerConnections> made(new TimerConnections(slots, timers_each));
  const auto reserve = [](base::ReservedMemory& memory, std::size_t bytes) -> Result<void> {
    auto reserved = base::ReservedMemory::reserve(bytes, base::PageSize::kHuge);
    if (!reserved) return reserved.error();
    memory = std::move(*reserved);
    return {};
  };
  if (auto r = reserve(made->records_, slots * sizeof(Record)); !r) return r.error();
  if (auto r = reserve(made->states_, std::size_t{slots} * timers_each * sizeof(engine::TimerState)); !r)
    return r.error();
  if (auto r = reserve(made->pool_memory_, slots * kPoolSlotBytes); !r) return r.error();
  made->pool_ = std::make_unique<engine::SlotPool>(made->pool_memory_.data(), kPoolSlotBytes, slots);
  return made;
}

std::optional<TimerConnection> TimerConnections::add(BucketId bucket, std::uint64_t tag) {
  std::array<engine::SlotId, 1> slot;
  if (pool_->take(slot) == 0) return std::nullopt;
  const TimerConnection added{slot[0].value(), static_cast<std::uint16_t>(bucket.value()),
                              generation(slot[0].value())};
  Record& taken = record(added.slot);
  taken.tag = tag;
  // Release: pairs with the acquire in is_current().
  taken.identity.store(identity_of(added), std::memory_order_release);
  return added;
}

}  // namespace evenkeel::timer
