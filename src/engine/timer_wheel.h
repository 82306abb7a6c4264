// The timers of one bucket: a hierarchical timing wheel (Varghese and Lauck, SOSP 1987) that moves with its
// bucket.
//
// What fires and when is decided by the timer's state in its connection (timer_state.h); the wheel holds for
// each timer an entry of 8 bytes that says when to look at that state. Hence:
// - To re-arm to a later time, or to cancel, writes the state alone. The entry is moved, or dropped, when its
// time comes.
// - To re-arm to a time before the entry's makes a second entry and leaves the first one behind as garbage,
// which is known
//   by its filing tick and generation. Garbage is bounded: see below.
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
// - An armed timer has exactly one entry with its filing tick and generation that the wheel will look at by
// its deadline.
// - position_ < filing tick <= deadline, for all entries but those being drained.
// - garbage: entries <= 5/4 of timers with an entry + 28, plus what one pass of the sweep finds meanwhile
// (1/14).
//
// Cost: start, restart and cancel in constant time; firing or moving an entry in constant time, at most 4
// times in a window. advance() takes at most `budget` entries at a time. Memory: header of 160 bytes, 64
// bytes for 7 entries, 64 for 16 slots.
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

  // The timer will not fire.
  static void cancel(TimerState& state) { state.armed_ = 0; }

  // For a timer whose state is about to be cleared or go away: gives up its entry.
  void forget(TimerState& state) {
    filed_ -= static_cast<std::uint32_t>(state.has_entry_);
    state.has_entry_ = 0;
    state.armed_ = 0;
  }

  // Fires what is due at `now` or before, tick by tick: fire(TimerName, Tick<Clock> deadline), which may
  // start and cancel timers of this wheel. Looks at `budget` entries at most, and takes what it looked at off
  // `budget`. Returns false if it stopped for that (or for want of memory) and has more to do; next_due() is
  // then at once.
  template <TimerStates States, typename Fire>
  bool advance(TimerChunkCache& chunks, States& states, Tick<Clock> now, std::uint32_t& budget, Fire&& fire);

  // When advance() must be called at the latest: no timer is due before. kNever: there is none.
  Tick<Clock> next_due() const { return {draining_ != kNoChunk ? position_ : next_due_}; }

  // When an armed timer fires. Requires state.armed().
  Tick<Clock> deadline(const TimerState& state) const {
    return {after_position<TimerState::kDeadlineBits>(state.deadline_)};
  }

  // Entries held, with garbage; and timers that have one.
  std::uint32_t entries() const { return entries_; }
  std::uint32_t filed() const { return filed_; }

 private:
  static constexpr int kLevels = 4;
  static constexpr int kSlotBits = 6;
  static constexpr std::uint32_t kSlots = 1 << kSlotBits;
  static constexpr std::uint64_t kWindow = std::uint64_t{1} << (TimerState::kFiledBits - 1);
  static constexpr std::uint32_t kFlatEntriesMax = 4 * TimerChunk::kEntries;
  // Two chunks for each entry made: a pass of n entries then takes n/14 starts, that is, ends with less new
  // garbage than the quarter that made it begin.
  static constexpr std::uint32_t kSweepEntries = 2 * TimerChunk::kEntries;
  static constexpr std::uint64_t kNeverDue = kNever<Clock>.value;

  // 16 slots of a level share a chunk, taken when the first of them is used.
  struct Level {
    std::uint64_t occupied = 0;
    std::array<ChunkIndex, kSlots / TimerChunk::kHeads> parts{};
  };

  struct Entry {
    std::uint64_t bits;

    Entry(TimerName name, std::uint64_t filed, std::uint64_t generation)
        : bits(name.slot | std::uint64_t{name.kind} << 32 | generation << 36 | filed << 40) {}
    explicit Entry(std::uint64_t raw) : bits(raw) {}
    TimerName name() const {
      return {static_cast<std::uint32_t>(bits), static_cast<TimerKind>(bits >> 32 & (kTimerKindsMax - 1))};
    }
    std::uint64_t generation() const { return bits >> 36 & 0xf; }
    std::uint64_t filed() const { return bits >> 40; }
  };

  // The tick at or after the position whose low bits these are.
  template <int kBits>
  std::uint64_t after_position(std::uint64_t low_bits) const {
    return position_ + ((low_bits - position_) & ((std::uint64_t{1} << kBits) - 1));
  }

  static bool owns(const TimerState& state, Entry entry) {
    return state.has_entry_ != 0 && state.filed_ == entry.filed() && state.generation_ == entry.generation();
  }

  template <TimerStates States>
  TimerStart file_anew(TimerChunkCache& chunks, States& states, TimerName name, std::uint64_t deadline);
  bool file(TimerChunkCache& chunks, TimerName name, TimerState& state, std::uint64_t tick);
  bool insert_flat(TimerChunkCache& chunks, Entry entry, std::uint64_t tick);
  bool insert_levelled(TimerChunkCache& chunks, Entry entry, std::uint64_t tick);
  static bool push(TimerChunkCache& chunks, ChunkIndex& head, Entry entry);
  void raise_levels(TimerChunkCache& chunks);

  std::uint64_t earliest_slot() const;
  void detach_due(TimerChunkCache& chunks);
  ChunkIndex detach(TimerChunkCache& chunks, int level, std::uint32_t slot);

  template <TimerStates States, typename Fire>
  bool drain(TimerChunkCache& chunks, States& states, std::uint32_t& budget, Fire&& fire);
  template <TimerStates States, typename Fire>
  bool look_at(TimerChunkCache& chunks, States& states, Entry entry, Fire&& fire);
  template <TimerStates States>
  static void prefetch_states(TimerChunkCache& chunks, States& states, ChunkIndex chunk);

  bool has_much_garbage() const { return entries_ > filed_ + filed_ / 4 + kFlatEntriesMax; }
  template <TimerStates States>
  void sweep(TimerChunkCache& chunks, States& states);
  bool detach_for_sweep(TimerChunkCache& chunks);

  std::uint64_t position_ = 0;          // all ticks up to this one are done, but for what is being drained
  std::uint64_t next_due_ = kNeverDue;  // no slot or flat entry is due before
  std::uint32_t entries_ = 0;           // in flat list, slots and the list being drained
  std::uint32_t filed_ = 0;             // of these, the ones that their timers know
  ChunkIndex flat_ = kNoChunk;          // list of all entries while there are few
  ChunkIndex draining_ = kNoChunk;      // detached list being worked off
  bool levelled_ = false;               // entries are in levels, until none is left
  bool sweeping_ = false;               // the list being drained is not due
  std::uint8_t sweep_level_ = 0;        // where the sweep goes on
  std::uint8_t sweep_slot_ = 0;
  std::array<Level, kLevels> levels_{};
};

template <typename Clock>
template <TimerStates States>
inline TimerStart TimerWheel<Clock>::start(TimerChunkCache& chunks, States& states, TimerName name,
                                           Tick<Clock> now, Tick<Clock> deadline) {
  DCHECK(name.kind < kTimerKindsMax);
  if (entries_ == 0 && draining_ == kNoChunk) position_ = std::max(position_, now.value);
  const std::uint64_t tick = std::max(deadline.value, position_ + 1);
  if (tick - position_ > 2 * kRange - 1) return TimerStart::kTooFar;
  TimerState& state = states.state(name);
  if (state.has_entry_ == 0 || after_position<TimerState::kFiledBits>(state.filed_) > tick) {
    return file_anew(chunks, states, name, tick);
  }
  state.deadline_ = tick & (2 * kRange - 1);
  state.armed_ = 1;
  return TimerStart::kStarted;
}

template <typename Clock>
template <TimerStates States>
TimerStart TimerWheel<Clock>::file_anew(TimerChunkCache& chunks, States& states, TimerName name,
                                        std::uint64_t deadline) {
  TimerState& state = states.state(name);
  const TimerState before = state;
  const bool leaves_garbage = state.has_entry_ != 0;
  if (leaves_garbage) state.generation_ = (state.generation_ + 1u) & 0xf;
  if (!file(chunks, name, state, std::min(deadline, position_ + kWindow))) {
    state = before;
    return TimerStart::kNoMemory;
  }
  state.deadline_ = deadline & (2 * kRange - 1);
  state.armed_ = 1;
  ++entries_;
  if (!leaves_garbage) {
    ++filed_;
  } else if (has_much_garbage()) {
    sweep(chunks, states);
  }
  return TimerStart::kStarted;
}

// Puts an entry for `tick` into the wheel and notes it in the state.
template <typename Clock>
inline bool TimerWheel<Clock>::file(TimerChunkCache& chunks, TimerName name, TimerState& state,
                                    std::uint64_t tick) {
  const Entry entry(name, tick & (2 * kWindow - 1), state.generation_);
  if (!levelled_ && entries_ >= kFlatEntriesMax) raise_levels(chunks);
  if (!(levelled_ ? insert_levelled(chunks, entry, tick) : insert_flat(chunks, entry, tick))) return false;
  state.filed_ = tick & (2 * kWindow - 1);
  state.has_entry_ = 1;
  return true;
}

template <typename Clock>
bool TimerWheel<Clock>::insert_flat(TimerChunkCache& chunks, Entry entry, std::uint64_t tick) {
  if (!push(chunks, flat_, entry)) return false;
  next_due_ = std::min(next_due_, tick);
  return true;
}

template <typename Clock>
inline bool TimerWheel<Clock>::insert_levelled(TimerChunkCache& chunks, Entry entry, std::uint64_t tick) {
  // The lowest level where the tick is less than one turn away; its slot then is not the present one.
  int shift = (static_cast<int>(std::bit_width(tick - position_)) - 1) / kSlotBits * kSlotBits;
  if ((tick >> shift) - (position_ >> shift) >= kSlots) shift += kSlotBits;
  Level& level = levels_[shift / kSlotBits];
  const std::uint32_t slot = (tick >> shift) & (kSlots - 1);
  ChunkIndex& part = level.parts[slot / TimerChunk::kHeads];
  if (part == kNoChunk) {
    part = chunks.take();
    if (part == kNoChunk) return false;
    chunks[part].heads.fill(kNoChunk);
  }
  if (!push(chunks, chunks[part].heads[slot % TimerChunk::kHeads], entry)) return false;
  level.occupied |= std::uint64_t{1} << slot;
  next_due_ = std::min(next_due_, tick >> shift << shift);
  return true;
}

template <typename Clock>
inline bool TimerWheel<Clock>::push(TimerChunkCache& chunks, ChunkIndex& head, Entry entry) {
  if (head == kNoChunk || chunks[head].link.count == TimerChunk::kEntries) {
    const ChunkIndex chunk = chunks.take();
    if (chunk == kNoChunk) return false;
    chunks[chunk].link.next = head;
    chunks[chunk].link.count = 0;
    head = chunk;
  }
  TimerChunk::Link& link = chunks[head].link;
  link.entries[link.count++] = entry.bits;
  return true;
}

// From now on entries go to levels; those of the flat list are drained into them by the next advance().
template <typename Clock>
void TimerWheel<Clock>::raise_levels(TimerChunkCache& chunks) {
  levelled_ = true;
  next_due_ = kNeverDue;
  ChunkIndex* tail = &draining_;
  while (*tail != kNoChunk) tail = &chunks[*tail].link.next;  // at most the flat list itself, being drained
  *tail = flat_;
  flat_ = kNoChunk;
}

// When the first occupied slot begins. A slot that has just begun is the present one of its level.
template <typename Clock>
inline std::uint64_t TimerWheel<Clock>::earliest_slot() const {
  std::uint64_t earliest = kNeverDue;
  for (int level = 0; level < kLevels; ++level) {
    if (levels_[level].occupied == 0) continue;
    const int shift = level * kSlotBits;
    const std::uint64_t turn = position_ >> shift;
    const int distance =
        std::countr_zero(std::rotr(levels_[level].occupied, static_cast<int>(turn % kSlots)));
    earliest = std::min(earliest, (turn + static_cast<std::uint64_t>(distance)) << shift);
  }
  return earliest;
}

template <typename Clock>
ChunkIndex TimerWheel<Clock>::detach(TimerChunkCache& chunks, int level, std::uint32_t slot) {
  Level& from = levels_[level];
  const std::uint32_t part = slot / TimerChunk::kHeads;
  const ChunkIndex list = std::exchange(chunks[from.parts[part]].heads[slot % TimerChunk::kHeads], kNoChunk);
  from.occupied &= ~(std::uint64_t{1} << slot);
  if ((from.occupied >> (part * TimerChunk::kHeads) & 0xffff) == 0) {
    chunks.give_back(std::exchange(from.parts[part], kNoChunk));
  }
  return list;
}

// Detaches one list that begins at the position: of the flat entries, or of a level whose present slot is
// occupied.
template <typename Clock>
void TimerWheel<Clock>::detach_due(TimerChunkCache& chunks) {
  if (!levelled_) {
    draining_ = std::exchange(flat_, kNoChunk);
    next_due_ = kNeverDue;
    return;
  }
  for (int level = 0; level < kLevels; ++level) {
    const auto slot = static_cast<std::uint32_t>(position_ >> (level * kSlotBits)) & (kSlots - 1);
    if ((levels_[level].occupied >> slot & 1) == 0) continue;
    draining_ = detach(chunks, level, slot);
    return;
  }
}

template <typename Clock>
template <TimerStates States, typename Fire>
bool TimerWheel<Clock>::advance(TimerChunkCache& chunks, States& states, Tick<Clock> now,
                                std::uint32_t& budget, Fire&& fire) {
  for (;;) {
    if (draining_ != kNoChunk && !drain(chunks, states, budget, fire)) return false;
    if (entries_ == 0) {
      levelled_ = false;
      next_due_ = kNeverDue;
      position_ = std::max(position_, now.value);
      return true;
    }
    if (levelled_) next_due_ = earliest_slot();
    if (next_due_ > now.value) {
      position_ = std::max(position_, now.value);
      return true;
    }
    position_ = std::max(position_, next_due_);
    detach_due(chunks);
    prefetch_states(chunks, states, draining_);
  }
}

template <typename Clock>
template <TimerStates States>
inline void TimerWheel<Clock>::prefetch_states(TimerChunkCache& chunks, States& states, ChunkIndex chunk) {
  const TimerChunk::Link& link = chunks[chunk].link;
  __builtin_prefetch(&chunks[link.next]);
  for (std::uint32_t i = 0; i < link.count; ++i) states.prefetch(Entry(link.entries[i]).name());
}

// Works off the detached list. Each entry is taken off before it is looked at, because firing may come back
// here by start(); it is put back if it could not be moved for want of memory.
template <typename Clock>
template <TimerStates States, typename Fire>
bool TimerWheel<Clock>::drain(TimerChunkCache& chunks, States& states, std::uint32_t& budget, Fire&& fire) {
  while (draining_ != kNoChunk) {
    TimerChunk::Link& link = chunks[draining_].link;
    if (link.next != kNoChunk) prefetch_states(chunks, states, link.next);
    while (link.count != 0) {
      if (budget == 0) return false;
      --budget;
      const Entry entry(link.entries[--link.count]);
      if (look_at(chunks, states, entry, fire)) continue;
      ++link.count;
      return false;
    }
    const ChunkIndex done = std::exchange(draining_, link.next);
    chunks.give_back(done);
  }
  sweeping_ = false;
  return true;
}

// Fires, moves or drops an entry. False: it could not be moved, there is no memory.
template <typename Clock>
template <TimerStates States, typename Fire>
inline bool TimerWheel<Clock>::look_at(TimerChunkCache& chunks, States& states, Entry entry, Fire&& fire) {
  if (!levelled_) {
    // The flat list is drained when its first entry is due: the others go back unseen.
    const std::uint64_t filed = after_position<TimerState::kFiledBits>(entry.filed());
    if (filed > position_) return insert_flat(chunks, entry, filed);
  }
  TimerState& state = states.state(entry.name());
  if (!owns(state, entry)) {
    --entries_;
    return true;
  }
  const std::uint64_t deadline = after_position<TimerState::kDeadlineBits>(state.deadline_);
  if (state.armed_ != 0 && deadline > position_) {
    return file(chunks, entry.name(), state, std::min(deadline, position_ + kWindow));
  }
  const bool fires = state.armed_ != 0;
  state.has_entry_ = 0;
  state.armed_ = 0;
  --entries_;
  --filed_;
  if (fires) fire(entry.name(), Tick<Clock>{deadline});
  return true;
}

// Looks at a few entries out of turn: of the slot where the last sweep stopped, or of the next one, farthest
// level first, where garbage would stay longest.
template <typename Clock>
template <TimerStates States>
void TimerWheel<Clock>::sweep(TimerChunkCache& chunks, States& states) {
  if (draining_ == kNoChunk && !detach_for_sweep(chunks)) return;
  if (!sweeping_)
    return;  // what is being drained is due: advance() will come to it, and drops garbage as well
  std::uint32_t budget = kSweepEntries;
  drain(chunks, states, budget,
        [](TimerName, Tick<Clock>) { CHECK(!"a timer that is not due is not fired"); });
}

template <typename Clock>
bool TimerWheel<Clock>::detach_for_sweep(TimerChunkCache& chunks) {
  if (!levelled_) return false;
  for (int tried = 0; tried <= kLevels; ++tried) {
    const std::uint64_t occupied = levels_[sweep_level_].occupied;
    const std::uint64_t rest = sweep_slot_ < kSlots ? occupied >> sweep_slot_ << sweep_slot_ : 0;
    if (rest != 0) {
      const auto slot = static_cast<std::uint8_t>(std::countr_zero(rest));
      sweep_slot_ = static_cast<std::uint8_t>(slot + 1);
      sweeping_ = true;
      draining_ = detach(chunks, sweep_level_, slot);
      return true;
    }
    sweep_slot_ = 0;
    sweep_level_ = static_cast<std::uint8_t>(sweep_level_ == 0 ? kLevels - 1 : sweep_level_ - 1);
  }
  return false;
}

}  // namespace evenkeel::engine
