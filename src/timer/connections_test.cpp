#include "timer/connections.h"

#include <gtest/gtest.h>

#include <vector>

namespace evenkeel::timer {
namespace {

constexpr BucketId kBucket{3};

std::unique_ptr<TimerConnections> make_few() {
  auto made = TimerConnections::make(1, 1, 1);
  EXPECT_TRUE(made.ok());
  return std::move(*made);
}

void end(TimerConnections& connections, std::uint32_t slot) {
  connections.retire(slot);
  const engine::SlotId freed[] = {engine::SlotId(slot)};
  connections.pool().give_back(freed);
}

TEST(TimerConnections, AHandleIsOfItsConnectionWhileThatIsThereAndOfNoOther) {
  const auto connections = make_few();
  EXPECT_FALSE(connections->is_current({})) << "nothing was added";
  const TimerConnection added = *connections->add(kBucket, 7);
  EXPECT_TRUE(connections->is_current(added));
  EXPECT_EQ(connections->tag(added.slot), 7u);
  EXPECT_FALSE(connections->is_current({added.slot, 2, added.generation})) << "another bucket's";
  EXPECT_FALSE(connections->is_current({added.slot, 3, added.generation + 1})) << "a later one";
  EXPECT_FALSE(connections->is_current({added.slot + 1, 3, added.generation})) << "a slot that is free";
  connections->retire(added.slot);
  EXPECT_FALSE(connections->is_current(added));
  EXPECT_FALSE(connections->is_current({added.slot, 3, added.generation + 1})) << "free, though it is next";
}

TEST(TimerConnections, AnOldHandleStaysOldHoweverOftenItsSlotIsUsedAgain) {
  const auto connections = make_few();
  const TimerConnection first = *connections->add(kBucket, 0);
  while (connections->add(kBucket, 0)) {
  }
  TimerConnection last = first;
  for (std::uint64_t use = 1; use <= 200'000; ++use) {
    end(*connections, last.slot);
    const auto next = connections->add(kBucket, use);
    ASSERT_TRUE(next.has_value());
    ASSERT_EQ(next->slot, first.slot) << "the only one that is free";
    ASSERT_FALSE(connections->is_current(first)) << "use " << use;
    ASSERT_FALSE(connections->is_current(last)) << "use " << use;
    last = *next;
  }
  EXPECT_TRUE(connections->is_current(last));
}

}  // namespace
}  // namespace evenkeel::timer
