#include "engine/timer_chunks.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"

namespace evenkeel::engine {
namespace {

constexpr std::uint64_t kIndexMask = 0xffff'ffff;

std::uint64_t with_next_change(std::uint64_t top, MagazineIndex magazine) {
  return (((top >> 32) + 1) << 32) | magazine;
}

// Every entry may sit alone in its chunk, and alone in its part of a level: two chunks an entry. As many for
// each bucket leave room for the chunks that a wheel keeps while it files what was in them.
std::uint64_t chunks_for(const TimerArena::Limits& limits) {
  return 2 * (limits.timers + limits.buckets) + std::uint64_t{limits.workers} * 3 * Magazine::kCapacity;
}

// Every full magazine holds 63 free chunks, and all others are with a cache, two each and one in exchange.
std::uint32_t magazines_for(std::uint32_t chunks, std::uint32_t caches) {
  return chunks / Magazine::kCapacity + 3 * caches + 2;
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

Result<std::unique_ptr<TimerArena>> TimerArena::make(const Limits& limits) {
  const std::uint64_t chunks = chunks_for(limits);
  if (chunks >> kChunkIndexBits != 0) {
    return usage_error("too many timers: " + std::to_string(limits.timers) + "; at most " +
                       std::to_string(kTimersMax) + " can run at once");
  }
  return make_of_chunks(static_cast<std::uint32_t>(chunks), limits.workers);
}

Result<std::unique_ptr<TimerArena>> TimerArena::make_of_chunks(std::uint32_t chunks, std::uint32_t caches) {
  CHECK(chunks >> kChunkIndexBits == 0);
  auto memory =
      base::ReservedMemory::reserve(bytes_for(chunks, magazines_for(chunks, caches)), base::PageSize::kHuge);
  if (!memory) return memory.error();
  return std::unique_ptr<TimerArena>(new TimerArena(chunks, caches, std::move(*memory)));
}

std::size_t TimerArena::bytes_for(std::uint32_t chunks, std::uint32_t magazines) {
  return (std::size_t{chunks} + 1) * sizeof(TimerChunk) + round_to_line(magazines * sizeof(Magazine)) +
         magazines * sizeof(std::atomic<MagazineIndex>);
}

TimerArena::TimerArena(std::uint32_t chunks, std::uint32_t caches, base::ReservedMemory memory)
    : capacity_(chunks),
      magazine_count_(magazines_for(chunks, caches)),
      memory_(std::move(memory)),
      next_untouched_(1) {
  // The memory is zero, which is the initial state of all three arrays.
  std::byte* magazines = memory_.data() + (std::size_t{capacity_} + 1) * sizeof(TimerChunk);
  chunks_ = reinterpret_cast<TimerChunk*>(memory_.data());
  magazines_ = reinterpret_cast<Magazine*>(magazines);
  links_ = reinterpret_cast<std::atomic<MagazineIndex>*>(magazines +
                                                         round_to_line(magazine_count_ * sizeof(Magazine)));
}

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
