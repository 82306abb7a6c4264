// Which of a worker's buckets has timers to look at next: found without visiting the others.
//
// A wheel of wheels: each bucket is one timer of the worker's own wheel, armed for the time when the bucket's
// wheel wants to be advanced. Buckets that are due wait in a line and are served in turn, a part of the slice
// each, so that a bucket with a million due timers delays the others by its part only.
//
// Invariant: for every bucket noted and not removed, the index is armed at or before the due tick last noted,
// or the bucket waits in the line.
//
// Thread: its worker. Memory: 16 bytes of address space for each bucket of the table, whoever owns it, of
// which only the pages with buckets that were noted become resident.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>

#include "engine/tick.h"
#include "engine/timer_chunks.h"
#include "engine/timer_wheel.h"
#include "evenkeel/ids.h"

namespace evenkeel::engine {

template <typename Clock>
class DueBuckets {
 public:
  // Entries of one bucket that are looked at before the next bucket's turn.
  static constexpr std::uint32_t kTurnEntries = 64;

  DueBuckets(TimerChunkCache& chunks, std::uint32_t buckets) : chunks_(chunks), states_(buckets) {}

  // The bucket's wheel wants to be advanced at `due` (TimerWheel::next_due()): call it after a timer of the
  // bucket was started, and when the bucket was taken over. Costs a comparison unless `due` is earlier than
  // what is known.
  // [[nodiscard]] false: no memory (see TimerArena).
  [[nodiscard]] bool note(BucketId bucket, Tick<Clock> now, Tick<Clock> due) {
    Entry& entry = states_.entries[bucket.value()];
    if (entry.waiting || due == kNever<Clock>) return true;
    if (due <= now) {
      join_line(bucket.value());
      return true;
    }
    if (entry.timer.armed() && index_.deadline(entry.timer) <= due) return true;
    // Beyond the index's range, it looks again in time.
    const Tick<Clock> at = std::min(due, now + TimerWheel<Clock>::kRange);
    return index_.start(chunks_, states_, {bucket.value(), 0}, now, at) == TimerStart::kStarted;
  }

  // The bucket goes to another worker.
  void remove(BucketId bucket) {
    Entry& entry = states_.entries[bucket.value()];
    if (entry.waiting) leave_line(bucket.value());
    index_.remove(chunks_, states_, {bucket.value(), 0});
  }

  // Serves buckets that are due at `now`, in turn, until none is left or `budget` entries were looked at.
  // serve(BucketId, std::uint32_t& budget) advances the bucket's wheel, and returns its next_due() if it is
  // done, or a tick at or before `now` if it is not. Returns false when the budget ended first.
  template <typename Serve>
  bool advance(Tick<Clock> now, std::uint32_t& budget, Serve&& serve) {
    const bool all_known = index_.advance(chunks_, states_, now, budget, [this](TimerName name, Tick<Clock>) {
      if (!states_.entries[name.slot].waiting) join_line(name.slot);
    });
    while (first_ != kNone && budget != 0) {
      const std::uint32_t count = prefetch_first(serve);
      for (std::uint32_t i = 0; i < count && budget != 0; ++i) serve_first(now, budget, serve);
    }
    return all_known && first_ == kNone;
  }

  // When advance() must be called at the latest; at or before the present if it stopped for its budget.
  Tick<Clock> next_due() const { return first_ != kNone ? Tick<Clock>{0} : index_.next_due(); }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  // Enough for the misses of one step to overlap, few enough for all that was fetched to stay in the
  // first-level cache.
  static constexpr std::uint32_t kTogether = 8;

  // A bucket in the index, and its place in the line of those that are due.
  struct Entry {
    TimerState timer;
    std::uint32_t next = 0;      // while it waits
    std::uint16_t previous = 0;  // while it waits, if it is not the first
    bool waiting = false;
  };
  static_assert(sizeof(Entry) == 16 && kBucketsMax - 1 <= 0xffff);
  // Zeroed memory is an array of them.
  static_assert(std::is_aggregate_v<Entry> && std::is_trivially_destructible_v<Entry>);

  struct Free {
    void operator()(Entry* entries) const { std::free(entries); }
  };

  struct States {
    explicit States(std::uint32_t buckets)
        : entries(static_cast<Entry*>(std::calloc(buckets, sizeof(Entry)))) {
      if (entries == nullptr) throw std::bad_alloc();
    }
    TimerState& state(TimerName name) { return entries[name.slot].timer; }
    void prefetch(TimerName name) { __builtin_prefetch(&entries[name.slot], 1); }
    std::unique_ptr<Entry[], Free> entries;
  };

  // The first buckets of the line, at most kTogether, are fetched step by step at once.
  template <typename Serve>
  std::uint32_t prefetch_first(Serve& serve) {
    std::uint32_t count = 0;
    std::array<std::uint32_t, kTogether> buckets;
    for (std::uint32_t bucket = first_; bucket != kNone && count < kTogether;
         bucket = states_.entries[bucket].next) {
      buckets[count++] = bucket;
    }
    if constexpr (requires { serve.prefetch(BucketId{}, PrefetchStep::kWheel); }) {
      for (const PrefetchStep step :
           {PrefetchStep::kWheel, PrefetchStep::kHeads, PrefetchStep::kList, PrefetchStep::kStates}) {
        for (std::uint32_t i = 0; i < count; ++i) serve.prefetch(BucketId(buckets[i]), step);
      }
    }
    return count;
  }

  template <typename Serve>
  void serve_first(Tick<Clock> now, std::uint32_t& budget, Serve& serve) {
    const std::uint32_t bucket = first_;
    leave_line(bucket);
    const std::uint32_t granted = std::min(budget, kTurnEntries);
    std::uint32_t turn = granted;
    const Tick<Clock> due = serve(BucketId(bucket), turn);
    // A look at a bucket with nothing due costs as much as an entry.
    budget -= std::max(granted - turn, 1u);
    if (!note(BucketId(bucket), now, due)) join_line(bucket);  // without memory, it keeps looking
  }

  void join_line(std::uint32_t bucket) {
    Entry& entry = states_.entries[bucket];
    entry.waiting = true;
    entry.next = kNone;
    entry.previous = static_cast<std::uint16_t>(last_);
    (first_ == kNone ? first_ : states_.entries[last_].next) = bucket;
    last_ = bucket;
  }

  void leave_line(std::uint32_t bucket) {
    Entry& entry = states_.entries[bucket];
    entry.waiting = false;
    if (entry.next != kNone) states_.entries[entry.next].previous = entry.previous;
    if (last_ == bucket) last_ = entry.previous;
    (first_ == bucket ? first_ : states_.entries[entry.previous].next) = entry.next;
  }

  TimerChunkCache& chunks_;
  States states_;
  TimerWheel<Clock> index_;
  std::uint32_t first_ = kNone;
  std::uint32_t last_ = kNone;
};

}  // namespace evenkeel::engine
