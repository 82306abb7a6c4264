#include "engine/timer_chunks.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace evenkeel::engine {
namespace {

constexpr std::uint64_t kIndexMask = 0xffff'ffff;

std::uint64_t with_next_change(std::uint64_t top, MagazineIndex magazine) {
  return (((top >> 32) + 1) << 32) | magazine;
}

// Every entry may sit alone in its chunk, and alone in its part of a level: two chunks an entry. There are at
// most a quarter more entries than timers, and 28 more in each wheel (timer_wheel.h, "garbage").
std::uint32_t chunks_for(const TimerArena::Limits& limits) {
  const std::uint64_t entries = limits.timers + limits.timers / 4 + std::uint64_t{limits.buckets} * 28;
  const std::uint64_t hoarded = std::uint64_t{limits.workers} * 3 * Magazine::kCapacity;
  const std::uint64_t chunks = 2 * entries + hoarded;
  CHECK(chunks < kIndexMask);
  return static_cast<std::uint32_t>(chunks);
}

std::size_t round_to_line(std::size_t bytes) {
  return (bytes + base::kCacheLine - 1) & ~(base::kCacheLine - 1);
}

}  // namespace

void MagazineStack::push(std::span<std::atomic<MagazineIndex>> links, MagazineIndex magazine) {
  std::uint64_t top = top_.load(std::memory_order_relaxed);
  do {
    // Relaxed: published by the release below.
    links[magazine].store(static_cast<MagazineIndex>(top & kIndexMask), std::memory_order_relaxed);
    // Release: the magazine's content and link are visible to the thread that pops it.
  } while (!top_.compare_exchange_weak(top, with_next_change(top, magazine), std::memory_order_release,
                                       std::memory_order_relaxed));
}

MagazineIndex MagazineStack::pop(std::span<std::atomic<MagazineIndex>> links) {
  // Acquire here and on failure: the link that is read next was written before the top was set.
  std::uint64_t top = top_.load(std::memory_order_acquire);
  for (;;) {
    const auto magazine = static_cast<MagazineIndex>(top & kIndexMask);
    if (magazine == 0) return 0;
    // May be of a magazine that another thread has just popped; then the change count makes the exchange
    // fail.
    const MagazineIndex next = links[magazine].load(std::memory_order_relaxed);
    if (top_.compare_exchange_weak(top, with_next_change(top, next), std::memory_order_acquire,
                                   std::memory_order_acquire)) {
      return magazine;
    }
  }
}

TimerArena::TimerArena(const Limits& limits) : TimerArena(chunks_for(limits), limits.workers) {}

TimerArena::TimerArena(std::uint32_t chunks, std::uint32_t caches)
    // Every full magazine holds 63 free chunks, and all others are with a cache, two each and one in
    // exchange.
    : capacity_(chunks), magazine_count_(chunks / Magazine::kCapacity + 3 * caches + 2), next_untouched_(1) {
  const std::size_t chunk_bytes = (std::size_t{capacity_} + 1) * sizeof(TimerChunk);
  const std::size_t magazine_bytes = round_to_line(magazine_count_ * sizeof(Magazine));
  mapped_bytes_ = chunk_bytes + magazine_bytes + magazine_count_ * sizeof(std::atomic<MagazineIndex>);
  void* memory = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(memory != MAP_FAILED);
  // Fewer translation misses where the system offers large pages; it may refuse, which changes nothing else.
  madvise(memory, mapped_bytes_, MADV_HUGEPAGE);
  auto* bytes = static_cast<std::byte*>(memory);
  // The mapping is zero-filled, which is the initial state of all three arrays.
  chunks_ = reinterpret_cast<TimerChunk*>(bytes);
  magazines_ = reinterpret_cast<Magazine*>(bytes + chunk_bytes);
  links_ = reinterpret_cast<std::atomic<MagazineIndex>*>(bytes + chunk_bytes + magazine_bytes);
}

TimerArena::~TimerArena() { munmap(chunks_, mapped_bytes_); }

std::uint32_t TimerArena::touched() const {
  // Relaxed: a number for reports. Threads that found the arena exhausted have pushed it beyond the end.
  const std::uint64_t next = next_untouched_.load(std::memory_order_relaxed);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(next - 1, capacity_));
}

MagazineIndex TimerArena::take_empty() {
  const MagazineIndex magazine = empty_.pop({links_, magazine_count_});
  if (magazine != 0) return magazine;
  // Relaxed: the number alone matters, a magazine's first content is the zero of the mapping.
  const MagazineIndex fresh = next_magazine_.fetch_add(1, std::memory_order_relaxed);
  CHECK(fresh < magazine_count_);
  return fresh;
}

void TimerArena::return_empty(MagazineIndex magazine) { empty_.push({links_, magazine_count_}, magazine); }

void TimerArena::return_full(MagazineIndex magazine) { full_.push({links_, magazine_count_}, magazine); }

MagazineIndex TimerArena::exchange_for_filled(MagazineIndex empty) {
  const MagazineIndex full = full_.pop({links_, magazine_count_});
  if (full != 0) {
    return_empty(empty);
    return full;
  }
  if (next_untouched_.load(std::memory_order_relaxed) > capacity_) return 0;
  // Relaxed: it divides the untouched chunks; nothing was written to them yet.
  const std::uint64_t first = next_untouched_.fetch_add(Magazine::kCapacity, std::memory_order_relaxed);
  const std::uint64_t end =
      std::min<std::uint64_t>(first + Magazine::kCapacity, capacity_ + std::uint64_t{1});
  if (first >= end) return 0;
  Magazine& magazine = magazines_[empty];
  // The lowest index on top, so that memory is touched in order.
  for (std::uint64_t chunk = end; chunk-- > first;) {
    magazine.chunks[magazine.count++] = static_cast<ChunkIndex>(chunk);
  }
  return empty;
}

TimerChunkCache::TimerChunkCache(TimerArena& arena)
    : arena_(arena), loaded_(arena.take_empty()), previous_(arena.take_empty()) {}

TimerChunkCache::~TimerChunkCache() {
  for (const MagazineIndex magazine : {loaded_, previous_}) {
    // One that is neither full nor empty goes with the full ones: its chunks stay usable.
    arena_.magazines_[magazine].count == 0 ? arena_.return_empty(magazine) : arena_.return_full(magazine);
  }
}

ChunkIndex TimerChunkCache::take_slowly() {
  std::swap(loaded_, previous_);
  if (arena_.magazines_[loaded_].count == 0) {
    const MagazineIndex filled = arena_.exchange_for_filled(loaded_);
    if (filled == 0) return kNoChunk;
    loaded_ = filled;
  }
  return take();
}

void TimerChunkCache::give_back_slowly(ChunkIndex chunk) {
  std::swap(loaded_, previous_);
  if (arena_.magazines_[loaded_].count == Magazine::kCapacity) {
    arena_.return_full(loaded_);
    loaded_ = arena_.take_empty();
  }
  give_back(chunk);
}

}  // namespace evenkeel::engine
