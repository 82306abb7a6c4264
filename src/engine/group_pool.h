// Index groups for all connection tables, out of one reserved memory, in blocks of 2^order groups (Knuth's
// buddy system: a block that comes back merges with its free neighbour, so that what small tables gave up can
// serve a large one). The pool is locked; a worker keeps a few of the smallest blocks in a cache of its own.
//
// Invariant: group 0 is never handed out and stays zero, the group of a table that is empty. The contents of
// a block that is handed out are unspecified.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "engine/index_group.h"

namespace evenkeel::engine {

class GroupPool {
 public:
  static constexpr std::uint32_t kOrderMax = 24;
  static constexpr std::uint32_t kNone = 0;  // no block: group 0 is never handed out

  // `memory` holds `groups` zeroed groups and outlives the pool.
  GroupPool(IndexGroup* memory, std::uint32_t groups);

  // [any] Fills `out` from its front with the first groups of blocks of 2^order groups and says how many
  // there were: fewer than asked means that nothing of that size is left. A lock, and at most kOrderMax steps
  // a block.
  std::size_t take(std::uint32_t order, std::span<std::uint32_t> out);
  // [any]
  void give_back(std::uint32_t order, std::span<const std::uint32_t> first_groups);

  // [any] Groups in blocks that are not in the pool.
  std::uint32_t taken() const;

 private:
  // A free block's first bytes: its place in the list of its order.
  struct FreeBlock {
    std::uint32_t next;
    std::uint32_t previous;
  };
  static constexpr std::uint8_t kNotFree = 0xff;

  std::uint32_t take_one(std::uint32_t order);
  void give_back_one(std::uint32_t first_group, std::uint32_t order);
  void link(std::uint32_t block, std::uint32_t order);
  void unlink(std::uint32_t block);
  FreeBlock& free_block(std::uint32_t block) { return *reinterpret_cast<FreeBlock*>(&memory_[block]); }

  IndexGroup* const memory_;
  const std::uint32_t groups_;

  mutable std::mutex mutex_;
  std::uint32_t taken_ = 0;
  std::array<std::uint32_t, kOrderMax + 1> heads_{};  // free blocks of each order; 0: none
  std::vector<std::uint8_t> free_order_;              // order of the free block that begins here, or kNotFree
};

// A worker's own few blocks of the orders that small tables use.
// Thread: [worker], one at a time.
class GroupCache {
 public:
  explicit GroupCache(GroupPool& pool) : pool_(pool) {}
  GroupCache(const GroupCache&) = delete;
  GroupCache& operator=(const GroupCache&) = delete;
  ~GroupCache() { give_back_all(); }

  // The first group of a block of 2^order groups, or GroupPool::kNone where nothing of that size is left.
  std::uint32_t take(std::uint32_t order);
  void give_back(std::uint32_t first_group, std::uint32_t order);
  void give_back_all();

  static constexpr std::uint32_t kOrders = 3;  // larger blocks always come from the pool
  static constexpr std::uint32_t kCapacity = 16;
  static constexpr std::uint32_t kGroupsMax = kCapacity * ((1u << kOrders) - 1);

 private:
  struct Stack {
    std::uint32_t count = 0;
    std::array<std::uint32_t, kCapacity> blocks;
  };

  GroupPool& pool_;
  std::array<Stack, kOrders> stacks_;
};

}  // namespace evenkeel::engine
