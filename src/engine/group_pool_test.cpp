#include "engine/group_pool.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <vector>

namespace evenkeel::engine {
namespace {

std::uint32_t take(GroupPool& pool, std::uint32_t order) {
  std::uint32_t block = GroupPool::kNone;
  pool.take(order, {&block, 1});
  return block;
}

RC_GTEST_PROP(GroupPool, BlocksNeverOverlapAndAllOfThemJoinAgain, ()) {
  const auto groups = *rc::gen::inRange<std::uint32_t>(1, 300);
  std::vector<IndexGroup> memory(groups);
  GroupPool pool(memory.data(), groups);
  std::map<std::uint32_t, std::uint32_t> held;  // first group -> groups
  for (int step = 0; step < 200; ++step) {
    if (*rc::gen::inRange(0, 2) == 0) {
      const auto order = *rc::gen::inRange<std::uint32_t>(0, 7);
      const std::uint32_t block = take(pool, order);
      if (block == GroupPool::kNone) continue;
      RC_ASSERT(block % (1u << order) == 0u);
      RC_ASSERT(block + (1u << order) <= groups);
      const auto after = held.lower_bound(block);
      const bool clear_after = after == held.end() || after->first >= block + (1u << order);
      const bool clear_before =
          after == held.begin() || std::prev(after)->first + std::prev(after)->second <= block;
      RC_ASSERT(clear_after);
      RC_ASSERT(clear_before);
      held[block] = 1u << order;
    } else if (!held.empty()) {
      const auto one = std::next(held.begin(), *rc::gen::inRange<long>(0, static_cast<long>(held.size())));
      pool.give_back(static_cast<std::uint32_t>(std::countr_zero(one->second)), {&one->first, 1});
      held.erase(one);
    }
  }
  for (const auto& [first, size] : held) {
    pool.give_back(static_cast<std::uint32_t>(std::countr_zero(size)), {&first, 1});
  }
  RC_ASSERT(pool.taken() == 0u);
  // What it could hand out at first it can hand out again: its largest aligned block.
  std::uint32_t largest = 0;
  for (std::uint32_t order = 0; 2u << order <= groups; ++order) largest = order;
  if (groups >= 2) RC_ASSERT(take(pool, largest) != GroupPool::kNone);
}

TEST(GroupPool, NeverHandsOutGroupZero) {
  std::vector<IndexGroup> memory(8);
  GroupPool pool(memory.data(), 8);
  for (int i = 0; i < 7; ++i) EXPECT_NE(take(pool, 0), GroupPool::kNone);
  EXPECT_EQ(take(pool, 0), GroupPool::kNone);
}

TEST(GroupCache, GivesEverythingBackAtItsEnd) {
  std::vector<IndexGroup> memory(256);
  GroupPool pool(memory.data(), 256);
  {
    GroupCache cache(pool);
    for (std::uint32_t order = 0; order < 5; ++order) cache.give_back(cache.take(order), order);
    EXPECT_GT(pool.taken(), 0u);
    EXPECT_LE(pool.taken(), GroupCache::kGroupsMax);
  }
  EXPECT_EQ(pool.taken(), 0u);
}

}  // namespace
}  // namespace evenkeel::engine
