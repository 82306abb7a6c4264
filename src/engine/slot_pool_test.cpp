#include "engine/slot_pool.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>
#include <vector>

namespace evenkeel::engine {
namespace {

constexpr std::size_t kSlotBytes = 20;  // a trunk lists three others

RC_GTEST_PROP(SlotPool, HandsOutEverySlotOnceAndAgainAfterItCameBack, ()) {
  const auto slots = *rc::gen::inRange<std::uint32_t>(0, 200);
  std::vector<std::byte> memory(slots * kSlotBytes);
  SlotPool pool(memory.data(), kSlotBytes, slots);
  std::set<SlotId> held;
  for (int round = 0; round < 20; ++round) {
    std::vector<SlotId> out(*rc::gen::inRange<std::size_t>(0, 60));
    const std::size_t count = pool.take(out);
    RC_ASSERT(count == std::min<std::size_t>(out.size(), slots - held.size()));
    for (std::size_t i = 0; i < count; ++i) {
      RC_ASSERT(out[i].value() < slots);
      RC_ASSERT(held.insert(out[i]).second);
      std::fill_n(&memory[out[i].value() * kSlotBytes], kSlotBytes, std::byte{0xee});  // it is the taker's
    }
    RC_ASSERT(pool.taken() == held.size());
    while (!held.empty() && *rc::gen::inRange(0, 8) != 0) {
      const SlotId slot =
          *std::next(held.begin(), *rc::gen::inRange<long>(0, static_cast<long>(held.size())));
      pool.give_back({&slot, 1});
      held.erase(slot);
    }
  }
}

TEST(SlotCache, GivesEverythingBackAtItsEnd) {
  std::vector<std::byte> memory(100 * kSlotBytes);
  SlotPool pool(memory.data(), kSlotBytes, 100);
  {
    SlotCache cache(pool, 16);
    const SlotId slot = cache.take();
    EXPECT_LE(pool.taken(), 16u);
    cache.give_back(slot);
  }
  EXPECT_EQ(pool.taken(), 0u);
}

TEST(SlotCache, ServesTheLastSlotAndThenSaysThatThereIsNone) {
  std::vector<std::byte> memory(10 * kSlotBytes);
  SlotPool pool(memory.data(), kSlotBytes, 10);
  SlotCache cache(pool, 4);
  std::set<SlotId> held;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(held.insert(cache.take()).second);
  EXPECT_EQ(cache.take(), kNoSlot);
  cache.give_back(SlotId{3});
  EXPECT_EQ(cache.take(), SlotId{3});
  for (const SlotId slot : held) cache.give_back(slot);
}

}  // namespace
}  // namespace evenkeel::engine
