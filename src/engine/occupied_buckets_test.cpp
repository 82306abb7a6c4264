#include "engine/occupied_buckets.h"

#include <gtest/gtest.h>

#include <set>

#include "base/random.h"

namespace evenkeel::engine {
namespace {

TEST(OccupiedBuckets, FindsWhatASortedSetFinds) {
  base::Random random(7);
  for (const std::uint32_t buckets : {1u, 2u, 64u, 128u, 1'024u}) {
    OccupiedBuckets occupied(buckets);
    std::set<std::uint32_t> model;
    for (int step = 0; step < 2'000; ++step) {
      const auto bucket = static_cast<std::uint32_t>(random.below(buckets));
      if (random.below(3) == 0) {
        occupied.note(BucketId(bucket));
        model.insert(bucket);
      } else if (random.below(2) == 0) {
        occupied.forget(BucketId(bucket));
        model.erase(bucket);
      }
      BucketId found{0};
      ASSERT_EQ(occupied.next(BucketId(bucket), found), !model.empty());
      if (model.empty()) continue;
      const auto expected = model.lower_bound(bucket);
      ASSERT_EQ(found.value(), expected != model.end() ? *expected : *model.begin());
    }
  }
}

}  // namespace
}  // namespace evenkeel::engine
