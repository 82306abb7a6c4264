// The timers of one bucket: a hierarchical timing wheel (Varghese and Lauck, SOSP 1987) that moves with its
// bucket.
//
// What fires and when is decided by the timer's state in its connection (timer_state.h); the wheel holds for
// each timer one entry of 8 bytes that says when to look at that state. Hence:
// - To re-arm to a later time, or to cancel, writes the state alone. The entry is moved, or dropped, when its
// time comes.
// - To re-arm to a time before the entry's own moves the entry at once: the state knows where it is.
// - A timer further away than the window of 2^23 ticks (2.3 hours at 1 ms) is looked at once in a window.
//
// Entries lie in chunks of one cache line, 7 each, in lists: 4 levels of 64 slots, a slot of level l spans
// 64^l ticks; bitmaps skip empty slots. Up to 28 entries stay in one flat list instead, so a bucket of few
// connections needs no levels. A slot whose time has come is detached and drained chunk by chunk, and the
// states of the chunk after it are fetched meanwhile: no step waits for a memory access that depends on
// another one.
//
// Invariants:
// - A timer fires once for each start, at the first advance() to a tick at or after its deadline; never
// before.
// - An armed timer has one entry; position_ < its filing tick <= its deadline, unless it is being drained.
// - All chunks of a list but the first are full.
//
// Cost: start, restart and cancel in constant time; firing or moving an entry in constant time, at most 4
// times in a window. advance() looks at no more than `budget` entries. Memory: 128 bytes, 64 for 7 entries,
// 64 for 16 slots of a level.
//
// Thread: all calls [owner of the bucket].
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <utility>

#include "base/check.h"
#include "engine/tick.h"
#include "engine/timer_chunks.h"
#include "engine/timer_state.h"

namespace evenkeel::engine {

enum class TimerStart : std::uint8_t {
  kStarted,
  kNoMemory,  // the arena is exhausted: more timers than its limits
  kTooFar,    // more than TimerWheel::kRange ticks after the wheel's position
};

// Of TimerWheel::prefetch_due(); before the first one, the wheel itself should be fetched.
enum class PrefetchStep : std::uint8_t { kWheel, kHeads, kList, kStates };

template <typename Clock>
class TimerWheel {
 public:
  // Delays up to this are accepted while the wheel lags behind the clock by no more than the same: 99 days at
  // 1 ms.
  static constexpr std::uint64_t kRange = std::uint64_t{1} << (TimerState::kDeadlineBits - 1);

  // Arms the timer, or arms it anew: it will fire at `deadline`, or at the next tick if that is not after it.
  // `now` is the present tick. On failure the timer is as it was.
  template <TimerStates States>
  TimerStart start(TimerChunkCache& chunks, States& states, TimerName name, Tick<Clock> now,
                   Tick<Clock> deadline);

  // The timer will not fire. Its entry stays until its time comes, for the next start.
  static void cancel(TimerState& state) { state.armed_ = 0; }

  // The timer will not fire, and the wheel will not look at its state any more.
  template <TimerStates States>
  void remove(TimerChunkCache& chunks, States& states, TimerName name);

  // Fires what is due at `now` or before, tick by tick: fire(TimerName, Tick<Clock> deadline), which may
  // start, cancel and remove timers of this wheel. Looks at `budget` entries at most, and takes what it
  // looked at off `budget`. Returns false if it stopped for that (or for want of memory) and has more to do;
  // next_due() is then not in the future.
  template <TimerStates States, typename Fire>
  bool advance(TimerChunkCache& chunks, States& states, Tick<Clock> now, std::uint32_t& budget, Fire&& fire);

  // When advance() must be called at the latest: no timer is due before. kNever: there is none.
  Tick<Clock> next_due() const { return {levelled_ && open_ != kNoChunk ? position_ : next_due_}; }

  // When an armed timer fires. Requires state.armed().
  Tick<Clock> deadline(const TimerState& state) const { return {deadline_tick(state)}; }

  // Fetches what start() will read to re-arm to an earlier time. Worth it some 100 ns before.
  static void prefetch(TimerChunkCache& chunks, const TimerState& state) {
    __builtin_prefetch(&chunks[state.chunk_]);
  }

  // Fetches what the next advance() will read first, in steps that each read what the step before fetched:
  // for a wheel among several that are due, so that their cache misses overlap.
  template <TimerStates States>
  void prefetch_due(TimerChunkCache& chunks, States& states, PrefetchStep step) const;

  // Timers that have an entry: the armed ones, and cancelled ones whose time has not come.
  std::uint32_t entries() const { return entries_; }

 private:
  static constexpr int kLevels = 4;
  static constexpr int kSlotBits = 6;
  static constexpr std::uint32_t kSlots = 1 << kSlotBits;
  static constexpr int kFiledBits = kLevels * kSlotBits;
  static constexpr std::uint64_t kWindow = std::uint64_t{1} << (kFiledBits - 1);
  static constexpr std::uint32_t kFlatEntriesMax = 4 * TimerChunk::kEntries;
  static constexpr std::uint64_t kNeverDue = kNever<Clock>.value;

  // Names of lists: level * 64 + slot, and two others.
  using ListName = std::uint16_t;
  static constexpr ListName kFlatList = kLevels * kSlots;
  static constexpr ListName kNoList = kFlatList + 1;

  // 16 slots of a level share a chunk, taken when the first of them is used.
  struct Level {
    std::uint64_t occupied = 0;
    std::array<ChunkIndex, kSlots / TimerChunk::kHeads> parts{};
  };

  struct Entry {
    std::uint64_t bits;

    Entry(TimerName name, std::uint64_t tick)
        : bits(name.slot | std::uint64_t{name.kind} << 32 | tick << (64 - kFiledBits)) {}
    explicit Entry(std::uint64_t raw) : bits(raw) {}
    TimerName name() const {
      return {static_cast<std::uint32_t>(bits), static_cast<TimerKind>(bits >> 32 & 0xff)};
    }
    std::uint64_t filed() const { return bits >> (64 - kFiledBits); }
  };

  // Where an entry is.
  struct Spot {
    ChunkIndex chunk = kNoChunk;
    std::uint32_t place = 0;
  };

  // The tick at or after the position whose low bits these are.
  template <int kBits>
  std::uint64_t after_position(std::uint64_t low_bits) const {
    return position_ + ((low_bits - position_) & ((std::uint64_t{1} << kBits) - 1));
  }
  std::uint64_t deadline_tick(const TimerState& state) const {
    return after_position<TimerState::kDeadlineBits>(state.deadline_);
  }
  std::uint64_t filed_tick(Entry entry) const { return after_position<kFiledBits>(entry.filed()); }
  static Spot spot_of(const TimerState& state) {
    return {static_cast<ChunkIndex>(state.chunk_), static_cast<std::uint32_t>(state.place_)};
  }
  static Entry entry_at(TimerChunkCache& chunks, Spot spot) {
    return Entry(chunks[spot.chunk].link.entries[spot.place]);
  }

  static void set_spot(TimerState& state, Spot spot) {
    state.chunk_ = spot.chunk & ((1u << kChunkIndexBits) - 1);
    state.place_ = spot.place & 7u;
  }
  void arm(TimerState& state, std::uint64_t tick) {
    state.deadline_ = tick & (2 * kRange - 1);
    state.armed_ = 1;
  }

  template <TimerStates States>
  TimerStart file_anew(TimerChunkCache& chunks, States& states, TimerName name, std::uint64_t tick);
  bool file(TimerChunkCache& chunks, TimerName name, TimerState& state, std::uint64_t deadline);
  Spot insert_levelled(TimerChunkCache& chunks, Entry entry, std::uint64_t tick);
  static Spot push(TimerChunkCache& chunks, ChunkIndex& head, ListName list, Entry entry);
  template <TimerStates States>
  void take_out(TimerChunkCache& chunks, States& states, Spot spot);
  ChunkIndex& head_of(TimerChunkCache& chunks, ListName list);
  void mark_empty(TimerChunkCache& chunks, std::uint32_t list);
  void raise_levels();

  void find_earliest_slot();
  Spot earliest_flat(TimerChunkCache& chunks) const;
  void detach(TimerChunkCache& chunks, ListName list);
  template <TimerStates States, typename Fire>
  bool serve_flat(TimerChunkCache& chunks, States& states, std::uint64_t now, std::uint32_t& budget,
                  Fire&& fire);
  template <TimerStates States, typename Fire>
  bool serve_levels(TimerChunkCache& chunks, States& states, std::uint64_t now, std::uint32_t& budget,
                    Fire&& fire);

  template <TimerStates States, typename Fire>
  bool drain(TimerChunkCache& chunks, States& states, std::uint32_t& budget, Fire&& fire);
  template <TimerStates States>
  Entry pop_draining(TimerChunkCache& chunks, States& states);
  template <TimerStates States, typename Fire>
  bool look_at(TimerChunkCache& chunks, States& states, Entry entry, Fire&& fire);
  template <TimerStates States>
  static void prefetch_states(TimerChunkCache& chunks, States& states, ChunkIndex chunk);

  std::uint64_t position_ = 0;          // all ticks up to this one are done, but for what is being drained
  std::uint64_t next_due_ = kNeverDue;  // no slot or flat entry is due before
  std::uint32_t entries_ = 0;           // in the flat list, slots and the list being drained
  ChunkIndex open_ = kNoChunk;          // the flat list; with levels, the detached list being drained
  ListName draining_list_ = kNoList;    // what it was
  ListName next_list_ = kNoList;        // the slot that begins at next_due_, if known
  bool levelled_ = false;               // entries are in levels, until none is left
  std::array<Level, kLevels> levels_{};
};

template <typename Clock>
template <TimerStates States>
inline TimerStart TimerWheel<Clock>::start(TimerChunkCache& chunks, States& states, TimerName name,
                                           Tick<Clock> now, Tick<Clock> deadline) {
  DCHECK(name.kind < kTimerKindsMax);
  // Empty, it keeps up with the clock by itself; but not from inside its last callback.
  if (entries_ == 0 && draining_list_ == kNoList) position_ = std::max(position_, now.value);
  const std::uint64_t tick = std::max(deadline.value, position_ + 1);
  if (tick - position_ >= 2 * kRange) return TimerStart::kTooFar;
  TimerState& state = states.state(name);
  // Its entry is never later than its last deadline; only if that does not settle it, the entry itself is
  // read.
  if (!state.has_entry() ||
      (tick < deadline_tick(state) && tick < filed_tick(entry_at(chunks, spot_of(state))))) {
    return file_anew(chunks, states, name, tick);
  }
  arm(state, tick);
  return TimerStart::kStarted;
}

// The new entry is made before the old one goes, so that nothing has changed if there is no memory.
template <typename Clock>
template <TimerStates States>
TimerStart TimerWheel<Clock>::file_anew(TimerChunkCache& chunks, States& states, TimerName name,
                                        std::uint64_t tick) {
  TimerState& state = states.state(name);
  const Spot old = spot_of(state);
  if (!levelled_ && entries_ >= kFlatEntriesMax) raise_levels();
  if (!file(chunks, name, state, tick)) return TimerStart::kNoMemory;
  arm(state, tick);
  old.chunk == kNoChunk ? static_cast<void>(++entries_) : take_out(chunks, states, old);
  return TimerStart::kStarted;
}

template <typename Clock>
template <TimerStates States>
void TimerWheel<Clock>::remove(TimerChunkCache& chunks, States& states, TimerName name) {
  TimerState& state = states.state(name);
  if (state.has_entry()) {
    take_out(chunks, states, spot_of(state));
    --entries_;
  }
  state = TimerState{};
}

// Puts an entry into the wheel, at the deadline or the window's end, and notes in the state where it is.
template <typename Clock>
inline bool TimerWheel<Clock>::file(TimerChunkCache& chunks, TimerName name, TimerState& state,
                                    std::uint64_t deadline) {
  const std::uint64_t tick = std::min(deadline, position_ + kWindow);
  const Entry entry(name, tick);
  Spot spot;
  if (levelled_) {
    spot = insert_levelled(chunks, entry, tick);
  } else {
    spot = push(chunks, open_, kFlatList, entry);
    next_due_ = std::min(next_due_, tick);
  }
  if (spot.chunk == kNoChunk) return false;
  set_spot(state, spot);
  return true;
}

template <typename Clock>
inline auto TimerWheel<Clock>::insert_levelled(TimerChunkCache& chunks, Entry entry, std::uint64_t tick)
    -> Spot {
  // The lowest level where the tick is less than one turn away; its slot then is not the present one.
  int shift = (static_cast<int>(std::bit_width(tick - position_)) - 1) / kSlotBits * kSlotBits;
  if ((tick >> shift) - (position_ >> shift) >= kSlots) shift += kSlotBits;
  const int level_index = shift / kSlotBits;
  Level& level = levels_[level_index];
  const std::uint32_t slot = (tick >> shift) & (kSlots - 1);
  const auto list = static_cast<ListName>(level_index * static_cast<int>(kSlots) + static_cast<int>(slot));
  ChunkIndex& part = level.parts[slot / TimerChunk::kHeads];
  if (part == kNoChunk) {
    part = chunks.take();
    if (part == kNoChunk) return {};
    chunks[part].heads.fill(kNoChunk);
  }
  const Spot spot = push(chunks, chunks[part].heads[slot % TimerChunk::kHeads], list, entry);
  if (spot.chunk == kNoChunk) {
    if ((level.occupied >> slot & 1) == 0) mark_empty(chunks, list);
    return {};
  }
  level.occupied |= std::uint64_t{1} << slot;
  const std::uint64_t begin = tick >> shift << shift;
  if (begin < next_due_) {
    next_due_ = begin;
    if (next_list_ != kNoList) next_list_ = list;
  }
  return spot;
}

template <typename Clock>
inline auto TimerWheel<Clock>::push(TimerChunkCache& chunks, ChunkIndex& head, ListName list, Entry entry)
    -> Spot {
  if (head == kNoChunk || chunks[head].link.count == TimerChunk::kEntries) {
    const ChunkIndex chunk = chunks.take();
    if (chunk == kNoChunk) return {};
    chunks[chunk].link.next = head;
    chunks[chunk].link.count = 0;
    chunks[chunk].link.list = list;
    head = chunk;
  }
  TimerChunk::Link& link = chunks[head].link;
  link.entries[link.count] = entry.bits;
  return {head, link.count++};
}

// Takes an entry off its list; the list's newest entry takes its place, so that only the first chunk is not
// full.
template <typename Clock>
template <TimerStates States>
void TimerWheel<Clock>::take_out(TimerChunkCache& chunks, States& states, Spot spot) {
  const ListName list = chunks[spot.chunk].link.list;
  ChunkIndex& head = head_of(chunks, list);
  TimerChunk::Link& first = chunks[head].link;
  const Spot last{head, --first.count + 0u};
  if (last.chunk != spot.chunk || last.place != spot.place) {
    const Entry moved(first.entries[last.place]);
    chunks[spot.chunk].link.entries[spot.place] = moved.bits;
    set_spot(states.state(moved.name()), spot);
  }
  if (first.count != 0) return;
  const ChunkIndex emptied = std::exchange(head, first.next);
  const bool list_is_empty = head == kNoChunk;
  chunks.give_back(emptied);
  if (list_is_empty && list < kFlatList && list != draining_list_) mark_empty(chunks, list);
}

// The list being drained still carries its old name in its chunks. No entry joins a list of that name
// meanwhile: it is the present slot of its level, or the flat list that was given up.
template <typename Clock>
ChunkIndex& TimerWheel<Clock>::head_of(TimerChunkCache& chunks, ListName list) {
  if (list == draining_list_ || list == kFlatList) return open_;
  const ChunkIndex part = levels_[list / kSlots].parts[list % kSlots / TimerChunk::kHeads];
  return chunks[part].heads[list % TimerChunk::kHeads];
}

// A slot has no entry any more; if it was the last one of its part of the level, the part's chunk is free.
template <typename Clock>
void TimerWheel<Clock>::mark_empty(TimerChunkCache& chunks, std::uint32_t list) {
  Level& level = levels_[list / kSlots];
  const std::uint32_t slot = list % kSlots;
  level.occupied &= ~(std::uint64_t{1} << slot);
  if (list == next_list_) next_list_ = kNoList;
  const std::uint32_t part = slot / TimerChunk::kHeads;
  if ((level.occupied >> (part * TimerChunk::kHeads) & 0xffff) != 0) return;
  chunks.give_back(std::exchange(level.parts[part], kNoChunk));
}

// From now on entries go to levels; those of the flat list are drained into them by the next advance().
template <typename Clock>
void TimerWheel<Clock>::raise_levels() {
  levelled_ = true;
  next_due_ = kNeverDue;
  next_list_ = kNoList;
  draining_list_ = kFlatList;
}

template <typename Clock>
template <TimerStates States, typename Fire>
bool TimerWheel<Clock>::advance(TimerChunkCache& chunks, States& states, Tick<Clock> now,
                                std::uint32_t& budget, Fire&& fire) {
  if (!levelled_ && !serve_flat(chunks, states, now.value, budget, fire)) return false;
  // A callback may have raised the levels.
  if (levelled_ && !serve_levels(chunks, states, now.value, budget, fire)) return false;
  position_ = std::max(position_, now.value);
  if (entries_ != 0) return true;
  levelled_ = false;
  next_due_ = kNeverDue;
  next_list_ = kNoList;
  return true;
}

// Few entries: the earliest is found by looking at all, a cache line for 7.
template <typename Clock>
template <TimerStates States, typename Fire>
bool TimerWheel<Clock>::serve_flat(TimerChunkCache& chunks, States& states, std::uint64_t now,
                                   std::uint32_t& budget, Fire&& fire) {
  while (!levelled_ && open_ != kNoChunk) {
    const Spot spot = earliest_flat(chunks);
    const Entry entry = entry_at(chunks, spot);
    next_due_ = filed_tick(entry);
    if (next_due_ > now) return true;
    if (budget == 0) return false;
    --budget;
    position_ = std::max(position_, next_due_);
    take_out(chunks, states, spot);
    // There is memory for what was just taken out.
    CHECK(look_at(chunks, states, entry, fire));
  }
  return true;
}

template <typename Clock>
inline auto TimerWheel<Clock>::earliest_flat(TimerChunkCache& chunks) const -> Spot {
  Spot earliest;
  std::uint64_t ticks_min = ~std::uint64_t{0};
  for (ChunkIndex chunk = open_; chunk != kNoChunk; chunk = chunks[chunk].link.next) {
    for (std::uint32_t place = 0; place < chunks[chunk].link.count; ++place) {
      const std::uint64_t ticks = filed_tick(entry_at(chunks, {chunk, place})) - position_;
      if (ticks >= ticks_min) continue;
      ticks_min = ticks;
      earliest = {chunk, place};
    }
  }
  return earliest;
}

template <typename Clock>
template <TimerStates States, typename Fire>
bool TimerWheel<Clock>::serve_levels(TimerChunkCache& chunks, States& states, std::uint64_t now,
                                     std::uint32_t& budget, Fire&& fire) {
  for (;;) {
    if (open_ != kNoChunk && !drain(chunks, states, budget, fire)) return false;
    draining_list_ = kNoList;
    if (next_list_ == kNoList) find_earliest_slot();
    if (next_due_ > now) return true;
    position_ = std::max(position_, next_due_);
    detach(chunks, std::exchange(next_list_, kNoList));
    prefetch_states(chunks, states, open_);
    if (const ChunkIndex next = chunks[open_].link.next; next != kNoChunk)
      prefetch_states(chunks, states, next);
  }
}

// Which occupied slot begins first, and when. A slot that has just begun is the present one of its level.
template <typename Clock>
inline void TimerWheel<Clock>::find_earliest_slot() {
  next_due_ = kNeverDue;
  for (std::uint32_t level = 0; level < kLevels; ++level) {
    if (levels_[level].occupied == 0) continue;
    const std::uint32_t shift = level * kSlotBits;
    const std::uint64_t turn = position_ >> shift;
    const int distance =
        std::countr_zero(std::rotr(levels_[level].occupied, static_cast<int>(turn % kSlots)));
    const std::uint64_t begin = turn + static_cast<std::uint64_t>(distance);
    if (begin << shift >= next_due_) continue;
    next_due_ = begin << shift;
    next_list_ = static_cast<ListName>(level * kSlots + begin % kSlots);
  }
}

template <typename Clock>
void TimerWheel<Clock>::detach(TimerChunkCache& chunks, ListName list) {
  open_ = std::exchange(head_of(chunks, list), kNoChunk);
  draining_list_ = list;
  mark_empty(chunks, list);
}

template <typename Clock>
template <TimerStates States>
inline void TimerWheel<Clock>::prefetch_due(TimerChunkCache& chunks, States& states,
                                            PrefetchStep step) const {
  if (!levelled_ || open_ != kNoChunk) {
    if (step == PrefetchStep::kList) __builtin_prefetch(&chunks[open_]);
    if (step == PrefetchStep::kStates && open_ != kNoChunk) prefetch_states(chunks, states, open_);
    return;
  }
  const ListName list = next_list_;
  if (list == kNoList) return;
  const ChunkIndex part = levels_[list / kSlots].parts[list % kSlots / TimerChunk::kHeads];
  if (step == PrefetchStep::kHeads) return __builtin_prefetch(&chunks[part]);
  const ChunkIndex head = chunks[part].heads[list % TimerChunk::kHeads];
  if (step == PrefetchStep::kList) return __builtin_prefetch(&chunks[head]);
  prefetch_states(chunks, states, head);
}

template <typename Clock>
template <TimerStates States>
inline void TimerWheel<Clock>::prefetch_states(TimerChunkCache& chunks, States& states, ChunkIndex chunk) {
  const TimerChunk::Link& link = chunks[chunk].link;
  __builtin_prefetch(&chunks[link.next]);
  for (std::uint32_t i = 0; i < link.count; ++i) states.prefetch(Entry(link.entries[i]).name());
}

template <typename Clock>
template <TimerStates States, typename Fire>
bool TimerWheel<Clock>::drain(TimerChunkCache& chunks, States& states, std::uint32_t& budget, Fire&& fire) {
  while (open_ != kNoChunk) {
    if (budget == 0) return false;
    --budget;
    const Entry entry = pop_draining(chunks, states);
    if (look_at(chunks, states, entry, fire)) continue;
    // Back to where it came from; what the pop may have freed is at hand.
    const Spot spot = push(chunks, open_, draining_list_, entry);
    CHECK(spot.chunk != kNoChunk);
    set_spot(states.state(entry.name()), spot);
    return false;
  }
  return true;
}

// Taken off before it is looked at, because firing may come back to this list by start() and remove().
template <typename Clock>
template <TimerStates States>
inline auto TimerWheel<Clock>::pop_draining(TimerChunkCache& chunks, States& states) -> Entry {
  TimerChunk::Link& link = chunks[open_].link;
  const Entry entry(link.entries[--link.count]);
  if (link.count != 0) return entry;
  const ChunkIndex emptied = std::exchange(open_, link.next);
  chunks.give_back(emptied);
  if (open_ == kNoChunk) return entry;
  if (const ChunkIndex next = chunks[open_].link.next; next != kNoChunk)
    prefetch_states(chunks, states, next);
  return entry;
}

// Fires, moves or drops an entry that was taken off its list. False: it could not be moved, there is no
// memory.
template <typename Clock>
template <TimerStates States, typename Fire>
inline bool TimerWheel<Clock>::look_at(TimerChunkCache& chunks, States& states, Entry entry, Fire&& fire) {
  TimerState& state = states.state(entry.name());
  const std::uint64_t deadline = deadline_tick(state);
  if (state.armed_ != 0 && deadline > position_) return file(chunks, entry.name(), state, deadline);
  const bool fires = state.armed();
  state = TimerState{};
  --entries_;
  if (fires) fire(entry.name(), Tick<Clock>{deadline});
  return true;
}

}  // namespace evenkeel::engine
