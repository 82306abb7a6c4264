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
// connections needs no levels. A slot whose time has come is detached. If it has many entries they are spread
// over the level below, chunk by chunk, and the states of the chunk after it are fetched meanwhile: no step
// waits for a memory access that depends on another one. If it has few (126 at most) they are sorted and
// become the run, of which the next one is always at hand: a bucket of 1,000 timers, which would have a slot
// for each, is visited once for each timer that fires, and not once for each level too.
//
// Invariants:
// - A timer fires once for each start, at the first advance() to a tick at or after its deadline; never
// before.
// - An armed timer has one entry; position_ < its filing tick <= its deadline, unless it is being drained.
// - All chunks of a list but the first are full. Of the run, each ends with an entry, and holes may precede
// it.
//
// Cost: start, restart and cancel in constant time; firing or moving an entry in constant time, at most 4
// times in a window. advance() looks at no more than `budget` entries, or 126 more when it makes a run.
// Memory: 128 bytes, 64 for 7 entries, 64 for 16 slots of a level.
//
// Thread: all calls [owner of the bucket].
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <utility>

#include "base/check.h"
#include "base/prefetch.h"
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
class alignas(base::kCacheLine) TimerWheel {
 public:
  // Delays up to this are accepted while the wheel lags behind the clock by no more than the same: 99 days at
  // 1 ms, and in proportion at other resolutions.
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
  Tick<Clock> next_due() const { return {open_ != kNoChunk ? position_ : due_tick()}; }

  // When an armed timer fires. Requires state.armed().
  Tick<Clock> deadline(const TimerState& state) const { return {deadline_tick(state)}; }

  // Fetches what start() will read besides the wheel itself. Worth it some 100 ns before.
  void prefetch(TimerChunkCache& chunks, const TimerState& state) const {
    if (flat_ != kNoChunk) base::prefetch_to_write(&chunks[flat_]);
    if (state.has_entry()) base::prefetch(&chunks[state.chunk_]);
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
  static constexpr std::uint32_t kRunChunksMax = 18;
  static constexpr std::uint32_t kRunEntriesMax = kRunChunksMax * TimerChunk::kEntries;
  static constexpr ChunkIndex kChunkMask = (ChunkIndex{1} << kChunkIndexBits) - 1;
  static constexpr std::uint64_t kNeverDue = kNever<Clock>.value;

  // Names of lists: level * 64 + slot, and two others.
  using ListName = std::uint16_t;
  static constexpr ListName kFlatList = kLevels * kSlots;
  static constexpr ListName kRunList = kFlatList + 1;
  static constexpr ListName kNoList = kRunList + 1;

  // 16 slots of a level share a chunk, taken when the first of them is used.
  using Parts = std::array<ChunkIndex, kSlots / TimerChunk::kHeads>;

  struct Entry {
    std::uint64_t bits = 0;

    Entry() = default;
    Entry(TimerName name, std::uint64_t tick)
        : bits(name.slot | std::uint64_t{name.kind} << 32 | tick << (64 - kFiledBits)) {}
    explicit Entry(std::uint64_t raw) : bits(raw) {}
    TimerName name() const {
      return {static_cast<std::uint32_t>(bits), static_cast<TimerKind>(bits >> 32 & 0xff)};
    }
    std::uint64_t filed() const { return bits >> (64 - kFiledBits); }
    // What is left in the run where an entry was taken out.
    static Entry hole() { return Entry(std::uint64_t{0xff} << 32); }
    bool is_hole() const { return name().kind >= kTimerKindsMax; }
  };

  // Where an entry is.
  struct Spot {
    ChunkIndex chunk = kNoChunk;
    std::uint32_t place = 0;
  };

  // A slot of a level.
  struct Slot {
    std::uint32_t level, slot;
    std::uint64_t begin;
    ListName list() const { return static_cast<ListName>(level * kSlots + slot); }
    std::uint32_t part() const { return slot / TimerChunk::kHeads; }
    std::uint32_t head() const { return slot % TimerChunk::kHeads; }
  };

  // A run that is being made.
  struct Run {
    std::uint32_t chunk_count = 0;
    std::uint32_t key_count = 0;
    std::array<ChunkIndex, kRunChunksMax> chunks;
    std::array<std::uint64_t, kRunEntriesMax> keys;
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
    state.chunk_ = spot.chunk & kChunkMask;
    state.place_ = spot.place & 7u;
  }
  void arm(TimerState& state, std::uint64_t tick) {
    state.deadline_ = tick & (2 * kRange - 1);
    state.armed_ = 1;
  }
  // No entry is due before. It is less than 2^31 ticks from the position.
  std::uint64_t due_tick() const {
    const auto ahead = static_cast<std::int32_t>(due_bits_ - static_cast<std::uint32_t>(position_));
    return entries_ == 0 ? kNeverDue : position_ + static_cast<std::uint64_t>(std::int64_t{ahead});
  }
  void note_due(std::uint64_t tick, ListName list) {
    if (tick >= due_tick()) return;
    due_bits_ = static_cast<std::uint32_t>(tick);
    if (due_list_ != kNoList || entries_ == 0) due_list_ = list;
  }
  bool uses_levels() const {
    return (occupied_[0] | occupied_[1] | occupied_[2] | occupied_[3]) != 0 || run_ != kNoChunk ||
           open_ != kNoChunk;
  }

  // Lists.
  static Spot push(TimerChunkCache& chunks, ChunkIndex& head, ListName list, Entry entry);
  static Entry pop(TimerChunkCache& chunks, ChunkIndex& head);
  Entry pop_run(TimerChunkCache& chunks);
  // Of the run: its chunks end with an entry. Returns whether this one is empty.
  static bool drop_holes(TimerChunk::Link& link) {
    while (link.count != 0 && Entry(link.entries[link.count - 1u]).is_hole()) --link.count;
    return link.count == 0;
  }
  template <TimerStates States>
  static void push_back(TimerChunkCache& chunks, States& states, ChunkIndex& head, ListName list,
                        Entry entry);
  template <TimerStates States>
  void take_out(TimerChunkCache& chunks, States& states, Spot spot);
  void unlink(TimerChunkCache& chunks, ChunkIndex chunk);
  ChunkIndex& head_of(TimerChunkCache& chunks, ListName list);
  void mark_empty(TimerChunkCache& chunks, ListName list);
  template <TimerStates States>
  static void prefetch_states(TimerChunkCache& chunks, States& states, ChunkIndex chunk);

  // Filing.
  template <TimerStates States>
  TimerStart file_anew(TimerChunkCache& chunks, States& states, TimerName name, std::uint64_t tick);
  bool file(TimerChunkCache& chunks, TimerName name, TimerState& state, std::uint64_t deadline);
  bool file_in_level(TimerChunkCache& chunks, TimerName name, TimerState& state, std::uint64_t tick,
                     Slot slot);
  template <TimerStates States>
  void raise_levels(TimerChunkCache& chunks, States& states);
  Slot slot_of(std::uint64_t tick) const;
  std::uint64_t within_window(std::uint64_t tick) const { return std::min(tick, position_ + kWindow); }

  // The run.
  template <TimerStates States>
  bool make_run(TimerChunkCache& chunks, States& states, std::uint32_t span_bits, std::uint32_t& budget);
  template <TimerStates States>
  void add_to_run(TimerChunkCache& chunks, States& states, Entry entry, std::uint32_t span_bits, Run& run);
  template <TimerStates States>
  void write_run(TimerChunkCache& chunks, States& states, Run& run);
  std::uint64_t first_of_run(TimerChunkCache& chunks) const {
    const TimerChunk::Link& link = chunks[run_].link;
    return filed_tick(Entry(link.entries[link.count - 1u]));
  }
  // Entries in the order of their ticks: counted from the position, the ticks are the highest bits.
  std::uint64_t run_key(Entry entry) const { return entry.bits - (position_ << (64 - kFiledBits)); }
  Entry entry_of_key(std::uint64_t key) const { return Entry(key + (position_ << (64 - kFiledBits))); }

  // Serving.
  void find_earliest(TimerChunkCache& chunks);
  Spot earliest_flat(TimerChunkCache& chunks) const;
  template <TimerStates States, typename Fire>
  bool serve_entry(TimerChunkCache& chunks, States& states, Entry entry, ChunkIndex& head, ListName list,
                   Fire& fire);
  template <TimerStates States, typename Fire>
  bool serve_flat(TimerChunkCache& chunks, States& states, std::uint32_t& budget, Fire&& fire);
  template <TimerStates States, typename Fire>
  bool serve_run(TimerChunkCache& chunks, States& states, std::uint32_t& budget, Fire&& fire);
  template <TimerStates States>
  void open_slot(TimerChunkCache& chunks, States& states, std::uint32_t& budget);
  template <TimerStates States, typename Fire>
  bool drain(TimerChunkCache& chunks, States& states, std::uint32_t& budget, Fire&& fire);
  bool stays(const TimerState& state, std::uint64_t deadline) const {
    return state.armed_ != 0 && deadline > position_;
  }
  void drop(TimerState& state) {
    state = TimerState{};
    --entries_;
  }
  // Of an entry that was taken off its list.
  template <typename Fire>
  void finish(TimerName name, TimerState& state, std::uint64_t deadline, Fire& fire) {
    const bool fires = state.armed();
    drop(state);
    if (fires) fire(name, Tick<Clock>{deadline});
  }

  // What a visit reads is the first cache line, what filing in levels reads besides is the second.
  std::uint64_t position_ = 0;  // all ticks up to this one are done, but for what is being drained
  std::uint32_t due_bits_ = 0;  // low bits of due_tick()
  std::uint32_t entries_ = 0;   // in all lists
  ChunkIndex flat_ = kNoChunk;
  ChunkIndex run_ = kNoChunk;
  ChunkIndex open_ = kNoChunk;                     // the detached list that is being drained
  ListName open_list_ = kNoList;                   // what it was
  ListName due_list_ = kNoList;                    // where the entry is that is due at due_tick(), if known
  std::array<std::uint64_t, kLevels> occupied_{};  // slots of each level
  std::array<Parts, kLevels> parts_{};
};

template <typename Clock>
template <TimerStates States>
inline TimerStart TimerWheel<Clock>::start(TimerChunkCache& chunks, States& states, TimerName name,
                                           Tick<Clock> now, Tick<Clock> deadline) {
  DCHECK(name.kind < kTimerKindsMax);
  // Empty, it keeps up with the clock by itself; but not from inside its last callback.
  if (entries_ == 0 && open_list_ == kNoList) position_ = std::max(position_, now.value);
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
  if (old.chunk == kNoChunk && entries_ >= kFlatEntriesMax && !uses_levels()) raise_levels(chunks, states);
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
  const std::uint64_t tick = within_window(deadline);
  if (uses_levels() || entries_ > kFlatEntriesMax) {
    const Slot slot = slot_of(tick);
    if (!file_in_level(chunks, name, state, tick, slot)) return false;
    note_due(slot.begin, slot.list());
    return true;
  }
  const Spot spot = push(chunks, flat_, kFlatList, Entry(name, tick));
  if (spot.chunk == kNoChunk) return false;
  set_spot(state, spot);
  note_due(tick, kFlatList);
  return true;
}

// The flat list's entries go to levels, as far as they are not due and there is memory.
template <typename Clock>
template <TimerStates States>
[[gnu::noinline]] void TimerWheel<Clock>::raise_levels(TimerChunkCache& chunks, States& states) {
  due_list_ = kNoList;
  while (flat_ != kNoChunk) {
    const Entry entry = pop(chunks, flat_);
    const std::uint64_t tick = filed_tick(entry);
    TimerState& state = states.state(entry.name());
    if (tick != position_ && file_in_level(chunks, entry.name(), state, tick, slot_of(tick))) continue;
    return push_back(chunks, states, flat_, kFlatList, entry);
  }
  find_earliest(chunks);
}

// The lowest level where the tick, which is after the position, is less than one turn away; its slot then is
// not the present one.
template <typename Clock>
inline auto TimerWheel<Clock>::slot_of(std::uint64_t tick) const -> Slot {
  std::uint32_t level = (static_cast<std::uint32_t>(std::bit_width(tick - position_)) - 1) / kSlotBits;
  std::uint32_t shift = level * kSlotBits;
  if ((tick >> shift) - (position_ >> shift) >= kSlots) {
    shift += kSlotBits;
    ++level;
  }
  return {.level = level,
          .slot = static_cast<std::uint32_t>(tick >> shift) & (kSlots - 1),
          .begin = tick >> shift << shift};
}

template <typename Clock>
inline bool TimerWheel<Clock>::file_in_level(TimerChunkCache& chunks, TimerName name, TimerState& state,
                                             std::uint64_t tick, Slot slot) {
  ChunkIndex& part = parts_[slot.level][slot.part()];
  if (part == kNoChunk) {
    part = chunks.take();
    if (part == kNoChunk) return false;
    chunks[part].heads.fill(kNoChunk);
  }
  const Spot spot = push(chunks, chunks[part].heads[slot.head()], slot.list(), Entry(name, tick));
  std::uint64_t& occupied = occupied_[slot.level];
  if (spot.chunk == kNoChunk) {
    if ((occupied >> slot.slot & 1) == 0) mark_empty(chunks, slot.list());
    return false;
  }
  occupied |= std::uint64_t{1} << slot.slot;
  set_spot(state, spot);
  return true;
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

template <typename Clock>
inline auto TimerWheel<Clock>::pop(TimerChunkCache& chunks, ChunkIndex& head) -> Entry {
  TimerChunk::Link& link = chunks[head].link;
  const Entry entry(link.entries[--link.count]);
  if (link.count == 0) {
    const ChunkIndex emptied = std::exchange(head, link.next);
    chunks.give_back(emptied);
  }
  return entry;
}

template <typename Clock>
inline auto TimerWheel<Clock>::pop_run(TimerChunkCache& chunks) -> Entry {
  TimerChunk::Link& link = chunks[run_].link;
  const Entry entry(link.entries[--link.count]);
  if (drop_holes(link)) {
    const ChunkIndex emptied = std::exchange(run_, link.next);
    chunks.give_back(emptied);
  }
  return entry;
}

// Back to where it came from; what the pop may have freed is at hand.
template <typename Clock>
template <TimerStates States>
void TimerWheel<Clock>::push_back(TimerChunkCache& chunks, States& states, ChunkIndex& head, ListName list,
                                  Entry entry) {
  const Spot spot = push(chunks, head, list, entry);
  CHECK(spot.chunk != kNoChunk);
  set_spot(states.state(entry.name()), spot);
}

// Takes an entry off its list. The list's newest entry takes its place, so that chunks stay full; but in the
// run, which has an order, a hole stays.
template <typename Clock>
template <TimerStates States>
void TimerWheel<Clock>::take_out(TimerChunkCache& chunks, States& states, Spot spot) {
  TimerChunk::Link& link = chunks[spot.chunk].link;
  if (link.list == kRunList) {
    link.entries[spot.place] = Entry::hole().bits;
    if (drop_holes(link)) unlink(chunks, spot.chunk);
    return;
  }
  const ChunkIndex head = head_of(chunks, link.list);
  TimerChunk::Link& first = chunks[head].link;
  const Spot last{head, first.count - 1u};
  if (last.chunk != spot.chunk || last.place != spot.place) {
    const Entry moved(first.entries[last.place]);
    link.entries[spot.place] = moved.bits;
    set_spot(states.state(moved.name()), spot);
  }
  if (--first.count == 0) unlink(chunks, head);
}

// Takes an empty chunk off its list: the first one, or one of the run's few.
template <typename Clock>
void TimerWheel<Clock>::unlink(TimerChunkCache& chunks, ChunkIndex chunk) {
  const ListName list = chunks[chunk].link.list;
  ChunkIndex* before = &head_of(chunks, list);
  while (*before != chunk) before = &chunks[*before].link.next;
  *before = chunks[chunk].link.next;
  const bool is_empty = head_of(chunks, list) == kNoChunk;
  chunks.give_back(chunk);
  if (!is_empty || list == open_list_) return;
  if (list < kFlatList) mark_empty(chunks, list);
  if (list == due_list_) due_list_ = kNoList;
}

// The list being drained still carries its old name in its chunks. No entry joins a list of that name
// meanwhile: it is the present slot of its level.
template <typename Clock>
ChunkIndex& TimerWheel<Clock>::head_of(TimerChunkCache& chunks, ListName list) {
  if (list == open_list_) return open_;
  if (list == kFlatList) return flat_;
  if (list == kRunList) return run_;
  const ChunkIndex part = parts_[list / kSlots][list % kSlots / TimerChunk::kHeads];
  return chunks[part].heads[list % TimerChunk::kHeads];
}

// A slot has no entry any more; if it was the last one of its part of the level, the part's chunk is free.
template <typename Clock>
void TimerWheel<Clock>::mark_empty(TimerChunkCache& chunks, ListName list) {
  std::uint64_t& occupied = occupied_[list / kSlots];
  const std::uint32_t slot = list % kSlots;
  occupied &= ~(std::uint64_t{1} << slot);
  if (list == due_list_) due_list_ = kNoList;
  const std::uint32_t part = slot / TimerChunk::kHeads;
  if ((occupied >> (part * TimerChunk::kHeads) & 0xffff) != 0) return;
  chunks.give_back(std::exchange(parts_[list / kSlots][part], kNoChunk));
}

template <typename Clock>
template <TimerStates States, typename Fire>
bool TimerWheel<Clock>::advance(TimerChunkCache& chunks, States& states, Tick<Clock> now,
                                std::uint32_t& budget, Fire&& fire) {
  for (;;) {
    if (open_ != kNoChunk && !drain(chunks, states, budget, fire)) return false;
    open_list_ = kNoList;
    if (entries_ != 0 && due_list_ == kNoList) find_earliest(chunks);
    if (due_tick() > now.value) break;
    if (budget == 0) return false;
    position_ = std::max(position_, due_tick());
    if (due_list_ == kRunList) {
      if (!serve_run(chunks, states, budget, fire)) return false;
    } else if (due_list_ == kFlatList) {
      if (!serve_flat(chunks, states, budget, fire)) return false;
    } else {
      open_slot(chunks, states, budget);
    }
  }
  position_ = std::max(position_, now.value);
  return true;
}

// Which list has the entry that is due first, or the slot that begins first, and when. A slot that has just
// begun is the present one of its level.
template <typename Clock>
inline void TimerWheel<Clock>::find_earliest(TimerChunkCache& chunks) {
  std::uint64_t due = kNeverDue;
  ListName list = kNoList;
  for (std::uint32_t level = 0; level < kLevels; ++level) {
    if (occupied_[level] == 0) continue;
    const std::uint32_t shift = level * kSlotBits;
    const std::uint64_t turn = position_ >> shift;
    const int distance = std::countr_zero(std::rotr(occupied_[level], static_cast<int>(turn % kSlots)));
    const std::uint64_t begin = turn + static_cast<std::uint64_t>(distance);
    if (begin << shift >= due) continue;
    due = begin << shift;
    list = static_cast<ListName>(level * kSlots + begin % kSlots);
  }
  if (flat_ != kNoChunk) {
    if (const std::uint64_t tick = filed_tick(entry_at(chunks, earliest_flat(chunks))); tick < due) {
      due = tick;
      list = kFlatList;
    }
  }
  if (run_ != kNoChunk && first_of_run(chunks) < due) {
    due = first_of_run(chunks);
    list = kRunList;
  }
  due_bits_ = static_cast<std::uint32_t>(due);
  due_list_ = list;
}

// There are few: a cache line for 7.
template <typename Clock>
inline auto TimerWheel<Clock>::earliest_flat(TimerChunkCache& chunks) const -> Spot {
  Spot earliest;
  std::uint64_t ticks_min = ~std::uint64_t{0};
  for (ChunkIndex chunk = flat_; chunk != kNoChunk; chunk = chunks[chunk].link.next) {
    for (std::uint32_t place = 0; place < chunks[chunk].link.count; ++place) {
      const std::uint64_t ticks = filed_tick(entry_at(chunks, {chunk, place})) - position_;
      if (ticks >= ticks_min) continue;
      ticks_min = ticks;
      earliest = {chunk, place};
    }
  }
  return earliest;
}

// Looks at an entry that was taken off a list: fires it, drops it, or files it anew. Without memory for that
// it goes back: false.
template <typename Clock>
template <TimerStates States, typename Fire>
inline bool TimerWheel<Clock>::serve_entry(TimerChunkCache& chunks, States& states, Entry entry,
                                           ChunkIndex& head, ListName list, Fire& fire) {
  TimerState& state = states.state(entry.name());
  const std::uint64_t deadline = deadline_tick(state);
  if (!stays(state, deadline)) {
    finish(entry.name(), state, deadline, fire);
    return true;
  }
  if (file(chunks, entry.name(), state, deadline)) return true;
  push_back(chunks, states, head, list, entry);
  return false;
}

// Looks at entries of the flat list that are due at the position.
template <typename Clock>
template <TimerStates States, typename Fire>
bool TimerWheel<Clock>::serve_flat(TimerChunkCache& chunks, States& states, std::uint32_t& budget,
                                   Fire&& fire) {
  while (flat_ != kNoChunk) {
    const Spot spot = earliest_flat(chunks);
    const Entry entry = entry_at(chunks, spot);
    if (filed_tick(entry) > position_) break;
    if (budget == 0) return false;
    --budget;
    take_out(chunks, states, spot);
    if (!serve_entry(chunks, states, entry, flat_, kFlatList, fire)) return false;
  }
  due_list_ = kNoList;
  return true;
}

// The same with the run.
template <typename Clock>
template <TimerStates States, typename Fire>
bool TimerWheel<Clock>::serve_run(TimerChunkCache& chunks, States& states, std::uint32_t& budget,
                                  Fire&& fire) {
  while (run_ != kNoChunk && first_of_run(chunks) <= position_) {
    if (budget == 0) return false;
    --budget;
    if (!serve_entry(chunks, states, pop_run(chunks), run_, kRunList, fire)) return false;
  }
  due_list_ = kNoList;
  return true;
}

// Detaches the slot that is due, to be drained; or makes the run of it.
template <typename Clock>
template <TimerStates States>
void TimerWheel<Clock>::open_slot(TimerChunkCache& chunks, States& states, std::uint32_t& budget) {
  const ListName list = due_list_;
  open_ = std::exchange(head_of(chunks, list), kNoChunk);
  mark_empty(chunks, list);  // with it, due_list_ is not known
  const bool has_levels_below = list >= kSlots;
  if (has_levels_below && run_ == kNoChunk && make_run(chunks, states, list / kSlots * kSlotBits, budget))
    return;
  open_list_ = list;
  prefetch_states(chunks, states, open_);
  if (const ChunkIndex next = chunks[open_].link.next; next != kNoChunk)
    prefetch_states(chunks, states, next);
}

// Of a short list that was detached: what is due within 2^span_bits ticks is sorted, and the rest is filed
// again. False: it is too long.
template <typename Clock>
template <TimerStates States>
bool TimerWheel<Clock>::make_run(TimerChunkCache& chunks, States& states, std::uint32_t span_bits,
                                 std::uint32_t& budget) {
  Run run;
  for (ChunkIndex chunk = open_; chunk != kNoChunk; chunk = chunks[chunk].link.next) {
    if (run.chunk_count == kRunChunksMax) return false;
    run.chunks[run.chunk_count++] = chunk;
    prefetch_states(chunks, states, chunk);
  }
  open_ = kNoChunk;
  for (std::uint32_t i = 0; i < run.chunk_count; ++i) {
    const TimerChunk::Link& link = chunks[run.chunks[i]].link;
    budget -= std::min<std::uint32_t>(budget, link.count);
    for (std::uint32_t place = 0; place < link.count; ++place) {
      add_to_run(chunks, states, Entry(link.entries[place]), span_bits, run);
    }
  }
  write_run(chunks, states, run);
  return true;
}

template <typename Clock>
template <TimerStates States>
void TimerWheel<Clock>::add_to_run(TimerChunkCache& chunks, States& states, Entry entry,
                                   std::uint32_t span_bits, Run& run) {
  TimerState& state = states.state(entry.name());
  if (!state.armed()) return drop(state);
  const std::uint64_t deadline = deadline_tick(state);
  if ((deadline - position_) >> span_bits == 0) {
    entry = Entry(entry.name(), deadline);
  } else if (file(chunks, entry.name(), state, deadline)) {
    return;
  }
  // Without memory to file it, it is looked at again at its old time, before its deadline.
  run.keys[run.key_count++] = run_key(entry);
}

// The earliest entry of the run is the last one of its first chunk.
template <typename Clock>
template <TimerStates States>
void TimerWheel<Clock>::write_run(TimerChunkCache& chunks, States& states, Run& run) {
  std::sort(run.keys.begin(), run.keys.begin() + run.key_count);
  std::uint32_t used = 0;
  for (std::uint32_t first = 0; first < run.key_count; first += TimerChunk::kEntries, ++used) {
    const std::uint32_t count = std::min(run.key_count - first, TimerChunk::kEntries);
    const bool is_last = first + count == run.key_count;
    TimerChunk::Link& link = chunks[run.chunks[used]].link;
    link.next = is_last ? kNoChunk : run.chunks[used + 1];
    link.list = kRunList;
    link.count = static_cast<std::uint16_t>(count);
    for (std::uint32_t i = 0; i < count; ++i) {
      const Entry entry = entry_of_key(run.keys[first + i]);
      const std::uint32_t place = count - 1 - i;
      link.entries[place] = entry.bits;
      set_spot(states.state(entry.name()), {run.chunks[used], place});
    }
  }
  run_ = used == 0 ? kNoChunk : run.chunks[0];
  while (used < run.chunk_count) chunks.give_back(run.chunks[used++]);
}

// Entries are taken off before they are looked at, because firing may come back to this list by start() and
// remove().
template <typename Clock>
template <TimerStates States, typename Fire>
bool TimerWheel<Clock>::drain(TimerChunkCache& chunks, States& states, std::uint32_t& budget, Fire&& fire) {
  while (open_ != kNoChunk) {
    if (budget == 0) return false;
    --budget;
    const ChunkIndex before = open_;
    const Entry entry = pop(chunks, open_);
    if (open_ != before && open_ != kNoChunk) {
      if (const ChunkIndex next = chunks[open_].link.next; next != kNoChunk)
        prefetch_states(chunks, states, next);
    }
    TimerState& state = states.state(entry.name());
    const std::uint64_t deadline = deadline_tick(state);
    if (!stays(state, deadline)) {
      finish(entry.name(), state, deadline, fire);
      continue;
    }
    // What is due next is found out when all is drained.
    const std::uint64_t tick = within_window(deadline);
    if (!file_in_level(chunks, entry.name(), state, tick, slot_of(tick))) {
      push_back(chunks, states, open_, open_list_, entry);
      return false;
    }
  }
  return true;
}

template <typename Clock>
template <TimerStates States>
inline void TimerWheel<Clock>::prefetch_due(TimerChunkCache& chunks, States& states,
                                            PrefetchStep step) const {
  if (step == PrefetchStep::kHeads && flat_ != kNoChunk) base::prefetch_to_write(&chunks[flat_]);
  const ListName list = due_list_;
  if (open_ != kNoChunk || list == kFlatList || list == kRunList) {
    const ChunkIndex chunk = open_ != kNoChunk ? open_ : list == kRunList ? run_ : flat_;
    if (step == PrefetchStep::kHeads) base::prefetch_to_write(&chunks[chunk]);
    if (step != PrefetchStep::kList) return;
    if (list != kRunList) return prefetch_states(chunks, states, chunk);
    const TimerChunk::Link& link = chunks[chunk].link;
    return states.prefetch(Entry(link.entries[link.count - 1u]).name());
  }
  if (list == kNoList) return;
  const ChunkIndex part = parts_[list / kSlots][list % kSlots / TimerChunk::kHeads];
  if (step == PrefetchStep::kHeads) return base::prefetch(&chunks[part]);
  const ChunkIndex head = chunks[part].heads[list % TimerChunk::kHeads];
  if (step == PrefetchStep::kList) return base::prefetch(&chunks[head]);
  prefetch_states(chunks, states, head);
}

template <typename Clock>
template <TimerStates States>
inline void TimerWheel<Clock>::prefetch_states(TimerChunkCache& chunks, States& states, ChunkIndex chunk) {
  const TimerChunk::Link& link = chunks[chunk].link;
  base::prefetch(&chunks[link.next]);
  for (std::uint32_t i = 0; i < link.count; ++i) states.prefetch(Entry(link.entries[i]).name());
}

}  // namespace evenkeel::engine
