#include "engine/ring.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <deque>
#include <numeric>
#include <thread>
#include <vector>

namespace evenkeel::engine {
namespace {

TEST(Ring, HoldsExactlyItsCapacity) {
  Ring<int> ring(8);
  const std::vector<int> items(10, 1);
  EXPECT_EQ(ring.push(items), 8u);
  EXPECT_EQ(ring.push(items), 0u);
  EXPECT_EQ(ring.size(), 8u);
  std::vector<int> out(3);
  EXPECT_EQ(ring.pop(out), 3u);
  EXPECT_EQ(ring.push(items), 3u);
}

RC_GTEST_PROP(Ring, BehavesAsABoundedQueue, ()) {
  const auto capacity = std::size_t{1} << *rc::gen::inRange(0, 6);
  Ring<int> ring(capacity);
  std::deque<int> model;
  int next = 0;
  for (const int size : *rc::gen::container<std::vector<int>>(rc::gen::inRange(-40, 40))) {
    if (size >= 0) {
      std::vector<int> items(static_cast<std::size_t>(size));
      std::iota(items.begin(), items.end(), next);
      const std::size_t pushed = ring.push(items);
      RC_ASSERT(pushed == std::min(items.size(), capacity - model.size()));
      model.insert(model.end(), items.begin(), items.begin() + static_cast<std::ptrdiff_t>(pushed));
      next += static_cast<int>(pushed);
    } else {
      std::vector<int> out(static_cast<std::size_t>(-size));
      out.resize(ring.pop(out));
      RC_ASSERT(out.size() == std::min(static_cast<std::size_t>(-size), model.size()));
      RC_ASSERT(std::equal(out.begin(), out.end(), model.begin()));
      model.erase(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(out.size()));
    }
    RC_ASSERT(ring.size() == model.size());
  }
}

// Run under ThreadSanitizer as well: the consumer reads what the item points to.
TEST(Ring, HandsItemsAndWhatTheyPointToFromThreadToThread) {
  constexpr std::uint32_t kItems = 100'000;
  std::vector<std::uint32_t> pointed_to(kItems);
  Ring<std::uint32_t*> ring(64);
  std::thread producer([&] {
    for (std::uint32_t i = 0; i < kItems; ++i) {
      pointed_to[i] = i;
      std::uint32_t* item = &pointed_to[i];
      while (ring.push({&item, 1}) == 0) std::this_thread::yield();
    }
  });
  std::uint32_t expected = 0;
  std::vector<std::uint32_t*> out(17);
  while (expected < kItems) {
    const std::size_t count = ring.pop(out);
    if (count == 0) std::this_thread::yield();
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(*out[i], expected++);
  }
  producer.join();
}

}  // namespace
}  // namespace evenkeel::engine
