#include "packet/fragments.h"

#include <bit>
#include <cstring>

#include "base/check.h"
#include "packet/key_hash.h"

namespace evenkeel::packet {

FragmentTracker::FragmentTracker(const FragmentLimits& limits, std::uint64_t seed)
    : limits_(limits),
      seed_(seed),
      datagrams_(limits.datagrams_max),
      chains_(std::bit_ceil(std::uint64_t{limits.datagrams_max}), kNowhere),
      slots_(new Slot[limits.held_max]),
      bytes_(new std::uint8_t[limits.held_bytes_max]) {
  CHECK(limits.datagrams_max > 0 && limits.held_max > 0 && limits.held_bytes_max > 0);
}

FragmentTracker::~FragmentTracker() {
  reclaim();
  for (Position position = free_tail_; position != held_head_; ++position) {
    const Slot& slot = slot_at(position);
    CHECK(slot.state != SlotState::kReleased || slot.block.all_released());
  }
}

FragmentTracker::DatagramId FragmentTracker::id_of(const Packet& packet, const Fragment& fragment) {
  const bool four = fragment.ip_version == 4;
  const std::size_t size = four ? 4 : 16;
  const std::uint8_t* const source = packet.data + fragment.network_offset + (four ? 12 : 8);
  DatagramId id;
  std::memcpy(id.source.data(), source, size);
  std::memcpy(id.destination.data(), source + size, size);
  id.identification = fragment.identification;
  id.ip_version = fragment.ip_version;
  id.protocol = four ? fragment.protocol : std::uint8_t{0};
  return id;
}

FragmentTracker::Position& FragmentTracker::chain_of(const DatagramId& id) {
  static_assert(sizeof(DatagramId) == sizeof(ConnectionKey));
  ConnectionKey as_key;  // the same shape: two addresses and eight bytes
  as_key.low_address = id.source;
  as_key.high_address = id.destination;
  std::memcpy(&as_key.low_port, &id.identification, sizeof id.identification);
  as_key.protocol = id.protocol;
  as_key.ip_version = id.ip_version;
  return chains_[key_hash(as_key, seed_) & (chains_.size() - 1)];
}

FragmentTracker::Position FragmentTracker::find(const DatagramId& id) {
  Position position = chain_of(id);
  while (position != kNowhere && datagram_at(position).id != id) position = datagram_at(position).chain_next;
  return position;
}

// The caller knows that there is none yet.
FragmentTracker::Position FragmentTracker::create(const DatagramId& id, std::int64_t now_ns) {
  if (datagrams_head_ - datagrams_tail_ == datagrams_.size()) give_up_oldest_datagram();
  const Position position = datagrams_head_++;
  Datagram& datagram = datagram_at(position);
  datagram = Datagram{};
  datagram.id = id;
  datagram.first_seen_ns = now_ns;
  datagram.live = true;
  Position& chain = chain_of(id);
  datagram.chain_next = chain;
  chain = position;
  return position;
}

void FragmentTracker::give_up_oldest_datagram() {
  if (datagram_at(datagrams_tail_).live) give_up(datagrams_tail_);
  ++datagrams_tail_;
}

void FragmentTracker::unlink(Position position) {
  Position* link = &chain_of(datagram_at(position).id);
  while (*link != position) link = &datagram_at(*link).chain_next;
  *link = datagram_at(position).chain_next;
}

// The datagram is forgotten; what waits for it is orphaned.
void FragmentTracker::give_up(Position position) {
  unlink(position);
  Datagram& datagram = datagram_at(position);
  datagram.live = false;
  for (Position held = datagram.held_first; held != kNowhere; held = slot_at(held).next) {
    slot_at(held).state = SlotState::kFree;
    ++statistics_.orphans;
  }
  advance_held_tail();
}

FragmentFate FragmentTracker::offer(Packet& packet, const ParseResult& parsed) {
  DCHECK(parsed.fragments_count > 0);
  expire(packet.now_ns);
  if ((packet.flags & Packet::kLaterFragment) == 0) {
    learn(packet, parsed);
    return FragmentFate::kGoesOn;
  }
  const DatagramId id = id_of(packet, parsed.fragments[parsed.fragments_count - 1]);
  const Position position = find(id);
  if (position == kNowhere || !datagram_at(position).known) return hold(packet, parsed, id);
  take_connection(datagram_at(position), packet);
  ++statistics_.followed;
  learn(packet, parsed);
  return FragmentFate::kGoesOn;
}

// The packet has its connection; so have now all datagrams that it is the first part of, and what waits for
// them. A fragment that is let go may itself be the first part of others (a fragmented datagram in a
// fragmented tunnel): the list of the released grows while it is walked, at most kDatagramsMax deep.
void FragmentTracker::learn(const Packet& packet, const ParseResult& parsed) {
  learn_first_parts(packet, parsed);
  for (Position walk = released_first_; walk != kNowhere; walk = slot_at(walk).next) {
    learn_first_parts(slot_at(walk).packet, slot_at(walk).parsed);
  }
}

void FragmentTracker::learn_first_parts(const Packet& packet, const ParseResult& parsed) {
  const bool last_is_later = (packet.flags & Packet::kLaterFragment) != 0;
  const std::size_t first_parts = parsed.fragments_count - (last_is_later ? 1u : 0u);
  for (std::size_t i = 0; i < first_parts; ++i) learn_one(packet, id_of(packet, parsed.fragments[i]));
}

void FragmentTracker::learn_one(const Packet& packet, const DatagramId& id) {
  Position position = find(id);
  if (position != kNowhere && datagram_at(position).known) {
    // Used again, or captured twice: it counts as seen now, so it moves to the young end of the ring.
    give_up(position);
    position = kNowhere;
  }
  if (position == kNowhere) position = create(id, packet.now_ns);
  Datagram& datagram = datagram_at(position);
  datagram.known = true;
  datagram.key = packet.key;
  datagram.reversed = packet.reversed();
  let_go(datagram, packet);
}

void FragmentTracker::let_go(Datagram& datagram, const Packet& by) {
  for (Position held = datagram.held_first; held != kNowhere;) {
    const Position next = slot_at(held).next;
    hand_over(held, datagram, by);
    held = next;
  }
  datagram.held_first = datagram.held_last = kNowhere;
  advance_held_tail();
}

void FragmentTracker::take_connection(const Datagram& datagram, Packet& packet) {
  packet.key = datagram.key;
  packet.flags &= static_cast<std::uint8_t>(~Packet::kReversed);
  if (datagram.reversed) packet.flags |= Packet::kReversed;
}

void FragmentTracker::hand_over(Position position, const Datagram& datagram, const Packet& by) {
  Slot& slot = slot_at(position);
  take_connection(datagram, slot.packet);
  slot.packet.now_ns = by.now_ns;
  slot.packet.sequence = by.sequence;
  slot.block.hand_out(1);
  slot.state = SlotState::kReleased;
  slot.next = kNowhere;
  (released_last_ == kNowhere ? released_first_ : slot_at(released_last_).next) = position;
  released_last_ = position;
  ++statistics_.followed;
}

Packet* FragmentTracker::take_released() {
  if (released_first_ == kNowhere) return nullptr;
  Slot& slot = slot_at(released_first_);
  released_first_ = slot.next;
  if (released_first_ == kNowhere) released_last_ = kNowhere;
  return &slot.packet;
}

void FragmentTracker::expire(std::int64_t now_ns) {
  while (datagrams_tail_ != datagrams_head_) {
    const Datagram& oldest = datagram_at(datagrams_tail_);
    if (oldest.live && now_ns - oldest.first_seen_ns < limits_.timeout_ns) return;
    give_up_oldest_datagram();
  }
}

void FragmentTracker::give_up_all() {
  while (datagrams_tail_ != datagrams_head_) give_up_oldest_datagram();
}

FragmentFate FragmentTracker::hold(const Packet& packet, const ParseResult& parsed, const DatagramId& id) {
  if (packet.captured_length > limits_.held_bytes_max) {
    ++statistics_.orphans;
    return FragmentFate::kOrphan;
  }
  Position bytes_begin = 0;
  if (!make_room(packet.captured_length, bytes_begin)) return FragmentFate::kWait;
  Position datagram_position = find(id);
  if (datagram_position == kNowhere) datagram_position = create(id, packet.now_ns);
  Datagram& datagram = datagram_at(datagram_position);
  const Position position = held_head_++;
  Slot& slot = slot_at(position);
  copy_to_slot(packet, parsed, bytes_begin, slot);
  slot.datagram = datagram_position;
  (datagram.held_first == kNowhere ? datagram.held_first : slot_at(datagram.held_last).next) = position;
  datagram.held_last = position;
  ++statistics_.held;
  return FragmentFate::kHeld;
}

void FragmentTracker::copy_to_slot(const Packet& packet, const ParseResult& parsed, Position bytes_begin,
                                   Slot& slot) {
  std::uint8_t* const bytes = bytes_.get() + bytes_begin % limits_.held_bytes_max;
  std::memcpy(bytes, packet.data, packet.captured_length);
  slot.packet = packet;
  slot.packet.data = bytes;
  slot.packet.block = &slot.block;
  slot.packet.next = nullptr;
  slot.parsed = parsed;
  slot.next = kNowhere;
  slot.bytes_begin = bytes_begin;
  bytes_head_ = bytes_begin + packet.captured_length;
  slot.state = SlotState::kHeld;
}

// Finds a slot and `size` bytes in one piece; gives up the oldest held fragments for them. False: workers
// still have what lies there.
bool FragmentTracker::make_room(std::uint32_t size, Position& bytes_begin) {
  const Position ring = limits_.held_bytes_max;
  bytes_begin = bytes_head_;
  if (bytes_begin % ring + size > ring) bytes_begin += ring - bytes_begin % ring;
  const auto room_behind = [&](Position tail) {
    if (tail == held_head_) return true;
    return held_head_ - tail < limits_.held_max && bytes_begin + size - slot_at(tail).bytes_begin <= ring;
  };
  while (!room_behind(held_tail_)) give_up_oldest_held();
  reclaim();
  return room_behind(free_tail_);
}

void FragmentTracker::give_up_oldest_held() {
  Slot& slot = slot_at(held_tail_);
  Datagram& datagram = datagram_at(slot.datagram);
  DCHECK(slot.state == SlotState::kHeld && datagram.held_first == held_tail_);
  datagram.held_first = slot.next;
  if (datagram.held_first == kNowhere) datagram.held_last = kNowhere;
  slot.state = SlotState::kFree;
  ++statistics_.orphans;
  advance_held_tail();
}

void FragmentTracker::advance_held_tail() {
  while (held_tail_ != held_head_ && slot_at(held_tail_).state != SlotState::kHeld) ++held_tail_;
}

void FragmentTracker::reclaim() {
  for (; free_tail_ != held_tail_; ++free_tail_) {
    Slot& slot = slot_at(free_tail_);
    if (slot.state == SlotState::kReleased && !slot.block.all_released()) return;
    slot.state = SlotState::kFree;
  }
}

}  // namespace evenkeel::packet
