// The memory of all connection tables: reserved at start-up, shared by all workers, bounded.
//
// Invariant: at most `connections_max` entries exist, in all tables together; after start-up nothing is
// allocated. Entries stand in slots of one array, so that a slot's number alone gives its address; the
// tables' indexes are built of groups (index_group.h). What one worker took, another may give back.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/prefetch.h"
#include "base/reserved_memory.h"
#include "engine/group_pool.h"
#include "engine/index_group.h"
#include "engine/slot_pool.h"
#include "evenkeel/result.h"

namespace evenkeel::engine {

struct ArenaOptions {
  std::uint32_t connections_max = 1'000'000;
  std::uint32_t tables = 1'024;  // tables that will use it
  std::uint32_t workers = 1;     // caches that will use it
  base::PageSize pages = base::PageSize::kHuge;
  bool populate = false;  // make all memory resident at once: no page fault on the packet path
};

// The average number of entries in an index group above which a table grows, and below which it shrinks.
// Measured in bench/table.cpp: fewer cost memory, more cost a second cache miss in overflowing groups.
inline constexpr std::uint32_t kGroupLoadMax = 7;
inline constexpr std::uint32_t kGroupLoadMin = 2;

// Key: trivially copyable, with ==. Value: default-constructible and destructible, neither of which throws.
// Hash: `std::uint64_t operator()(const Key&) const`, well mixed in all 64 bits and seeded, so that nobody
// outside can make keys collide.
template <typename Key, typename Value, typename Hash>
class ConnectionArena {
 public:
  struct Entry {
    Key key;
    Value value;
  };

  // A worker's own share of free memory. Thread: [worker], one at a time. All must be gone before the arena.
  class Cache {
   public:
    explicit Cache(ConnectionArena& arena)
        : slots_(arena.slot_pool_, arena.cache_slots_), groups_(arena.group_pool_) {}
    SlotCache& slots() { return slots_; }
    GroupCache& groups() { return groups_; }

   private:
    SlotCache slots_;
    GroupCache groups_;
  };

  static Result<std::unique_ptr<ConnectionArena>> make(const ArenaOptions& options, Hash hash) {
    const std::size_t slot_bytes = std::size_t{options.connections_max} * sizeof(Entry);
    const std::uint32_t groups = groups_for(options);
    Result<base::ReservedMemory> slots = base::ReservedMemory::reserve(slot_bytes, options.pages);
    if (!slots) return slots.error();
    Result<base::ReservedMemory> index =
        base::ReservedMemory::reserve(std::size_t{groups} * sizeof(IndexGroup), options.pages);
    if (!index) return index.error();
    Result<base::ReservedMemory> owners =
        base::ReservedMemory::reserve(options.connections_max * sizeof(Owner), options.pages);
    if (!owners) return owners.error();
    if (options.populate) {
      if (const Result<void> done = slots->populate(); !done) return done.error();
      if (const Result<void> done = index->populate(); !done) return done.error();
      if (const Result<void> done = owners->populate(); !done) return done.error();
    }
    return std::unique_ptr<ConnectionArena>(
        new ConnectionArena(options, groups, std::move(*slots), std::move(*index), std::move(*owners), hash));
  }

  // [any] Slot to entry in constant time.
  Entry& entry(SlotId slot) const { return entries_[slot.value()]; }
  Entry* entries() const { return entries_; }
  IndexGroup* groups() const { return groups_; }
  const Hash& hash() const { return hash_; }

  // [any] Which table a slot is in, by a number that no other table has. Relaxed throughout: a table asks
  // only whether a slot is its own, and its own number is written only by its own thread.
  std::uint32_t new_table_number() { return tables_attached_.fetch_add(1, std::memory_order_relaxed) + 1; }
  std::uint32_t owner(SlotId slot) const { return owners_[slot.value()].load(std::memory_order_relaxed); }
  void set_owner(SlotId slot, std::uint32_t table_number) {
    owners_[slot.value()].store(table_number, std::memory_order_relaxed);
  }
  void prefetch_owner(SlotId slot) const { base::prefetch(&owners_[slot.value()]); }

  // [any] Entries in tables and slots in workers' caches (a cache holds at most cache_slots()).
  std::uint32_t slots_taken() const { return slot_pool_.taken(); }
  std::uint32_t groups_taken() const { return group_pool_.taken(); }
  std::uint32_t cache_slots() const { return cache_slots_; }
  // The bound: address space, of which only what was touched is resident.
  std::size_t bytes_reserved() const {
    return slot_memory_.size() + group_memory_.size() + owner_memory_.size();
  }
  // What a slot costs, and a group, with what is kept about them.
  static constexpr std::size_t kSlotBytes = sizeof(Entry) + sizeof(std::atomic<std::uint32_t>);
  static constexpr std::size_t kGroupBytes = sizeof(IndexGroup) + 1;

 private:
  // 0: in no table.
  using Owner = std::atomic<std::uint32_t>;
  static_assert(sizeof(Owner) == 4 && Owner::is_always_lock_free);
  static_assert(sizeof(Entry) >= SlotPool::kSlotBytesMin && alignof(Entry) <= base::kCacheLine);

  ConnectionArena(const ArenaOptions& options, std::uint32_t groups, base::ReservedMemory slots,
                  base::ReservedMemory index, base::ReservedMemory owners, Hash hash)
      : slot_memory_(std::move(slots)),
        group_memory_(std::move(index)),
        owner_memory_(std::move(owners)),
        entries_(reinterpret_cast<Entry*>(slot_memory_.data())),
        groups_(reinterpret_cast<IndexGroup*>(group_memory_.data())),
        owners_(reinterpret_cast<Owner*>(owner_memory_.data())),
        hash_(hash),
        cache_slots_(cache_slots_for(options)),
        slot_pool_(slot_memory_.data(), sizeof(Entry), options.connections_max),
        group_pool_(groups_, groups) {}

  // Caches hold back at most a 64th of all slots, or one each, so that a small limit is not spent on free
  // slots.
  static std::uint32_t cache_slots_for(const ArenaOptions& options) {
    const std::uint32_t workers = std::max(options.workers, 1u);
    return std::clamp(options.connections_max / (64 * workers), 1u, SlotCache::kCapacityMax);
  }

  // Enough for every spread of connections over tables: a group for each kGroupLoadMax connections, a quarter
  // more for blocks of which only a part is in use, as much again for overflow and for what the buddy system
  // cannot join; two for each table that may hold anything, and what caches hold back.
  static std::uint32_t groups_for(const ArenaOptions& options) {
    const std::uint64_t used = options.connections_max / kGroupLoadMax;
    const std::uint64_t tables = std::min(options.tables, options.connections_max);
    const std::uint64_t cached = std::uint64_t{std::max(options.workers, 1u)} * GroupCache::kGroupsMax;
    const std::uint64_t groups = used + used / 2 + 2 * tables + cached + 64;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(groups, UINT32_MAX / 2));
  }

  base::ReservedMemory slot_memory_;
  base::ReservedMemory group_memory_;
  base::ReservedMemory owner_memory_;
  Entry* const entries_;
  IndexGroup* const groups_;
  Owner* const owners_;
  std::atomic<std::uint32_t> tables_attached_{0};
  const Hash hash_;
  const std::uint32_t cache_slots_;
  SlotPool slot_pool_;
  GroupPool group_pool_;
};

}  // namespace evenkeel::engine
