#include "engine/elephants.h"

#include <algorithm>
#include <atomic>
#include <utility>

namespace evenkeel::engine {

// An entry on its way from one worker's tracker to another's.
struct ElephantTracker::Carried {
  Entry entry;
  Carried* next = nullptr;
  std::atomic<bool> in_use{false};
};

ElephantTracker::ElephantTracker(const ElephantOptions& options, std::uint64_t now_ticks,
                                 std::uint64_t ticks_min)
    : options_(options),
      slot_ns_(std::max<std::int64_t>(options.window_ns / static_cast<std::int64_t>(kSlots), 1)),
      ticks_min_(std::max<std::uint64_t>(ticks_min, 1)),
      start_ticks_(now_ticks),
      entries_(kSets * kWays),
      carried_(std::make_unique<Carried[]>(kCarriedMax)) {
  slot_start_ticks_.fill(now_ticks);
  crowded_out_.reserve(kSets * kWays);
}

ElephantTracker::~ElephantTracker() = default;

ElephantTracker::Entry* ElephantTracker::find(std::uint64_t hash) {
  Entry* set = &entries_[hash % kSets * kWays];
  Entry* found =
      std::find_if(set, set + kWays, [&](const Entry& e) { return e.used && e.seen.hash == hash; });
  return found == set + kWays ? nullptr : found;
}

// The lightest goes, but none that was named: a set of four of them is full.
ElephantTracker::Entry* ElephantTracker::lightest_of(std::uint64_t hash) {
  Entry* set = &entries_[hash % kSets * kWays];
  Entry* lightest = nullptr;
  for (Entry* entry = set; entry != set + kWays; ++entry) {
    if (entry->named) continue;
    forget_before(*entry, slot_);
    if (lightest == nullptr || entry->window_ticks < lightest->window_ticks) lightest = entry;
  }
  return lightest;
}

ElephantTracker::Entry* ElephantTracker::find_or_replace(const Packet& packet, std::uint64_t hash) {
  if (Entry* found = find(hash)) return found;
  Entry* const entry = lightest_of(hash);
  if (entry == nullptr) return nullptr;
  *entry = {};
  entry->used = true;
  entry->slot = slot_;
  entry->bucket = packet.bucket;
  entry->seen.key = packet.key;
  entry->seen.hash = hash;
  entry->seen.first_ns = packet.now_ns;
  return entry;
}

bool ElephantTracker::note(const Packet& packet, std::uint64_t hash, std::uint64_t packets,
                           std::uint64_t bytes, std::uint64_t ticks, std::uint64_t now_ticks,
                           std::uint64_t busy_ticks) {
  go_on_to(packet.now_ns / slot_ns_, now_ticks, busy_ticks);
  const auto place = static_cast<std::size_t>(slot_) % kSlots;
  slot_sampled_[place] += ticks;
  window_sampled_ += ticks;
  Entry* entry = find_or_replace(packet, hash);
  if (entry == nullptr) return false;
  forget_before(*entry, slot_);
  entry->slot_bytes[place] += bytes;
  entry->slot_ticks[place] += ticks;
  entry->slot_packets[place] += packets;
  entry->window_bytes += bytes;
  entry->window_ticks += ticks;
  entry->window_packets += packets;
  entry->seen.packets += packets;
  entry->seen.bytes += bytes;
  entry->seen.last_ns = std::max(entry->seen.last_ns, packet.now_ns);
  judge(*entry, now_ticks, busy_ticks);
  return entry->named;
}

void ElephantTracker::note_shed(const Packet& packet, std::uint64_t hash) {
  Entry* entry = find(hash);
  if (entry == nullptr) return;
  ++entry->seen.shed;
  if (slot_ < 0) return;
  forget_before(*entry, slot_);
  const auto place = static_cast<std::size_t>(slot_) % kSlots;
  entry->slot_shed[place] += 1;
  entry->window_shed += 1;
  entry->slot_bytes[place] += packet.wire_length;
  entry->window_bytes += packet.wire_length;
}

// A packet that was shed would have taken what the connection's packets take.
void ElephantTracker::judge(Entry& entry, std::uint64_t now_ticks, std::uint64_t busy_ticks) {
  entry.named = entry.named || entry.window_bytes >= options_.window_bytes;
  const auto oldest = static_cast<std::size_t>(slot_ + 1) % kSlots;
  const std::uint64_t elapsed = now_ticks - slot_start_ticks_[oldest];
  if (elapsed < ticks_min_ || window_sampled_ == 0) return;
  const double busy = std::min(
      1.0, static_cast<double>(busy_ticks - slot_start_busy_[oldest]) / static_cast<double>(elapsed));
  const double share = busy * static_cast<double>(entry.window_ticks) / static_cast<double>(window_sampled_);
  entry.seen.share_max = std::max(entry.seen.share_max, share);
  const double served = std::max(1.0, static_cast<double>(entry.window_packets));
  const double asked = share * (1.0 + static_cast<double>(entry.window_shed) / served);
  entry.named = entry.named || asked > options_.worker_share;
}

// Packet time of several sources may run back a little: the newest counts.
void ElephantTracker::go_on_to(std::int64_t slot, std::uint64_t now_ticks, std::uint64_t busy_ticks) {
  if (slot <= slot_) return;
  const std::int64_t first = std::max(slot_ + 1, slot - static_cast<std::int64_t>(kSlots) + 1);
  const bool begins = slot_ < 0;
  for (std::int64_t s = first; s <= slot; ++s) {
    const auto place = static_cast<std::size_t>(s) % kSlots;
    slot_start_ticks_[place] = begins ? start_ticks_ : now_ticks;
    slot_start_busy_[place] = begins ? 0 : busy_ticks;
    window_sampled_ -= std::exchange(slot_sampled_[place], 0);
  }
  slot_ = slot;
}

// Takes what lies a window before `slot` out of the sums.
void ElephantTracker::forget_before(Entry& entry, std::int64_t slot) {
  const std::int64_t steps = std::min(slot - entry.slot, static_cast<std::int64_t>(kSlots));
  for (std::int64_t step = 0; step < steps; ++step) {
    const auto place = static_cast<std::size_t>(slot - step) % kSlots;
    entry.window_bytes -= entry.slot_bytes[place];
    entry.window_ticks -= entry.slot_ticks[place];
    entry.window_packets -= entry.slot_packets[place];
    entry.window_shed -= entry.slot_shed[place];
    entry.slot_bytes[place] = entry.slot_ticks[place] = 0;
    entry.slot_packets[place] = entry.slot_shed[place] = 0;
  }
  entry.slot = std::max(entry.slot, slot);
}

std::vector<Elephant> ElephantTracker::named() const {
  std::vector<Elephant> result = crowded_out_;
  for (const Entry& entry : entries_) {
    if (entry.named) result.push_back(entry.seen);
  }
  return result;
}

ElephantTracker::Carried* ElephantTracker::take(std::uint16_t bucket) {
  Carried* first = nullptr;
  for (Entry& entry : entries_) {
    if (!entry.used || entry.bucket != bucket) continue;
    forget_before(entry, slot_);
    if (is_worth_carrying(entry)) {
      if (Carried* const carried = free_carried()) {
        carried->in_use.store(true, std::memory_order_relaxed);  // only this thread takes
        carried->entry = entry;
        carried->next = std::exchange(first, carried);
      } else if (entry.named) {
        keep_aside(entry.seen);
      }
    }
    entry = {};
  }
  return first;
}

// Acquire: the owner that gave it back has read it.
ElephantTracker::Carried* ElephantTracker::free_carried() {
  for (std::size_t i = 0; i < kCarriedMax; ++i) {
    if (!carried_[i].in_use.load(std::memory_order_acquire)) return &carried_[i];
  }
  return nullptr;
}

void ElephantTracker::keep_aside(const Elephant& elephant) {
  if (crowded_out_.size() < crowded_out_.capacity()) crowded_out_.push_back(elephant);
}

bool ElephantTracker::is_worth_carrying(const Entry& entry) const {
  return entry.named || entry.window_bytes >= options_.window_bytes / kCarriedPart ||
         entry.window_ticks >= window_sampled_ / kCarriedPart;
}

// Bytes are the connection's; shares are of one worker, and begin anew.
void ElephantTracker::put(Carried* carried) {
  while (carried != nullptr) {
    Entry entry = carried->entry;
    Carried* const next = carried->next;
    carried->in_use.store(false, std::memory_order_release);  // see free_carried()
    carried = next;
    entry.window_ticks = entry.window_packets = entry.window_shed = 0;
    for (auto* const slots : {&entry.slot_ticks, &entry.slot_packets, &entry.slot_shed}) slots->fill(0);
    Entry* place = find(entry.seen.hash);
    if (place == nullptr) place = lightest_of(entry.seen.hash);
    if (place != nullptr) {
      *place = entry;
    } else if (entry.named) {
      keep_aside(entry.seen);
    }
  }
}

}  // namespace evenkeel::engine
