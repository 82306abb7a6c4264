#include "engine/size_classes.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"

namespace evenkeel::engine {
namespace {

struct Item {
  std::uint64_t size = 0;
  base::ListLinks<Item> links;
};

TEST(SizeClasses, AClassIsNotWiderThanAQuarter) {
  for (std::uint64_t size = 4; size < kSizeMax - 1; ++size) {
    ASSERT_LE(size_class(size), size_class(size + 1));
    if (size_class(size) == size_class(size + 1)) continue;
    std::uint64_t first = size;
    while (first > 0 && size_class(first - 1) == size_class(size)) --first;
    ASSERT_LE(4 * size, 5 * first) << size;
  }
}

TEST(SizeClasses, TheLargestIsFoundWithinAQuarterWhateverComesAndGoes) {
  base::Random random(1);
  std::vector<Item> items(300);
  SizeClasses<Item, &Item::links> classes;
  for (int step = 0; step < 20'000; ++step) {
    Item& item = items[random.below(items.size())];
    if (item.links.linked) classes.remove(item, size_class(item.size));
    if (random.below(3) != 0) {
      item.size = random.below(std::uint64_t{1} << random.below(17));
      classes.insert(item, size_class(item.size));
    }
    std::uint64_t largest = 0;
    bool any = false;
    for (const Item& each : items) {
      any = any || each.links.linked;
      if (each.links.linked) largest = std::max(largest, each.size);
    }
    ASSERT_EQ(classes.empty(), !any);
    ASSERT_TRUE(!any || 5 * classes.largest()->size >= 4 * largest);
  }
}

}  // namespace
}  // namespace evenkeel::engine
