#include "engine/group_pool.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace evenkeel::engine {

GroupPool::GroupPool(IndexGroup* memory, std::uint32_t groups)
    : memory_(memory), groups_(groups), free_order_(groups, kNotFree) {
  CHECK(groups >= 1);
  // Blocks are aligned to their size; group 0 is kept, so the first ones are 1, 2-3, 4-7, ...
  std::uint32_t first = 1;
  while (first < groups) {
    const auto aligned = static_cast<std::uint32_t>(std::countr_zero(first));
    const auto fitting = static_cast<std::uint32_t>(std::bit_width(groups - first)) - 1;
    const std::uint32_t order = std::min({aligned, fitting, kOrderMax});
    link(first, order);
    first += 1u << order;
  }
}

std::size_t GroupPool::take(std::uint32_t order, std::span<std::uint32_t> out) {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  while (count < out.size()) {
    const std::uint32_t block = take_one(order);
    if (block == kNone) break;
    out[count++] = block;
  }
  taken_ += static_cast<std::uint32_t>(count) << order;
  return count;
}

void GroupPool::give_back(std::uint32_t order, std::span<const std::uint32_t> first_groups) {
  const std::lock_guard lock(mutex_);
  const auto groups = static_cast<std::uint32_t>(first_groups.size()) << order;
  CHECK(groups <= taken_);
  taken_ -= groups;
  for (const std::uint32_t first : first_groups) give_back_one(first, order);
}

std::uint32_t GroupPool::take_one(std::uint32_t order) {
  std::uint32_t found = order;
  while (found <= kOrderMax && heads_[found] == kNone) ++found;
  if (found > kOrderMax) return kNone;
  const std::uint32_t block = heads_[found];
  unlink(block);
  for (; found > order; --found) link(block + (1u << (found - 1)), found - 1);
  return block;
}

void GroupPool::give_back_one(std::uint32_t first_group, std::uint32_t order) {
  for (; order < kOrderMax; ++order) {
    const std::uint32_t buddy = first_group ^ (1u << order);
    if (buddy >= groups_ || free_order_[buddy] != order) break;
    unlink(buddy);
    first_group = std::min(first_group, buddy);
  }
  link(first_group, order);
}

std::uint32_t GroupPool::taken() const {
  const std::lock_guard lock(mutex_);
  return taken_;
}

void GroupPool::link(std::uint32_t block, std::uint32_t order) {
  free_block(block) = {heads_[order], kNone};
  if (heads_[order] != kNone) free_block(heads_[order]).previous = block;
  heads_[order] = block;
  free_order_[block] = static_cast<std::uint8_t>(order);
}

void GroupPool::unlink(std::uint32_t block) {
  const FreeBlock links = free_block(block);
  if (links.next != kNone) free_block(links.next).previous = links.previous;
  if (links.previous != kNone) {
    free_block(links.previous).next = links.next;
  } else {
    heads_[free_order_[block]] = links.next;
  }
  free_order_[block] = kNotFree;
}

std::uint32_t GroupCache::take(std::uint32_t order) {
  if (order >= kOrders) {
    std::uint32_t block = GroupPool::kNone;
    pool_.take(order, {&block, 1});
    return block;
  }
  Stack& stack = stacks_[order];
  if (stack.count == 0) {
    const auto wanted = std::span(stack.blocks).first(kCapacity / 2);
    stack.count = static_cast<std::uint32_t>(pool_.take(order, wanted));
  }
  return stack.count == 0 ? GroupPool::kNone : stack.blocks[--stack.count];
}

void GroupCache::give_back(std::uint32_t first_group, std::uint32_t order) {
  if (order >= kOrders) return pool_.give_back(order, {&first_group, 1});
  Stack& stack = stacks_[order];
  if (stack.count == kCapacity) {
    stack.count = kCapacity / 2;
    pool_.give_back(order, std::span(stack.blocks).subspan(stack.count));
  }
  stack.blocks[stack.count++] = first_group;
}

void GroupCache::give_back_all() {
  for (std::uint32_t order = 0; order < kOrders; ++order) {
    Stack& stack = stacks_[order];
    pool_.give_back(order, std::span(stack.blocks).first(stack.count));
    stack.count = 0;
  }
}

}  // namespace evenkeel::engine
