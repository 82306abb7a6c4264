// Planning must not allocate after the first call: the control loop shares the machine with the packet path.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <new>

#include "base/random.h"
#include "evenkeel/policy.h"
#include "policy/load_estimator.h"

namespace {
std::atomic<std::size_t> allocations{0};
}

// Not inlined: the compiler would take the malloc of one for a mismatch with the delete of the other.
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);  // a count, read in the same thread
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace evenkeel {
namespace {

// New loads, owners that follow the plans, elephants, a processor that comes and goes.
std::size_t allocations_while_planning(std::string_view name, const PolicyOptions& options) {
  constexpr std::size_t kBuckets = 1024, kProcessors = 16;
  std::vector<double> load(kBuckets), usage(kProcessors), capacity(kProcessors, 1);
  std::vector<ProcessorId> owner(kBuckets);
  EXPECT_TRUE(assign_by_capacity(capacity, owner));
  auto policy = make_policy(name, options);
  policy::LoadEstimator estimator;
  Plan plan;
  base::Random random(1);
  std::size_t before = 0;
  for (int round = 0; round < 60; ++round) {
    std::fill(usage.begin(), usage.end(), 0.0);
    for (std::size_t j = 0; j < kBuckets; ++j) {
      load[j] = std::exp(random.normal() * (round % 4)) * 0.002;
      usage[owner[j].value()] += load[j];
    }
    load[random.below(kBuckets)] += 2 * static_cast<double>(round % 3);
    capacity[3] = round % 20 == 19 ? 0 : 1;
    const Snapshot snapshot{.bucket_load = load,
                            .owner = owner,
                            .usage = usage,
                            .backlog = {},
                            .capacity = capacity,
                            .pinned = {}};
    EXPECT_TRUE(policy.value()->plan(estimator.observe(snapshot), plan).ok());
    for (const Move& move : plan.moves) owner[move.bucket.value()] = move.to;
    if (round == 0) before = allocations.load(std::memory_order_relaxed);
  }
  return allocations.load(std::memory_order_relaxed) - before;
}

TEST(Planning, DoesNotAllocateAfterTheFirstCall) {
  for (const std::string_view name : policy_names()) {
    EXPECT_EQ(allocations_while_planning(name, PolicyOptions::running()), 0u) << name;
    EXPECT_EQ(allocations_while_planning(name, PolicyOptions::quality()), 0u) << name;
  }
}

}  // namespace
}  // namespace evenkeel
