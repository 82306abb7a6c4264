#include "engine/elephants.h"

#include <algorithm>

namespace evenkeel::engine {

ElephantTracker::ElephantTracker(const ElephantOptions& options, std::uint64_t now_ticks,
                                 std::uint64_t ticks_min)
    : options_(options),
      slot_ns_(std::max<std::int64_t>(options.window_ns / static_cast<std::int64_t>(kSlots), 1)),
      ticks_min_(std::max<std::uint64_t>(ticks_min, 1)),
      start_ticks_(now_ticks),
      entries_(kSets * kWays) {
  slot_start_ticks_.fill(now_ticks);
}

ElephantTracker::Entry* ElephantTracker::find(std::uint64_t hash) {
  Entry* set = &entries_[hash % kSets * kWays];
  Entry* found =
      std::find_if(set, set + kWays, [&](const Entry& e) { return e.used && e.seen.hash == hash; });
  return found == set + kWays ? nullptr : found;
}

// The lightest goes, but none that was named: a set of four of them is full.
ElephantTracker::Entry* ElephantTracker::find_or_replace(const Packet& packet, std::uint64_t hash) {
  if (Entry* found = find(hash)) return found;
  Entry* set = &entries_[hash % kSets * kWays];
  Entry* lightest = nullptr;
  for (Entry* entry = set; entry != set + kWays; ++entry) {
    if (entry->named) continue;
    forget_before(*entry, slot_);
    if (lightest == nullptr || entry->window_ticks < lightest->window_ticks) lightest = entry;
  }
  if (lightest == nullptr) return nullptr;
  *lightest = {};
  lightest->used = true;
  lightest->slot = slot_;
  lightest->seen.key = packet.key;
  lightest->seen.hash = hash;
  lightest->seen.first_ns = packet.now_ns;
  return lightest;
}

bool ElephantTracker::note(const Packet& packet, std::uint64_t hash, std::uint64_t packets,
                           std::uint64_t bytes, std::uint64_t ticks, std::uint64_t now_ticks) {
  go_on_to(packet.now_ns / slot_ns_, now_ticks);
  Entry* entry = find_or_replace(packet, hash);
  if (entry == nullptr) return false;
  forget_before(*entry, slot_);
  const auto place = static_cast<std::size_t>(slot_) % kSlots;
  entry->slot_bytes[place] += bytes;
  entry->slot_ticks[place] += ticks;
  entry->window_bytes += bytes;
  entry->window_ticks += ticks;
  entry->seen.packets += packets;
  entry->seen.bytes += bytes;
  entry->seen.last_ns = std::max(entry->seen.last_ns, packet.now_ns);
  const std::uint64_t elapsed = now_ticks - slot_start_ticks_[(place + 1) % kSlots];
  if (elapsed >= ticks_min_) {
    const double share = static_cast<double>(entry->window_ticks) / static_cast<double>(elapsed);
    entry->seen.share_max = std::min(1.0, std::max(entry->seen.share_max, share));
  }
  entry->named = entry->named || entry->window_bytes >= options_.window_bytes ||
                 entry->seen.share_max > options_.worker_share;
  return entry->named;
}

// Packet time of several sources may run back a little: the newest counts.
void ElephantTracker::go_on_to(std::int64_t slot, std::uint64_t now_ticks) {
  if (slot <= slot_) return;
  const std::int64_t first = std::max(slot_ + 1, slot - static_cast<std::int64_t>(kSlots) + 1);
  const bool begins = slot_ < 0;
  for (std::int64_t s = first; s <= slot; ++s)
    slot_start_ticks_[static_cast<std::size_t>(s) % kSlots] = begins ? start_ticks_ : now_ticks;
  slot_ = slot;
}

// Takes what lies a window before `slot` out of the sums.
void ElephantTracker::forget_before(Entry& entry, std::int64_t slot) {
  const std::int64_t steps = std::min(slot - entry.slot, static_cast<std::int64_t>(kSlots));
  for (std::int64_t step = 0; step < steps; ++step) {
    const auto place = static_cast<std::size_t>(slot - step) % kSlots;
    entry.window_bytes -= entry.slot_bytes[place];
    entry.window_ticks -= entry.slot_ticks[place];
    entry.slot_bytes[place] = entry.slot_ticks[place] = 0;
  }
  entry.slot = std::max(entry.slot, slot);
}

std::vector<Elephant> ElephantTracker::named() const {
  std::vector<Elephant> result;
  for (const Entry& entry : entries_) {
    if (entry.named) result.push_back(entry.seen);
  }
  return result;
}

}  // namespace evenkeel::engine
