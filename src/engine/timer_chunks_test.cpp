#include "engine/timer_chunks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "base/random.h"

namespace evenkeel::engine {
namespace {

TEST(TimerArena, HandsOutEachChunkOnceAndThenNone) {
  const auto arena = TimerArena::make_of_chunks(1000, 1).value();
  TimerChunkCache cache(*arena);
  std::set<ChunkIndex> taken;
  for (;;) {
    const ChunkIndex chunk = cache.take();
    if (chunk == kNoChunk) break;
    ASSERT_LE(chunk, 1000u);
    ASSERT_TRUE(taken.insert(chunk).second);
  }
  EXPECT_EQ(taken.size(), 1000u);
  EXPECT_EQ(arena->touched(), 1000u);
}

TEST(TimerArena, ChunksGivenBackToAnotherCacheAreUsedAgain) {
  const auto arena = TimerArena::make_of_chunks(1000, 2).value();
  TimerChunkCache from(*arena), to(*arena);
  for (int round = 0; round < 100; ++round) {
    std::vector<ChunkIndex> taken;
    // What a cache may keep for itself: two magazines.
    for (std::uint32_t i = 0; i < 1000 - 2 * Magazine::kCapacity; ++i) taken.push_back(from.take());
    ASSERT_EQ(std::set<ChunkIndex>(taken.begin(), taken.end()).size(), taken.size());
    ASSERT_FALSE(std::set<ChunkIndex>(taken.begin(), taken.end()).contains(kNoChunk));
    for (const ChunkIndex chunk : taken) to.give_back(chunk);
  }
  EXPECT_EQ(from.in_use() + to.in_use(), 0);
}

// Threads pass chunks to each other through a table of atomics; each writes to the chunks that it holds.
TEST(TimerArena, NoChunkHasTwoOwnersWhenThreadsShareIt) {
  constexpr std::uint32_t kThreads = 3;
  const auto arena = TimerArena::make_of_chunks(2000, kThreads).value();
  std::vector<std::unique_ptr<TimerChunkCache>> caches;
  for (std::uint32_t i = 0; i < kThreads; ++i) caches.push_back(std::make_unique<TimerChunkCache>(*arena));
  std::vector<std::atomic<ChunkIndex>> exchange(500);
  std::atomic<std::uint32_t> failures{0};
  std::vector<std::thread> threads;
  for (std::uint32_t id = 0; id < kThreads; ++id) {
    threads.emplace_back([&, id] {
      base::Random random(id);
      TimerChunkCache& cache = *caches[id];
      for (int i = 0; i < 100'000; ++i) {
        const ChunkIndex mine = cache.take();
        if (mine == kNoChunk) {
          ++failures;
          continue;
        }
        cache[mine].link.entries.fill(mine);
        const ChunkIndex other =
            exchange[random.below(exchange.size())].exchange(mine, std::memory_order_acq_rel);
        if (other == kNoChunk) continue;
        for (const std::uint64_t word : cache[other].link.entries) failures += word != other;
        cache.give_back(other);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0u);
}

}  // namespace
}  // namespace evenkeel::engine
