// A bucket: the connections that hash to one slot of the table, and what moves with them from worker to
// worker.
#pragma once

#include <cstdint>

#include "base/units.h"
#include "bucket/handover.h"
#include "engine/connection.h"
#include "engine/connection_table.h"
#include "engine/elephants.h"
#include "engine/timer_wheel.h"
#include "evenkeel/ids.h"
#include "evenkeel/packet.h"
#include "packet/key_hash.h"

namespace evenkeel::engine {

// The engine's hash of connection keys: seeded, so that nobody outside can make connections collide.
struct KeyHash {
  std::uint64_t seed = 0;
  std::uint64_t operator()(const ConnectionKey& key) const { return packet::key_hash(key, seed); }
};

template <typename State>
using Connections = ConnectionTable<ConnectionKey, Connection<State>, KeyHash, sizeof(Connection<State>)>;

// Packet time: the clock of the engine's timers. From a file it is the capture's, so that runs can be
// repeated.
struct PacketClock;
using PacketTick = Tick<PacketClock>;

// Ownership: the first part belongs to the worker that `ownership` names; the parked packets belong to the
// worker that is about to become the owner, of which there is one at most (a bucket is in one handover at a
// time). bucket/handover.h says how it changes hands.
template <typename State>
struct alignas(base::kCacheLine) Bucket {
  bucket::Ownership ownership;
  Connections<State> connections;  // [owner]
  TimerWheel<PacketClock> wheel;   // [owner] of the connections' timers

  // [next owner] Packets that came before the old owner let go, in order.
  alignas(base::kCacheLine) Packet* parked_first = nullptr;
  Packet* parked_last = nullptr;

  // [old owner, then next owner] When it was let go; used only where clocks are processors' own.
  std::uint64_t released_ticks = 0;
  // [old owner, then next owner] Its heavy connections, on their way.
  ElephantTracker::Carried* elephants = nullptr;

  void park(Packet* packet) {
    packet->next = nullptr;
    (parked_first == nullptr ? parked_first : parked_last->next) = packet;
    parked_last = packet;
  }
};

}  // namespace evenkeel::engine
