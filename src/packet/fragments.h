// Fragments: gives the later fragments of a datagram the connection of its first one, also when they come
// before it. Only the first part of a datagram has ports; without this the parts of one datagram would be
// metered as two connections, on two workers, out of order.
//
// A later fragment that comes first is held: copied, so that the source's memory is not pinned, until the
// first part comes, and then let go right before it. A held fragment is given up as an orphan when
//   - limits.timeout_ns of packet time has passed since its datagram was first seen, or
//   - limits.held_max fragments or limits.held_bytes_max bytes were held after it, or
//   - limits.datagrams_max other datagrams were first seen after its own.
// The memory of which datagram belongs to which connection ends by the same times and numbers. So a flood of
// fragments makes orphans of the oldest and never takes more memory.
//
// Invariant: what happens to a packet depends only on the packets before it and their times (now_ns), not on
// how fast workers are: capture files give the same flows with any number of workers. The one place where
// workers matter is kWait.
//
// An identification that is used again within the timeout: its next first part takes it over. Two first
// parts of one datagram (a packet captured twice) do the same, and harm nothing.
//
// Thread: [dispatcher], each its own tracker. No allocation after construction.
// Cost: nothing for whole packets (do not call it); some 100 instructions a fragment and, where held, a copy.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "evenkeel/packet.h"
#include "evenkeel/source.h"
#include "packet/parse.h"

namespace evenkeel::packet {

struct FragmentLimits {
  std::uint32_t datagrams_max = 4'096;
  std::uint32_t held_max = 1'024;
  std::uint32_t held_bytes_max = 4u << 20;   // one held fragment has at most this many captured bytes
  std::int64_t timeout_ns = 30'000'000'000;  // as Linux has it (ipfrag_time)
};

struct FragmentStatistics {
  std::uint64_t followed = 0;  // later fragments given the connection of their first part, held or not
  std::uint64_t held = 0;      // of these and of the orphans: how many were held
  std::uint64_t orphans = 0;   // given up: to be counted as dropped
};

enum class FragmentFate : std::uint8_t {
  kGoesOn,  // the packet has its connection: hash it, after everything that take_released() returns
  kHeld,    // copied: release the packet to its source, it comes back by take_released() or is an orphan
  kOrphan,  // given up at once (larger than all memory for held ones): counted; release it to its source
  kWait,    // no memory until workers release packets that came from here: call again later with the same
            // packet (nothing was changed), or release it and count it as lost
};

class FragmentTracker {
 public:
  // The seed keeps strangers from choosing identifications that share a chain of the index.
  explicit FragmentTracker(const FragmentLimits& limits, std::uint64_t seed);
  // Only when all packets from take_released() were released.
  ~FragmentTracker();
  FragmentTracker(const FragmentTracker&) = delete;
  FragmentTracker& operator=(const FragmentTracker&) = delete;

  // For a parsed packet with parsed.fragments_count > 0, its now_ns set and not before that of the call
  // before. A later fragment that goes on has the key and direction of its first part.
  FragmentFate offer(Packet& packet, const ParseResult& parsed);

  // After offer() returned kGoesOn: held fragments that go on too, oldest first, before the offered packet;
  // nullptr: no more. Each has the `sequence` and `now_ns` of the packet that let it go, for that is its
  // place in the connection's order; time_ns is its own. Its block takes it back like any other.
  Packet* take_released();

  // Gives up what has been held for too long at this packet time. offer() does it too; call it where no
  // fragment may come for long.
  void expire(std::int64_t now_ns);

  // Gives up all that is held: the end of the source.
  void give_up_all();

  const FragmentStatistics& statistics() const { return statistics_; }

 private:
  // The identity of a datagram: RFC 791, 8200.
  struct DatagramId {
    std::array<std::uint8_t, 16> source{};
    std::array<std::uint8_t, 16> destination{};
    std::uint32_t identification = 0;
    std::uint8_t ip_version = 0;
    std::uint8_t protocol = 0;  // IPv4 only
    std::uint16_t reserved = 0;
    friend bool operator==(const DatagramId&, const DatagramId&) = default;
  };

  // Positions count from the start and never wrap; a ring's slot is the position modulo its size.
  using Position = std::uint64_t;
  static constexpr Position kNowhere = ~Position{0};

  // A datagram that is being seen. Its connection is known, or fragments wait for it.
  struct Datagram {
    DatagramId id;
    ConnectionKey key;
    std::int64_t first_seen_ns = 0;
    Position held_first = kNowhere;  // waiting fragments, oldest first
    Position held_last = kNowhere;
    Position chain_next = kNowhere;  // in the index
    bool live = false;               // else given up or taken over; its slot is not yet reused
    bool known = false;
    bool reversed = false;
  };

  enum class SlotState : std::uint8_t { kFree, kHeld, kReleased };

  // A held copy. kReleased: handed on, and free again when its block says so.
  struct Slot {
    PacketBlock block;
    Packet packet;
    ParseResult parsed;
    Position next = kNowhere;  // of those that wait for the same datagram, or of the released
    Position bytes_begin = 0;
    Position datagram = kNowhere;
    SlotState state = SlotState::kFree;
  };

  static DatagramId id_of(const Packet& packet, const Fragment& fragment);
  Position& chain_of(const DatagramId& id);
  Datagram& datagram_at(Position position) { return datagrams_[position % datagrams_.size()]; }
  Slot& slot_at(Position position) { return slots_[position % limits_.held_max]; }

  Position find(const DatagramId& id);
  Position create(const DatagramId& id, std::int64_t now_ns);
  void give_up_oldest_datagram();
  void give_up(Position position);
  void unlink(Position position);

  void learn(const Packet& packet, const ParseResult& parsed);
  void learn_first_parts(const Packet& packet, const ParseResult& parsed);
  void learn_one(const Packet& packet, const DatagramId& id);
  static void take_connection(const Datagram& datagram, Packet& packet);
  void let_go(Datagram& datagram, const Packet& by);
  void hand_over(Position position, const Datagram& datagram, const Packet& by);

  FragmentFate hold(const Packet& packet, const ParseResult& parsed, const DatagramId& id);
  void copy_to_slot(const Packet& packet, const ParseResult& parsed, Position bytes_begin, Slot& slot);
  bool make_room(std::uint32_t size, Position& bytes_begin);
  void give_up_oldest_held();
  void advance_held_tail();
  void reclaim();

  FragmentLimits limits_;
  std::uint64_t seed_;
  FragmentStatistics statistics_;

  std::vector<Datagram> datagrams_;  // ring, oldest at datagrams_tail_
  Position datagrams_tail_ = 0;
  Position datagrams_head_ = 0;
  std::vector<Position> chains_;  // the index: first of each chain

  // Held copies, a ring of slots and one of bytes. What is before held_tail_ is not held any more; what is
  // before free_tail_ is free as well. The former decides what is given up, the latter only whether to wait.
  std::unique_ptr<Slot[]> slots_;
  std::unique_ptr<std::uint8_t[]> bytes_;
  Position held_tail_ = 0;
  Position free_tail_ = 0;
  Position held_head_ = 0;
  Position bytes_head_ = 0;

  // What take_released() will return, linked by Slot::next.
  Position released_first_ = kNowhere;
  Position released_last_ = kNowhere;
};

}  // namespace evenkeel::packet
