// The memory of all timers: cache lines from one arena, reserved at start-up, handed around without locks.
//
// A bucket's wheel moves from worker to worker, so a chunk taken by one worker may be given back by another.
// Each worker has a cache of free chunks in two magazines (Bonwick and Adams, USENIX 2001); only full and
// empty magazines go through the arena, by two stacks that need one compare-and-swap for each 63 chunks.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/reserved_memory.h"
#include "base/units.h"
#include "evenkeel/ids.h"
#include "evenkeel/result.h"

namespace evenkeel::engine {

// Chunks are named by their index in the arena, 32 bits instead of a pointer's 64. Index 0 is none.
using ChunkIndex = std::uint32_t;
inline constexpr ChunkIndex kNoChunk = 0;
inline constexpr int kChunkIndexBits = 26;  // leaves room for the rest of a timer's state (timer_state.h)

// One cache line: either a link of a list of timers, or 16 list heads of a wheel's level.
union alignas(base::kCacheLine) TimerChunk {
  static constexpr std::uint32_t kEntries = 7;
  static constexpr std::uint32_t kHeads = 16;

  struct Link {
    ChunkIndex next;
    std::uint16_t count;
    std::uint16_t list;  // which of its wheel's lists it is in
    std::array<std::uint64_t, kEntries> entries;
  } link;
  std::array<ChunkIndex, kHeads> heads;
};
static_assert(sizeof(TimerChunk) == base::kCacheLine);

// Free chunks, as many as make the exchange with the arena rare: 63 indices and their number, 256 bytes.
struct Magazine {
  static constexpr std::uint32_t kCapacity = 63;
  std::uint32_t count;
  std::array<ChunkIndex, kCapacity> chunks;
};
using MagazineIndex = std::uint32_t;  // 0 is none

// A last-in first-out stack of magazines that any thread may push to and pop from, by Treiber's method. The
// links stand apart from the magazines, so that a late reader of a link never reads what an owner writes.
class MagazineStack {
 public:
  void push(std::span<std::atomic<MagazineIndex>> links, MagazineIndex magazine);
  MagazineIndex pop(std::span<std::atomic<MagazineIndex>> links);

 private:
  // Low half: the top magazine. High half: a count of changes, so that a top that was popped and pushed again
  // between a reader's load and its exchange is noticed.
  alignas(base::kCacheLine) std::atomic<std::uint64_t> top_{0};
};

// Address space for the greatest number of chunks is reserved at construction; the system backs a page when
// it is first touched, so what is not used costs nothing. Nothing is reserved or freed after that.
class TimerArena {
 public:
  struct Limits {
    std::uint64_t timers = 0;   // that have an entry in some wheel at the same time
    std::uint32_t buckets = 1;  // that is, wheels
    std::uint32_t workers = 1;  // that is, caches
  };
  // Memory for any spread of the timers over buckets and ticks, so that starting a timer within the limits
  // never finds the arena empty. A usage error for more than kTimersMax; a runtime error where the system
  // refuses.
  static Result<std::unique_ptr<TimerArena>> make(const Limits& limits);
  static constexpr std::uint64_t kTimersMax = kConnectionsMax;

  // Exactly so many chunks.
  static Result<std::unique_ptr<TimerArena>> make_of_chunks(std::uint32_t chunks, std::uint32_t caches);

  TimerArena(const TimerArena&) = delete;
  TimerArena& operator=(const TimerArena&) = delete;

  // [owner of the chunk]
  TimerChunk& chunk(ChunkIndex index) { return chunks_[index]; }

  std::uint32_t capacity() const { return capacity_; }
  // [any] Chunks that were ever handed out: what the timers' memory is, in cache lines.
  std::uint32_t touched() const;

 private:
  friend class TimerChunkCache;

  TimerArena(std::uint32_t chunks, std::uint32_t caches, base::ReservedMemory memory);
  static std::size_t bytes_for(std::uint32_t chunks, std::uint32_t magazines);

  MagazineIndex take_empty();
  void return_empty(MagazineIndex magazine);
  // A magazine with free chunks in exchange for `empty`; 0 (and `empty` stays with the caller) if there is
  // none.
  MagazineIndex exchange_for_filled(MagazineIndex empty);
  void return_full(MagazineIndex magazine);

  std::uint32_t capacity_;
  std::uint32_t magazine_count_;
  base::ReservedMemory memory_;
  TimerChunk* chunks_;
  Magazine* magazines_;
  std::atomic<MagazineIndex>* links_;
  MagazineStack full_;
  MagazineStack empty_;
  alignas(base::kCacheLine) std::atomic<std::uint64_t> next_untouched_;  // chunk
  std::atomic<std::uint32_t> next_magazine_{1};
};

// One worker's free chunks. Thread: its worker. Holds at most 126 free chunks that others cannot use.
class TimerChunkCache {
 public:
  explicit TimerChunkCache(TimerArena& arena);
  ~TimerChunkCache();
  TimerChunkCache(const TimerChunkCache&) = delete;
  TimerChunkCache& operator=(const TimerChunkCache&) = delete;

  TimerChunk& operator[](ChunkIndex index) { return arena_.chunk(index); }

  // A chunk with arbitrary content, or kNoChunk when the arena is exhausted.
  ChunkIndex take() {
    Magazine& magazine = arena_.magazines_[loaded_];
    if (magazine.count == 0) return take_slowly();
    ++in_use_;
    return magazine.chunks[--magazine.count];
  }

  void give_back(ChunkIndex chunk) {
    Magazine& magazine = arena_.magazines_[loaded_];
    if (magazine.count == Magazine::kCapacity) return give_back_slowly(chunk);
    --in_use_;
    magazine.chunks[magazine.count++] = chunk;
  }

  // Taken less given back here; summed over all caches, the chunks in use.
  std::int64_t in_use() const { return in_use_; }

 private:
  ChunkIndex take_slowly();
  void give_back_slowly(ChunkIndex chunk);

  TimerArena& arena_;
  MagazineIndex loaded_;
  MagazineIndex previous_;  // full or empty: what spares an exchange when the use swings around a border
  std::int64_t in_use_ = 0;
};

}  // namespace evenkeel::engine
