// Which of a worker's buckets has timers to look at next: found without visiting the others.
//
// A calendar of the next 4,096 ticks: each tick has a ring of the buckets whose wheels want to be advanced
// then, and two levels of bitmaps find the next tick that has any. A bucket that is due later waits at the
// calendar's end and is filed anew when that comes. Buckets that are due wait in a line and are served in
// turn, a part of the slice each, so that a bucket with a million due timers delays the others by its part
// only.
//
// Invariant: every bucket noted and not removed is filed at or before the due tick last noted, or waits in
// the line. The calendar holds ticks position_ to position_ + 4,095, and none filed is before next_.
//
// Thread: its worker. Cost: constant for each call and for each bucket that comes due; after a jump of the
// clock beyond the calendar, once for each bucket of the table. Memory: 9 KB, and 16 bytes of address space
// for each bucket of the table, whoever owns it, of which only the pages with buckets that were noted become
// resident.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>

#include "engine/tick.h"
#include "engine/timer_wheel.h"
#include "evenkeel/ids.h"

namespace evenkeel::engine {

template <typename Clock>
class DueBuckets {
 public:
  // Entries of one bucket that are looked at before the next bucket's turn.
  static constexpr std::uint32_t kTurnEntries = 64;

  explicit DueBuckets(std::uint32_t buckets)
      : buckets_(buckets), entries_(static_cast<Entry*>(std::calloc(buckets, sizeof(Entry)))) {
    if (entries_ == nullptr) throw std::bad_alloc();
  }

  // The bucket's wheel wants to be advanced at `due` (TimerWheel::next_due()): call it after a timer of the
  // bucket was started, and when the bucket was taken over. Costs a comparison unless `due` is earlier than
  // what is known.
  void note(BucketId id, Tick<Clock> now, Tick<Clock> due) {
    Entry& entry = entries_[id.value()];
    if (entry.place == Place::kLine || due == kNever<Clock>) return;
    const auto bucket = static_cast<std::uint16_t>(id.value());
    if (entry.place == Place::kCalendar) {
      if (entry.due <= due.value) return;
      leave_calendar(bucket);
    }
    if (due <= now) return join_line(bucket);
    // What is before both the present and the first that is filed is over.
    if (next_ > now.value) position_ = std::max(position_, now.value);
    file(bucket, due.value);
  }

  // The bucket goes to another worker.
  void remove(BucketId id) {
    const auto bucket = static_cast<std::uint16_t>(id.value());
    if (entries_[bucket].place == Place::kLine) leave_line(bucket);
    if (entries_[bucket].place == Place::kCalendar) leave_calendar(bucket);
  }

  // Serves buckets that are due at `now`, in turn, until none is left or `budget` entries were looked at.
  // serve(BucketId, std::uint32_t& budget) advances the bucket's wheel, and returns its next_due() if it is
  // done, or a tick at or before `now` if it is not. Returns false when the budget ended first.
  template <typename Serve>
  bool advance(Tick<Clock> now, std::uint32_t& budget, Serve&& serve) {
    if (next_ <= now.value && now.value - position_ >= kTicks) begin_anew(now.value);
    while (budget != 0) {
      while (waiting_ < kTogether && next_ <= now.value && budget != 0) take_next(now.value, budget);
      if (waiting_ == 0) break;
      const std::uint32_t count = prefetch_first(serve);
      for (std::uint32_t i = 0; i < count && budget != 0; ++i) serve_first(now, budget, serve);
    }
    return waiting_ == 0 && next_ > now.value;
  }

  // When advance() must be called at the latest; at or before the present if it stopped for its budget.
  Tick<Clock> next_due() const { return {waiting_ != 0 ? 0 : next_}; }

 private:
  static constexpr std::uint32_t kTicks = 4096;
  static constexpr std::uint32_t kWords = kTicks / 64;
  // Enough for the misses of one step to overlap, few enough for all that was fetched to stay in the
  // first-level cache.
  static constexpr std::uint32_t kTogether = 8;

  enum class Place : std::uint8_t { kNone, kCalendar, kLine };

  // A bucket, and its neighbours in the ring of its tick or in the ring that is the line.
  struct Entry {
    std::uint64_t due = 0;  // the tick noted
    std::uint16_t next = 0, previous = 0;
    std::uint16_t slot = 0;  // of the calendar
    Place place = Place::kNone;
  };
  static_assert(sizeof(Entry) == 16 && kBucketsMax - 1 <= 0xffff);
  // Zeroed memory is an array of them.
  static_assert(std::is_aggregate_v<Entry> && std::is_trivially_destructible_v<Entry>);

  struct Free {
    void operator()(Entry* entries) const { std::free(entries); }
  };

  // Appends to the ring that `first` names, unless it is empty.
  void join_ring(bool is_empty, std::uint16_t& first, std::uint16_t bucket) {
    Entry& entry = entries_[bucket];
    if (is_empty) {
      first = entry.next = entry.previous = bucket;
      return;
    }
    entry.next = first;
    entry.previous = entries_[first].previous;
    entries_[entry.previous].next = bucket;
    entries_[first].previous = bucket;
  }
  // Returns whether the ring is empty then.
  bool leave_ring(std::uint16_t& first, std::uint16_t bucket) {
    Entry& entry = entries_[bucket];
    if (entry.next == bucket) return true;
    entries_[entry.next].previous = entry.previous;
    entries_[entry.previous].next = entry.next;
    if (first == bucket) first = entry.next;
    return false;
  }

  // Requires that `due` is not before the position.
  void file(std::uint16_t bucket, std::uint64_t due) {
    const std::uint64_t tick = std::min(due, position_ + kTicks - 1);
    const std::uint32_t slot = tick % kTicks;
    Entry& entry = entries_[bucket];
    entry.due = due;
    entry.slot = static_cast<std::uint16_t>(slot);
    entry.place = Place::kCalendar;
    std::uint64_t& word = occupied_[slot / 64];
    join_ring((word >> slot % 64 & 1) == 0, firsts_[slot], bucket);
    word |= std::uint64_t{1} << slot % 64;
    words_ |= std::uint64_t{1} << slot / 64;
    next_ = std::min(next_, tick);
  }

  // Leaves next_ too early at most.
  void leave_calendar(std::uint16_t bucket) {
    const std::uint32_t slot = entries_[bucket].slot;
    entries_[bucket].place = Place::kNone;
    if (!leave_ring(firsts_[slot], bucket)) return;
    std::uint64_t& word = occupied_[slot / 64];
    word &= ~(std::uint64_t{1} << slot % 64);
    if (word == 0) words_ &= ~(std::uint64_t{1} << slot / 64);
  }

  // The first tick that is filed, from the position on.
  std::uint64_t first_filed() const {
    const std::uint32_t begin = position_ % kTicks;
    const std::uint32_t word = begin / 64;
    const std::uint64_t rest = occupied_[word] >> begin % 64;
    if (rest != 0) return position_ + static_cast<std::uint32_t>(std::countr_zero(rest));
    // The words after it, and at last itself: what is left there is a turn away.
    const std::uint64_t others = std::rotr(words_, static_cast<int>(word + 1));
    if (others == 0) return kNever<Clock>.value;
    const std::uint32_t found = (word + 1 + static_cast<std::uint32_t>(std::countr_zero(others))) % kWords;
    const std::uint32_t slot = found * 64 + static_cast<std::uint32_t>(std::countr_zero(occupied_[found]));
    return position_ + (slot - begin) % kTicks;
  }

  // Puts the first bucket of the calendar into the line, or files it anew if its time is later. Requires
  // next_ <= now, which is less than a calendar away.
  void take_next(std::uint64_t now, std::uint32_t& budget) {
    next_ = first_filed();
    if (next_ > now) return;
    position_ = next_;
    const std::uint16_t bucket = firsts_[position_ % kTicks];
    leave_calendar(bucket);
    if (entries_[bucket].due <= now) return join_line(bucket);
    --budget;
    file(bucket, entries_[bucket].due);
  }

  // The whole calendar is over.
  void begin_anew(std::uint64_t now) {
    std::fill(occupied_.begin(), occupied_.end(), 0);
    words_ = 0;
    next_ = kNever<Clock>.value;
    position_ = now;
    for (std::uint32_t i = 0; i < buckets_; ++i) {
      if (entries_[i].place != Place::kCalendar) continue;
      const auto bucket = static_cast<std::uint16_t>(i);
      entries_[i].due <= now ? join_line(bucket) : file(bucket, entries_[i].due);
    }
  }

  // The first buckets of the line, at most kTogether, are fetched step by step at once.
  template <typename Serve>
  std::uint32_t prefetch_first(Serve& serve) {
    const std::uint32_t count = std::min(waiting_, kTogether);
    std::array<std::uint16_t, kTogether> buckets;
    std::uint16_t bucket = line_;
    for (std::uint32_t i = 0; i < count; ++i, bucket = entries_[bucket].next) buckets[i] = bucket;
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
    const std::uint16_t bucket = line_;
    leave_line(bucket);
    const std::uint32_t granted = std::min(budget, kTurnEntries);
    std::uint32_t turn = granted;
    const Tick<Clock> due = serve(BucketId(bucket), turn);
    // A look at a bucket with nothing due costs as much as an entry.
    budget -= std::max(granted - turn, 1u);
    note(BucketId(bucket), now, due);
  }

  void join_line(std::uint16_t bucket) {
    join_ring(waiting_ == 0, line_, bucket);
    entries_[bucket].place = Place::kLine;
    ++waiting_;
  }

  void leave_line(std::uint16_t bucket) {
    leave_ring(line_, bucket);
    entries_[bucket].place = Place::kNone;
    --waiting_;
  }

  const std::uint32_t buckets_;
  std::unique_ptr<Entry[], Free> entries_;
  std::uint64_t position_ = 0;
  std::uint64_t next_ = kNever<Clock>.value;  // nothing is filed before; may be too early
  std::uint64_t words_ = 0;                   // of occupied_, that are not zero
  std::uint32_t waiting_ = 0;                 // in the line
  std::uint16_t line_ = 0;                    // its first, if any
  std::array<std::uint64_t, kWords> occupied_{};
  std::array<std::uint16_t, kTicks> firsts_;  // of occupied ticks
};

}  // namespace evenkeel::engine
