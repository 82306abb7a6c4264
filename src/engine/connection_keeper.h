// The lives of a worker's connections: found or opened for their packets, ended by time, by TCP, or to stay
// within the limit.
//
// Whether a connection is over is decided by packet time and its own packets alone (connection.h); a timer
// only notices it where no packet does.
//
// Invariant: `live_` is the number of connections in the buckets that the worker owns. Thread: [worker]. The
// packet path allocates nothing, takes no lock and makes no system call.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "base/clock.h"
#include "base/fault.h"
#include "base/prefetch.h"
#include "base/units.h"
#include "engine/batch.h"
#include "engine/bucket.h"
#include "engine/cost_sampler.h"
#include "engine/due_buckets.h"
#include "engine/elephants.h"
#include "engine/handler.h"
#include "engine/occupied_buckets.h"
#include "engine/timer_wheel.h"
#include "engine/worker_surroundings.h"

namespace evenkeel::engine {

// Packets that are served together, and their connections. Only the first `count` are set.
template <typename State>
struct Burst {
  std::size_t count = 0;
  std::array<Packet*, kBurst> packets;
  std::array<std::uint64_t, kBurst> hashes;      // the arena's, of their keys
  std::array<Connection<State>*, kBurst> found;  // nullptr: not in the table

  std::span<Packet* const> served() const { return {packets.data(), count}; }
};

template <Handler H, base::TickClock Clock>
class ConnectionKeeper {
 public:
  using State = typename H::State;

  // `around`, `costs` and `elephants` outlive it.
  ConnectionKeeper(const WorkerSurroundings<State>& around, H handler, const Clock& clock, CostSampler& costs,
                   ElephantTracker& elephants)
      : around_(around),
        elephants_(elephants),
        lifetimes_(around.lifetimes),
        handler_(std::move(handler)),
        clock_(clock),
        costs_(costs),
        cache_(around.arena),
        chunks_(around.timers),
        due_(static_cast<std::uint32_t>(around.buckets.size())),
        occupied_(around.buckets.size()),
        guaranteed_(std::max<std::uint64_t>(1, around.connections_max / (kReservedPart * around.workers))) {}

  H& handler() { return handler_; }
  const H& handler() const { return handler_; }

  // The packet time that has come.
  std::int64_t now_ns() const { return now_ns_; }
  void pass_time(std::int64_t now_ns) { now_ns_ = std::max(now_ns_, now_ns); }

  // Looks all connections of a burst up, so that their cache misses overlap. Hashes must be set.
  void look_up(Burst<State>& burst);

  // Gives packet i of the burst that was looked up last to its connection, in order of i. False: it was
  // dropped.
  bool deliver(const Burst<State>& burst, std::size_t i) {
    const Packet& packet = *burst.packets[i];
    const Found found = burst.found[i];
    if (found == nullptr || erased_ || found->ended || found->bypassed || packet.now_ns >= found->expires_ns)
        [[unlikely]]
      return deliver_to_another(packet, burst.hashes[i], found);
    handler_.packet(*found, packet);
    // The timer goes by its old time until that comes, and then to the new one; only an earlier time needs it
    // moved now.
    if (found->advance(packet, lifetimes_) || !found->timer.armed() || deadline_came_nearer()) [[unlikely]]
      arm_for(packet, *found);
    return true;
  }

  // The connection, if there is one now.
  Connection<State>* find(const Packet& packet, std::uint64_t hash) const {
    return bucket_of(packet).connections.find(packet.key, hash);
  }

  // The worker has become the bucket's owner; it is about to give it up.
  void bucket_came(Bucket<State>& bucket) {
    live_ += bucket.connections.size();
    occupied_.note(id_of(bucket));
  }
  void note_due(Bucket<State>& bucket);
  void bucket_goes(Bucket<State>& bucket) {
    due_.remove(id_of(bucket));
    live_ -= bucket.connections.size();
  }

  // Looks at what is due, a slice at a time; returns at how much.
  std::size_t expire();

  // Ends all connections of an owned bucket.
  void close_all(Bucket<State>& bucket, std::int64_t now_ns);

 private:
  void count_bypassed(std::uint64_t hash);
  // Whether the last call of the handler brought a deadline nearer.
  bool deadline_came_nearer() {
    if constexpr (MovesDeadlines<H>) {
      return handler_.deadline_came_nearer();
    } else {
      return false;
    }
  }

  // Where a bucket's wheel finds the timers of its connections.
  struct TimerStatesOf {
    Connections<State>& connections;
    TimerState& state(TimerName name) { return connections.value(SlotId(name.slot)).timer; }
    void prefetch(TimerName name) { base::prefetch_to_write(&state(name)); }
  };
  // What DueBuckets serves.
  struct Server {
    ConnectionKeeper& self;
    PacketTick operator()(BucketId id, std::uint32_t& turn) { return self.expire_bucket(id, turn); }
    void prefetch(BucketId id, PrefetchStep step) {
      Bucket<State>& bucket = self.around_.buckets[id.value()];
      if (step == PrefetchStep::kWheel) return base::prefetch(&bucket.wheel);
      TimerStatesOf states{bucket.connections};
      bucket.wheel.prefetch_due(self.chunks_, states, step);
    }
  };
  using Found = Connection<State>*;  // nullptr: not in the table

  // Connections of which the one idle longest is evicted.
  static constexpr std::uint32_t kEvictionSample = 16;
  static constexpr std::uint64_t kReservedPart = 32;  // of the limit: one of so many
  // Timers that one step looks at: about 10 us of work, so that a million due at once do not stall packets.
  static constexpr std::uint32_t kTimerSlice = 256;
  // A connection whose packets wait is looked at again after so much packet time.
  static constexpr std::uint64_t kLookAgainTicks = 10;

  bool deliver_to_another(const Packet& packet, std::uint64_t hash, Found found);
  Found find_again_or_open(const Packet& packet, std::uint64_t hash, Found found);
  Found open(Bucket<State>& bucket, const Packet& packet, std::uint64_t hash);
  bool make_room(Bucket<State>& bucket, std::uint64_t hash);
  bool evict_from(Bucket<State>& bucket, std::uint64_t hash);
  // A part of all connections is reserved: each worker is guaranteed its share of that. Who has more takes
  // only of the rest, so that no worker is ever left without a place by what others hold.
  bool must_leave_room() const {
    if (around_.workers == 1 || live_ < guaranteed_) return false;
    const std::uint64_t reserved = around_.workers * (guaranteed_ + around_.arena.cache_slots());
    return around_.arena.slots_taken() + reserved >= around_.connections_max;
  }
  bool has_more_than_its_share() const { return live_ * around_.workers > around_.connections_max; }

  void arm_for(const Packet& packet, Connection<State>& connection);
  void arm(Bucket<State>& bucket, Connection<State>& connection);
  PacketTick expire_bucket(BucketId id, std::uint32_t& budget);
  void look_at(Bucket<State>& bucket, Connection<State>& connection, std::int64_t deadline_ns);
  bool is_queued(const Bucket<State>& bucket, const Connection<State>& connection) const;
  void look_again(Bucket<State>& bucket, Connection<State>& connection);
  void close(Bucket<State>& bucket, Connection<State>& connection, CloseReason reason, std::int64_t now_ns);
  void count_close(CloseReason reason);

  bool owns(const Bucket<State>& bucket) const { return bucket.ownership.is_of(around_.id); }
  PacketTick now_tick() const { return scale_.at(std::max<std::int64_t>(now_ns_, 0)); }
  BucketId id_of(const Bucket<State>& bucket) const {
    return BucketId(static_cast<std::uint32_t>(&bucket - around_.buckets.data()));
  }
  TimerName timer_of(const Bucket<State>& bucket, const Connection<State>& connection) const {
    return {bucket.connections.slot_of(connection).value(), 0};
  }
  Bucket<State>& bucket_of(const Packet& packet) const { return around_.buckets[packet.bucket]; }

  const WorkerSurroundings<State>& around_;
  ElephantTracker& elephants_;
  const Lifetimes lifetimes_;
  H handler_;
  Clock clock_;
  CostSampler& costs_;
  typename Connections<State>::Cache cache_;
  TimerChunkCache chunks_;
  DueBuckets<PacketClock> due_;
  const TickScale<PacketClock> scale_;
  std::int64_t now_ns_ = std::numeric_limits<std::int64_t>::min();
  std::uint64_t live_ = 0;
  OccupiedBuckets occupied_;
  const std::uint64_t guaranteed_;  // connections that this worker may always have
  BucketId eviction_hand_{0};       // where the search for a connection to evict goes on
  // Since the last look_up(). An entry's place stays when others are added, so that what was found then is
  // still right; what was not found may be there now. After an end nothing is taken for granted.
  bool inserted_ = false;
  bool erased_ = false;
};

template <Handler H, base::TickClock Clock>
void ConnectionKeeper<H, Clock>::look_up(Burst<State>& burst) {
  inserted_ = erased_ = false;
  // What handlers read of a packet, if anything.
  for (std::size_t i = 0; i < burst.count; ++i)
    base::prefetch(burst.packets[i]->data + burst.packets[i]->transport_offset);
  struct Queries {
    std::span<Bucket<State>> buckets;
    const Burst<State>& burst;
    const Connections<State>& table(std::size_t i) const {
      return buckets[burst.packets[i]->bucket].connections;
    }
    const ConnectionKey& key(std::size_t i) const { return burst.packets[i]->key; }
    std::uint64_t hash(std::size_t i) const { return burst.hashes[i]; }
  };
  Connections<State>::find_batch(burst.count, Queries{around_.buckets, burst}, burst.found);
}

// What was found is not, or may not be, the connection as it is now; or the handler has seen enough of it.
template <Handler H, base::TickClock Clock>
[[gnu::noinline]] bool ConnectionKeeper<H, Clock>::deliver_to_another(const Packet& packet,
                                                                      std::uint64_t hash, Found found) {
  found = find_again_or_open(packet, hash, found);
  if (found == nullptr) return false;
  const bool shown = !found->bypassed;
  shown ? handler_.packet(*found, packet) : count_bypassed(hash);
  const bool ended_now = found->advance(packet, lifetimes_);
  if (ended_now || !found->timer.armed() || deadline_came_nearer()) arm_for(packet, *found);
  return shown;
}

template <Handler H, base::TickClock Clock>
void ConnectionKeeper<H, Clock>::count_bypassed(std::uint64_t hash) {
  elephants_.note_bypassed(hash);
  around_.meters.dropped[static_cast<std::size_t>(meter::DropReason::kBypassed)].increment();
}

template <Handler H, base::TickClock Clock>
auto ConnectionKeeper<H, Clock>::find_again_or_open(const Packet& packet, std::uint64_t hash, Found found)
    -> Found {
  Bucket<State>& bucket = bucket_of(packet);
  if (erased_ || (found == nullptr && inserted_)) found = bucket.connections.find(packet.key, hash);
  if (found != nullptr && found->over_before(packet)) {
    close(bucket, *found, found->ended ? CloseReason::kEnded : CloseReason::kIdle, packet.now_ns);
    found = nullptr;
  }
  return found != nullptr ? found : open(bucket, packet, hash);
}

template <Handler H, base::TickClock Clock>
auto ConnectionKeeper<H, Clock>::open(Bucket<State>& bucket, const Packet& packet, std::uint64_t hash)
    -> Found {
  inserted_ = true;
  if (must_leave_room()) {
    make_room(bucket, hash);
    // One more, so that it shrinks to its share.
    if (has_more_than_its_share()) make_room(bucket, hash);
  }
  Found found = bucket.connections.insert(cache_, packet.key, hash);
  if (found == nullptr && make_room(bucket, hash))
    found = bucket.connections.insert(cache_, packet.key, hash);
  if (found == nullptr) {
    around_.meters.dropped[static_cast<std::size_t>(meter::DropReason::kConnectionLimit)].increment();
    return nullptr;
  }
  ++live_;
  occupied_.note(id_of(bucket));
  found->begin(packet);
  handler_.open(*found, packet);
  around_.meters.connections_opened.increment();
  return found;
}

// The connection limit is reached: of some connections of this bucket, else of another bucket of this worker,
// the one idle longest goes.
template <Handler H, base::TickClock Clock>
bool ConnectionKeeper<H, Clock>::make_room(Bucket<State>& bucket, std::uint64_t hash) {
  if (evict_from(bucket, hash)) return true;
  while (live_ > 0 && occupied_.next(eviction_hand_, eviction_hand_)) {
    Bucket<State>& candidate = around_.buckets[eviction_hand_.value()];
    const bool evicted = owns(candidate) && evict_from(candidate, hash);
    if (!evicted) occupied_.forget(eviction_hand_);
    eviction_hand_ =
        BucketId((eviction_hand_.value() + 1) % static_cast<std::uint32_t>(around_.buckets.size()));
    if (evicted) return true;
  }
  return false;
}

template <Handler H, base::TickClock Clock>
bool ConnectionKeeper<H, Clock>::evict_from(Bucket<State>& bucket, std::uint64_t hash) {
  Connections<State>& connections = bucket.connections;
  const SlotId slot = connections.victim(
      hash, kEvictionSample, [](const auto& a, const auto& b) { return a.expires_ns < b.expires_ns; });
  if (slot == kNoSlot) return false;
  close(bucket, connections.value(slot), CloseReason::kEvicted, connections.value(slot).expires_ns);
  return true;
}

template <Handler H, base::TickClock Clock>
[[gnu::noinline]] void ConnectionKeeper<H, Clock>::arm_for(const Packet& packet,
                                                           Connection<State>& connection) {
  // A wheel reaches days ahead, and before the first burst has been served it would stand at 1970.
  pass_time(packet.now_ns);
  arm(bucket_of(packet), connection);
}

// Sets the connection's timer to the first of its expiry and its handler's deadline.
template <Handler H, base::TickClock Clock>
void ConnectionKeeper<H, Clock>::arm(Bucket<State>& bucket, Connection<State>& connection) {
  const std::int64_t deadline_ns = std::min(connection.expires_ns, handler_.deadline_ns(connection));
  TimerStatesOf states{bucket.connections};
  meter::TimerMeters& meters = around_.meters.timers;
  const bool ran = connection.timer.armed();
  const TimerStart started = bucket.wheel.start(chunks_, states, timer_of(bucket, connection), now_tick(),
                                                scale_.not_before(std::max<std::int64_t>(deadline_ns, 0)));
  if (started != TimerStart::kStarted) return meters.refused.increment();
  (ran ? meters.restarted : meters.started).increment();
  note_due(bucket);
}

template <Handler H, base::TickClock Clock>
void ConnectionKeeper<H, Clock>::note_due(Bucket<State>& bucket) {
  due_.note(id_of(bucket), now_tick(), bucket.wheel.next_due());
}

template <Handler H, base::TickClock Clock>
std::size_t ConnectionKeeper<H, Clock>::expire() {
  const PacketTick now = now_tick();
  if (due_.next_due() > now) return 0;
  std::uint32_t budget = kTimerSlice;
  due_.advance(now, budget, Server{*this});
  return kTimerSlice - budget;
}

template <Handler H, base::TickClock Clock>
PacketTick ConnectionKeeper<H, Clock>::expire_bucket(BucketId id, std::uint32_t& budget) {
  Bucket<State>& bucket = around_.buckets[id.value()];
  if (!owns(bucket)) around_.meters.timers.fired_off_owner.increment();
  const std::uint32_t budget_before = budget;
  const std::uint64_t start = clock_.ticks();
  TimerStatesOf states{bucket.connections};
  bucket.wheel.advance(chunks_, states, now_tick(), budget, [&](TimerName name, PacketTick deadline) {
    look_at(bucket, bucket.connections.value(SlotId(name.slot)), scale_.begin_ns(deadline));
  });
  const std::uint64_t looked_at = std::max(1u, budget_before - budget);
  costs_.add_timers(around_.bucket_meters[id.value()], (clock_.ticks() - start) / looked_at, looked_at);
  return bucket.wheel.next_due();
}

// The connection's timer has fired: ends it, or calls its handler, or finds that packets have moved its end
// on.
template <Handler H, base::TickClock Clock>
void ConnectionKeeper<H, Clock>::look_at(Bucket<State>& bucket, Connection<State>& connection,
                                         std::int64_t deadline_ns) {
  if (is_queued(bucket, connection)) return look_again(bucket, connection);
  meter::TimerMeters& meters = around_.meters.timers;
  meters.fired.increment();
  meters.late_ns.add(static_cast<std::uint64_t>(std::max<std::int64_t>(now_ns_ - deadline_ns, 0)));
  if (now_ns_ >= connection.expires_ns || base::fault(base::Fault::kExpireEarly)) {
    const CloseReason reason = connection.ended ? CloseReason::kEnded : CloseReason::kIdle;
    return close(bucket, connection, reason, connection.expires_ns);
  }
  if (now_ns_ >= handler_.deadline_ns(connection))
    handler_.due(bucket.connections.key_of(connection), connection, now_ns_);
  arm(bucket, connection);
}

// Packets of the connection wait: they came before its end, if packet time says so, and are served first.
template <Handler H, base::TickClock Clock>
bool ConnectionKeeper<H, Clock>::is_queued(const Bucket<State>& bucket,
                                           const Connection<State>& connection) const {
  if (around_.queue.buckets.empty()) return false;
  const BucketQueue& queue = around_.queue.buckets[id_of(bucket).value()];
  return queue.packets != 0 &&
         FairQueue::holds(queue, around_.arena.hash()(bucket.connections.key_of(connection)));
}

template <Handler H, base::TickClock Clock>
void ConnectionKeeper<H, Clock>::look_again(Bucket<State>& bucket, Connection<State>& connection) {
  TimerStatesOf states{bucket.connections};
  const TimerStart started = bucket.wheel.start(chunks_, states, timer_of(bucket, connection), now_tick(),
                                                now_tick() + kLookAgainTicks);
  if (started != TimerStart::kStarted) around_.meters.timers.refused.increment();
}

template <Handler H, base::TickClock Clock>
void ConnectionKeeper<H, Clock>::close(Bucket<State>& bucket, Connection<State>& connection,
                                       CloseReason reason, std::int64_t now_ns) {
  erased_ = true;
  count_close(reason);
  if (connection.timer.armed()) around_.meters.timers.cancelled.increment();
  if (connection.timer.has_entry()) {
    TimerStatesOf states{bucket.connections};
    bucket.wheel.remove(chunks_, states, timer_of(bucket, connection));
  }
  handler_.close(bucket.connections.key_of(connection), connection, reason, now_ns);
  bucket.connections.erase(cache_, bucket.connections.slot_of(connection));
  --live_;
}

template <Handler H, base::TickClock Clock>
void ConnectionKeeper<H, Clock>::count_close(CloseReason reason) {
  meter::WorkerMeters& meters = around_.meters;
  switch (reason) {
    case CloseReason::kIdle:
      return meters.connections_expired.increment();
    case CloseReason::kEnded:
      return meters.connections_closed.increment();
    case CloseReason::kEvicted:
      return meters.connections_evicted.increment();
    case CloseReason::kShutdown:
      return meters.connections_flushed.increment();
  }
}

template <Handler H, base::TickClock Clock>
void ConnectionKeeper<H, Clock>::close_all(Bucket<State>& bucket, std::int64_t now_ns) {
  // The table may not change while it is walked: the entries are closed here and given back together.
  bucket.connections.for_each([&](SlotId, const ConnectionKey& key, Connection<State>& connection) {
    const CloseReason reason = connection.ended                  ? CloseReason::kEnded
                               : now_ns >= connection.expires_ns ? CloseReason::kIdle
                                                                 : CloseReason::kShutdown;
    count_close(reason);
    if (connection.timer.armed()) around_.meters.timers.cancelled.increment();
    handler_.close(key, connection, reason, now_ns);
  });
  bucket.connections.clear(cache_);
}

}  // namespace evenkeel::engine
