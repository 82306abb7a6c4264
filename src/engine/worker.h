// A worker: one processor of the engine. It serves the packets, and the timers, of the buckets that it owns.
//
// Passive: step() does one iteration, driven by a thread or by the simulation, which also gives the clock.
//
// Handover, seen from here. A bucket moves from worker X to worker Y in table version v. Every dispatcher
// puts a release mark for it into X's ring and an acquire mark into Y's. X serves the bucket until it has
// passed the release mark of every dispatcher, then lets go. Y, from the first acquire mark on, parks the
// bucket's packets; when X has let go, Y takes the bucket over, serves the parked packets in order, and goes
// on. Nobody else waits, nothing is copied, and since a dispatcher's packets before its mark are all served
// by X before Y begins, no connection's packets change places.
//
// Queueing. While no more waits in front of the worker than a quantum of work, packets are served as they
// come. When more does, the worker takes everything in, up to a limit, and serves one batch a step in the
// order of its FairQueue, until nothing waits. A bucket that moves takes its queued packets along: they came
// before what the new owner parked.
//
// Thread: [worker] but where noted. The packet path allocates nothing, takes no lock and makes no system
// call.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/random.h"
#include "bucket/table.h"
#include "engine/batch.h"
#include "engine/bucket.h"
#include "engine/dispatcher.h"
#include "engine/due_buckets.h"
#include "engine/elephants.h"
#include "engine/fair_queue.h"
#include "engine/handler.h"
#include "engine/queueing.h"
#include "engine/release.h"
#include "engine/ring_item.h"
#include "engine/timer_wheel.h"
#include "meter/meters.h"

namespace evenkeel::engine {

// What a worker's queueing model shares with the rest of the engine.
struct QueueSurroundings {
  const QueueingOptions& options;
  std::span<BucketQueue> buckets;  // of all of the engine's buckets; empty for first in, first out
  FairQueue::Arena* arena;         // nullptr for first in, first out
  meter::QueueMeters& meters;
};

// What a worker shares with the rest of the engine. All of it outlives the worker.
template <typename State>
struct WorkerSurroundings {
  ProcessorId id;
  bucket::TableBoard& board;
  std::span<Bucket<State>> buckets;              // all of the engine's; a worker touches those it owns
  std::span<meter::BucketMeters> bucket_meters;  // likewise
  std::span<WorkerRing* const> rings;            // one from each dispatcher, this worker being the consumer
  std::span<const std::unique_ptr<Dispatcher>> dispatchers;  // in the order of rings
  typename Connections<State>::Arena& arena;
  std::uint32_t connections_max;  // of all workers
  std::uint32_t workers;
  TimerArena& timers;
  meter::WorkerMeters& meters;
  Lifetimes lifetimes;
  QueueSurroundings queue;
  ElephantOptions elephants;
};

template <Handler H, base::TickClock Clock>
class Worker {
 public:
  using State = typename H::State;

  Worker(const WorkerSurroundings<State>& around, H handler, Clock clock)
      : around_(around),
        handler_(std::move(handler)),
        clock_(std::move(clock)),
        cache_(around.arena),
        chunks_(around.timers),
        due_(chunks_, static_cast<std::uint32_t>(around.buckets.size())),
        sampler_(around.id.value() + 1),
        elephants_(around.elephants, clock_.ticks(), ticks_of(kShareOfAtLeast_ns)),
        believed_ticks_(static_cast<std::uint64_t>(kBelievedNanoseconds * clock_.ticks_per_nanosecond())) {
    awaited_.reserve(kAwaitedUsually);
    if (around.queue.options.fair())
      queue_.emplace(queue_options(), *around.queue.arena, around.queue.meters);
  }

  // One iteration of the loop. Returns whether it found anything to do.
  bool step() {
    const std::uint64_t start = clock_.ticks();
    const std::size_t work = receive() + take_over() + serve_queued() + expire();
    if (work == 0) {
      handler_.idle();
      return false;
    }
    around_.meters.busy_ticks.add(clock_.ticks() - start);
    return true;
  }

  // True when every dispatcher's end mark was passed, no bucket is awaited and nothing is queued: no packet
  // will come any more.
  bool finished() const {
    return ends_seen_ == around_.rings.size() && awaited_.empty() && (!queue_ || queue_->empty());
  }

  // Ends the connections of the buckets that this worker owns, as of packet time `now_ns`. After finished().
  void close_all(std::int64_t now_ns) {
    for (Bucket<State>& bucket : around_.buckets) {
      if (owns(bucket)) close_bucket(bucket, now_ns);
    }
    handler_.idle();
  }

  H& handler() { return handler_; }

  // [control] When the worker has ended.
  std::vector<Elephant> elephants() const { return elephants_.named(); }

 private:
  // A bucket whose acquire mark was seen, while its old owner has not let go.
  struct Awaited {
    BucketId bucket;
    std::uint32_t version;
  };
  // Where a bucket's wheel finds the timers of its connections.
  struct TimerStatesOf {
    Connections<State>& connections;
    TimerState& state(TimerName name) { return connections.value(SlotId(name.slot)).timer; }
    void prefetch(TimerName name) { __builtin_prefetch(&state(name), 1); }
  };
  using Found = Connection<State>*;  // nullptr: not in the table

  // Beyond this many at once (nearly all buckets move), the list may allocate.
  static constexpr std::size_t kAwaitedUsually = 64;
  // Connections of which the one idle longest is evicted.
  static constexpr std::uint32_t kEvictionSample = 16;
  // Timers that one step looks at: about 10 us of work, so that a million due at once do not stall packets.
  static constexpr std::uint32_t kTimerSlice = 256;
  // A connection whose packets wait is looked at again after so much packet time.
  static constexpr std::uint64_t kLookAgainTicks = 10;

  // Packets that a step takes in from a ring at most, before it serves: about as long as a batch takes.
  static constexpr std::size_t kIntakeMax = 1024;
  // A connection's share of the worker's time is told of at least this much: a balancing interval.
  static constexpr std::int64_t kShareOfAtLeast_ns = 100 * base::kNanosecondsPerMillisecond;
  // A sample of at most this is taken as it is: no interruption is that short.
  static constexpr double kBelievedNanoseconds = 500;

  // The phases of a step: each returns the number of things it did.
  std::size_t receive();
  std::size_t take_over();
  std::size_t expire();
  std::size_t serve_queued();

  std::size_t receive_burst(std::size_t dispatcher);
  bool passes_straight(std::size_t waiting) const;
  void pass(std::span<Packet* const> packets, bool straight);
  void enqueue(std::span<Packet* const> packets);
  void drop_overload(Packet* first);
  void watch(const Packet& packet, std::uint64_t hash, std::uint64_t packets, std::uint64_t bytes,
             std::uint64_t ticks, std::uint64_t now);
  std::uint64_t ticks_of(std::int64_t nanoseconds) const {
    return static_cast<std::uint64_t>(static_cast<double>(nanoseconds) * clock_.ticks_per_nanosecond());
  }
  FairQueueOptions queue_options() const;
  std::uint64_t declared_ticks(const Packet& packet) const;

  void handle_mark(RingItem item);
  void release_mark(RingItem item);
  void serve_parked(Packet* first);
  void serve(std::span<Packet* const> packets);
  std::size_t park_what_is_not_ours(std::span<Packet* const> packets, std::span<Packet*> ours);
  void look_up(std::span<Packet* const> packets, std::span<std::uint64_t> hashes, std::span<Found> found);
  std::uint64_t believe(meter::SampleLimit& usual, meter::SampleLimit& of_bucket, std::uint64_t ticks);
  bool deliver(Bucket<State>& bucket, const Packet& packet, std::uint64_t hash, Found found);
  Found open(Bucket<State>& bucket, const Packet& packet, std::uint64_t hash);
  bool make_room(Bucket<State>& bucket, std::uint64_t hash);
  bool evict_from(Bucket<State>& bucket, std::uint64_t hash);
  void arm(Bucket<State>& bucket, Connection<State>& connection);
  void note_due(Bucket<State>& bucket);
  // Near the connection limit, who has more than an equal share evicts for each connection that it opens, so
  // that a worker with few of them is never left without a place.
  bool must_leave_room() const {
    const std::uint64_t max = around_.connections_max;
    return live_ * around_.workers >= max && around_.arena.slots_taken() >= max - max / 8;
  }
  PacketTick expire_bucket(BucketId id, std::uint32_t& budget);
  bool is_queued(const Bucket<State>& bucket, const Connection<State>& connection) const;
  void look_again(Bucket<State>& bucket, Connection<State>& connection);
  void look_at(Bucket<State>& bucket, Connection<State>& connection, std::int64_t deadline_ns);
  void close(Bucket<State>& bucket, Connection<State>& connection, CloseReason reason, std::int64_t now_ns);
  void close_bucket(Bucket<State>& bucket, std::int64_t now_ns);
  void count_close(CloseReason reason);

  bool owns(const Bucket<State>& bucket) const {
    // Relaxed: only this worker ever makes it equal to its own id.
    return bucket.owner.load(std::memory_order_relaxed) == around_.id.value();
  }
  PacketTick now_tick() const { return scale_.at(std::max<std::int64_t>(now_ns_, 0)); }
  BucketId id_of(const Bucket<State>& bucket) const {
    return BucketId(static_cast<std::uint32_t>(&bucket - around_.buckets.data()));
  }
  TimerName timer_of(const Bucket<State>& bucket, const Connection<State>& connection) const {
    return {bucket.connections.slot_of(connection).value(), 0};
  }
  Bucket<State>& bucket_of(const Packet& packet) { return around_.buckets[packet.bucket]; }

  const WorkerSurroundings<State> around_;
  H handler_;
  Clock clock_;
  typename Connections<State>::Cache cache_;
  TimerChunkCache chunks_;
  DueBuckets<PacketClock> due_;
  const TickScale<PacketClock> scale_;
  std::int64_t now_ns_ = std::numeric_limits<std::int64_t>::min();  // packet time of what was served last
  base::Random sampler_;                                            // which packet of a burst is timed
  std::optional<FairQueue> queue_;
  ElephantTracker elephants_;
  const std::uint64_t believed_ticks_;
  meter::SampleLimit usual_packet_, usual_timer_;  // over all buckets
  std::vector<Awaited> awaited_;
  std::uint64_t live_ = 0;         // connections in the buckets that it owns
  std::size_t ends_seen_ = 0;      // end marks, one from each dispatcher
  std::size_t eviction_hand_ = 0;  // bucket at which the search for a connection to evict goes on
  bool tables_changed_ = false;    // since the lookups of this burst: they must be done again
};

template <Handler H, base::TickClock Clock>
std::size_t Worker<H, Clock>::receive() {
  std::size_t received = 0;
  for (std::size_t d = 0; d < around_.rings.size(); ++d) {
    std::size_t count = receive_burst(d);
    received += count;
    // With a backlog, all that has come is taken in: only what is queued can be told apart.
    for (std::size_t taken = count; count == kBurst && taken < kIntakeMax && queue_ && !queue_->empty();
         taken += count) {
      count = receive_burst(d);
      received += count;
    }
  }
  return received;
}

template <Handler H, base::TickClock Clock>
std::size_t Worker<H, Clock>::receive_burst(std::size_t dispatcher) {
  if (queue_ && !queue_->has_room()) return 0;
  WorkerRing& ring = *around_.rings[dispatcher];
  std::array<RingItem, kBurst> items;
  const std::size_t count = ring.pop(items);
  if (count == 0) {
    // In this order: what was handed over up to this time had been put into the ring before, so if the ring
    // is empty now, no older packet will come out of it.
    const std::int64_t handed_over_ns = around_.dispatchers[dispatcher]->handed_over_ns();
    if (ring.size() == 0) now_ns_ = std::max(now_ns_, handed_over_ns);
    return 0;
  }
  const bool straight = passes_straight(count + ring.known_waiting());
  std::array<Packet*, kBurst> packets;
  std::size_t waiting = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (items[i].is_packet()) {
      packets[waiting++] = items[i].packet();
      continue;
    }
    pass({packets.data(), waiting}, straight);  // what stands before a mark is served, or queued, before it
    waiting = 0;
    handle_mark(items[i]);
  }
  pass({packets.data(), waiting}, straight);
  return count;
}

// Within a quantum of work nobody could be served much sooner by another order.
template <Handler H, base::TickClock Clock>
bool Worker<H, Clock>::passes_straight(std::size_t waiting) const {
  return !queue_ || base::fault(base::Fault::kServePastQueue) ||
         (queue_->empty() && waiting <= queue_->straight_max());
}

template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::pass(std::span<Packet* const> packets, bool straight) {
  straight ? serve(packets) : enqueue(packets);
}

template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::handle_mark(RingItem item) {
  Bucket<State>& bucket = around_.buckets[item.bucket().value()];
  switch (item.mark()) {
    case RingItem::Mark::kEnd:
      ++ends_seen_;
      return;
    case RingItem::Mark::kRelease:
      release_mark(item);
      return;
    case RingItem::Mark::kAcquire:
      // The first dispatcher's mark counts; those of the others may even come when the bucket is here
      // already.
      if (bucket.awaited || owns(bucket)) return;
      bucket.awaited = true;
      awaited_.push_back({item.bucket(), item.version()});
      return;
  }
}

template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::release_mark(RingItem item) {
  Bucket<State>& bucket = around_.buckets[item.bucket().value()];
  if (!owns(bucket)) return around_.meters.ownership_violations.increment();
  const bool all_marks = ++bucket.release_marks == around_.rings.size();
  if (!all_marks && !base::fault(base::Fault::kLetGoAtFirstMark)) return;
  bucket.release_marks = 0;
  due_.remove(item.bucket());
  live_ -= bucket.connections.size();
  if (queue_) queue_->detach(around_.queue.buckets[item.bucket().value()]);
  bucket.owner.store(kNoOwner, std::memory_order_relaxed);
  // Release: pairs with the acquire in take_over(); all that was done to the bucket here happens before.
  bucket.released_version.store(item.version(), std::memory_order_release);
}

template <Handler H, base::TickClock Clock>
std::size_t Worker<H, Clock>::take_over() {
  const std::size_t before = awaited_.size();
  if (before == 0) return 0;
  std::erase_if(awaited_, [&](const Awaited& awaited) {
    Bucket<State>& bucket = around_.buckets[awaited.bucket.value()];
    // Acquire: pairs with the release in release_mark().
    if (bucket.released_version.load(std::memory_order_acquire) != awaited.version &&
        !base::fault(base::Fault::kTakeOverAtOnce))
      return false;
    bucket.owner.store(around_.id.value(), std::memory_order_relaxed);
    bucket.awaited = false;
    live_ += bucket.connections.size();
    if (queue_ && !base::fault(base::Fault::kForgetQueued))
      queue_->attach(around_.queue.buckets[awaited.bucket.value()]);
    serve_parked(std::exchange(bucket.parked_first, nullptr));
    note_due(bucket);
    around_.meters.buckets_taken_over.increment();
    around_.board.complete_one();
    return true;
  });
  return before - awaited_.size();
}

template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::serve_parked(Packet* first) {
  while (first != nullptr) {
    if (base::fault(base::Fault::kForgetParked)) return;
    std::array<Packet*, kBurst> packets;
    std::size_t count = 0;
    while (first != nullptr && count < kBurst) packets[count++] = std::exchange(first, first->next);
    if (base::fault(base::Fault::kServeBeforeParked)) std::reverse(packets.begin(), packets.begin() + count);
    pass({packets.data(), count}, !queue_ || base::fault(base::Fault::kServeParkedFirst));
  }
}

// Serves a burst in order. The lookups are done together first, so that their cache misses overlap.
//
// The cost of a bucket is estimated from samples: one packet of each burst, chosen at random, is timed and
// stands for the whole burst (each packet is drawn with probability 1/n and weighs n: unbiased, for two clock
// readings a burst). It includes what interrupted the thread meanwhile: see believe().
template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::serve(std::span<Packet* const> packets) {
  std::array<Packet*, kBurst> ours;
  const std::size_t count = park_what_is_not_ours(packets, ours);
  if (count == 0) return;
  std::array<std::uint64_t, kBurst> hashes;
  std::array<Found, kBurst> found;
  look_up({ours.data(), count}, hashes, found);
  tables_changed_ = false;
  BlockReleaser releaser;
  std::uint64_t bytes = 0, processed = 0;
  const std::size_t sampled = sampler_.below(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Packet& packet = *ours[i];
    meter::BucketMeters& bucket_meters = around_.bucket_meters[packet.bucket];
    const std::uint64_t start = i == sampled ? clock_.ticks() : 0;
    const bool delivered = deliver(bucket_of(packet), packet, hashes[i], found[i]);
    if (i == sampled) {
      const std::uint64_t end = clock_.ticks();
      bucket_meters.cost_ticks.add(believe(usual_packet_, bucket_meters.packet_limit, end - start) * count);
      if (queue_) queue_->learn_cost(end - start);
      watch(packet, hashes[i], count, packet.wire_length * count, (end - start) * count, end);
    }
    bucket_meters.packets.increment();
    bytes += delivered ? packet.wire_length : 0;
    processed += delivered;
    releaser.release(packet);
  }
  now_ns_ = std::max(now_ns_, ours[count - 1]->now_ns);
  around_.meters.bytes.add(bytes);
  around_.meters.processed.add(processed);
}

template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::enqueue(std::span<Packet* const> packets) {
  std::array<Packet*, kBurst> ours;
  const std::size_t count = park_what_is_not_ours(packets, ours);
  std::array<std::uint64_t, kBurst> hashes;
  for (std::size_t i = 0; i < count; ++i) {
    hashes[i] = around_.arena.hash()(ours[i]->key);
    FairQueue::prefetch(around_.queue.buckets[ours[i]->bucket], hashes[i]);
  }
  const std::uint64_t now = clock_.ticks();
  for (std::size_t i = 0; i < count; ++i) {
    BucketQueue& bucket = around_.queue.buckets[ours[i]->bucket];
    drop_overload(queue_->enqueue(bucket, *ours[i], hashes[i], now, declared_ticks(*ours[i])));
  }
}

// Serves one batch of what is queued. Each connection's packets are timed: the model is exact about what it
// charges.
template <Handler H, base::TickClock Clock>
std::size_t Worker<H, Clock>::serve_queued() {
  if (!queue_ || queue_->empty()) return 0;
  QueueBatch batch;
  queue_->take(clock_.ticks(), batch);
  drop_overload(batch.dropped);
  std::array<std::uint64_t, kBurst> hashes;
  std::array<Found, kBurst> found;
  look_up(batch.served(), hashes, found);
  tables_changed_ = false;
  BlockReleaser releaser;
  std::uint64_t bytes = 0, processed = 0;
  std::uint64_t start = clock_.ticks();
  for (const QueueRun& run : std::span(batch.runs).first(batch.runs_count)) {
    std::uint64_t run_bytes = 0;
    for (std::uint32_t i = run.first; i < run.first + run.count; ++i) {
      const Packet& packet = *batch.packets[i];
      const bool delivered = deliver(bucket_of(packet), packet, hashes[i], found[i]);
      bytes += delivered ? packet.wire_length : 0;
      processed += delivered;
      run_bytes += packet.wire_length;
      now_ns_ = std::max(now_ns_, packet.now_ns);
    }
    const std::uint64_t end = clock_.ticks();
    meter::BucketMeters& bucket_meters = around_.bucket_meters[batch.packets[run.first]->bucket];
    bucket_meters.cost_ticks.add(
        believe(usual_packet_, bucket_meters.packet_limit, (end - start) / run.count) * run.count);
    bucket_meters.packets.add(run.count);
    queue_->settle(run, end - start, end);
    watch(*batch.packets[run.first], hashes[run.first], run.count, run_bytes, end - start, end);
    start = end;
  }
  for (Packet* packet : batch.served()) releaser.release(*packet);
  around_.meters.bytes.add(bytes);
  around_.meters.processed.add(processed);
  return batch.packets_count + 1;
}

// `first`: packets linked by `next`, or nullptr.
template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::drop_overload(Packet* first) {
  if (first == nullptr) return;
  BlockReleaser releaser;
  while (first != nullptr) {
    const Packet* packet = std::exchange(first, first->next);
    elephants_.note_shed(around_.arena.hash()(packet->key));
    releaser.release(*packet);
    if (!base::fault(base::Fault::kShedUncounted))
      around_.meters.dropped[static_cast<std::size_t>(meter::DropReason::kOverload)].increment();
  }
}

// Some packets of a connection were served: is it an elephant?
template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::watch(const Packet& packet, std::uint64_t hash, std::uint64_t packets,
                             std::uint64_t bytes, std::uint64_t ticks, std::uint64_t now) {
  if (!elephants_.note(packet, hash, packets, bytes, ticks, now)) return;
  const Found found = bucket_of(packet).connections.find(packet.key, hash);
  if (found != nullptr) found->elephant = true;
}

template <Handler H, base::TickClock Clock>
FairQueueOptions Worker<H, Clock>::queue_options() const {
  const QueueingOptions& options = around_.queue.options;
  return {.quantum_ticks = std::max<std::uint64_t>(ticks_of(options.quantum_ns), 1),
          .limits = options.limits,
          .sheds = options.sheds,
          .codel = {ticks_of(options.codel_target_ns), ticks_of(options.codel_interval_ns)},
          .weights = options.discipline == Discipline::kWeighted ? &options.weights : nullptr};
}

// A handler that knows what a packet will cost may say so: see handler.h.
template <Handler H, base::TickClock Clock>
std::uint64_t Worker<H, Clock>::declared_ticks([[maybe_unused]] const Packet& packet) const {
  if constexpr (DeclaresCost<H>) {
    return static_cast<std::uint64_t>(static_cast<double>(handler_.cost_ns(packet)) *
                                      clock_.ticks_per_nanosecond());
  } else {
    return 0;
  }
}

// Bounds a sample by what its bucket's samples usually cost; of a bucket not yet known, by what all buckets'
// do.
template <Handler H, base::TickClock Clock>
std::uint64_t Worker<H, Clock>::believe(meter::SampleLimit& usual, meter::SampleLimit& of_bucket,
                                        std::uint64_t ticks) {
  const std::uint64_t floor = of_bucket.known() ? believed_ticks_ : std::max(usual.limit(), believed_ticks_);
  usual.admit(ticks, believed_ticks_);
  return of_bucket.admit(ticks, floor);
}

// Ownership changes only at marks, hence not within a burst.
template <Handler H, base::TickClock Clock>
std::size_t Worker<H, Clock>::park_what_is_not_ours(std::span<Packet* const> packets,
                                                    std::span<Packet*> ours) {
  std::size_t count = 0;
  for (Packet* packet : packets) {
    Bucket<State>& bucket = bucket_of(*packet);
    ours[count] = packet;
    if (owns(bucket) || base::fault(base::Fault::kServeUnowned)) {
      ++count;
      continue;
    }
    if (!bucket.awaited) around_.meters.ownership_violations.increment();
    bucket.park(packet);
    around_.meters.packets_parked.increment();
  }
  return count;
}

template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::look_up(std::span<Packet* const> packets, std::span<std::uint64_t> hashes,
                               std::span<Found> found) {
  std::array<typename Connections<State>::Query, kBurst> queries;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    hashes[i] = around_.arena.hash()(packets[i]->key);
    queries[i] = {&bucket_of(*packets[i]).connections, &packets[i]->key, hashes[i]};
  }
  Connections<State>::find_batch({queries.data(), packets.size()}, found);
}

template <Handler H, base::TickClock Clock>
bool Worker<H, Clock>::deliver(Bucket<State>& bucket, const Packet& packet, std::uint64_t hash, Found found) {
  if (tables_changed_) [[unlikely]]
    found = bucket.connections.find(packet.key, hash);
  if (found != nullptr && found->over_before(packet)) [[unlikely]] {
    close(bucket, *found, found->ended ? CloseReason::kEnded : CloseReason::kIdle, packet.now_ns);
    found = nullptr;
  }
  if (found == nullptr) [[unlikely]] {
    found = open(bucket, packet, hash);
    if (found == nullptr) return false;
  }
  handler_.packet(*found, packet);
  const bool ended_now = found->advance(packet, around_.lifetimes);
  // The timer goes by its old time until that comes, and then to the new one; only an earlier time needs it
  // moved now.
  if (ended_now || !found->timer.armed()) [[unlikely]] {
    // A wheel reaches days ahead, and before the first burst has been served it would stand at 1970.
    now_ns_ = std::max(now_ns_, packet.now_ns);
    arm(bucket, *found);
  }
  return true;
}

template <Handler H, base::TickClock Clock>
auto Worker<H, Clock>::open(Bucket<State>& bucket, const Packet& packet, std::uint64_t hash) -> Found {
  tables_changed_ = true;
  if (must_leave_room()) make_room(bucket, hash);
  Found found = bucket.connections.insert(cache_, packet.key, hash);
  if (found == nullptr && make_room(bucket, hash))
    found = bucket.connections.insert(cache_, packet.key, hash);
  if (found == nullptr) {
    around_.meters.dropped[static_cast<std::size_t>(meter::DropReason::kConnectionLimit)].increment();
    return nullptr;
  }
  ++live_;
  found->forward_reversed = packet.reversed();
  handler_.open(*found, packet);
  around_.meters.connections_opened.increment();
  return found;
}

// Sets the connection's timer to the first of its expiry and its handler's deadline.
template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::arm(Bucket<State>& bucket, Connection<State>& connection) {
  const std::int64_t deadline_ns = std::min(connection.expires_ns, handler_.deadline_ns(connection));
  TimerStatesOf states{bucket.connections};
  meter::TimerMeters& meters = around_.meters.timers;
  (connection.timer.armed() ? meters.restarted : meters.started).increment();
  const TimerStart started = bucket.wheel.start(chunks_, states, timer_of(bucket, connection), now_tick(),
                                                scale_.not_before(std::max<std::int64_t>(deadline_ns, 0)));
  if (started != TimerStart::kStarted) return meters.refused.increment();
  note_due(bucket);
}

template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::note_due(Bucket<State>& bucket) {
  if (!due_.note(id_of(bucket), now_tick(), bucket.wheel.next_due()))
    around_.meters.timers.refused.increment();
}

// Looks at what is due, a slice at a time.
template <Handler H, base::TickClock Clock>
std::size_t Worker<H, Clock>::expire() {
  const PacketTick now = now_tick();
  if (due_.next_due() > now) return 0;
  std::uint32_t budget = kTimerSlice;
  due_.advance(now, budget, [this](BucketId id, std::uint32_t& turn) { return expire_bucket(id, turn); });
  return kTimerSlice - budget;
}

template <Handler H, base::TickClock Clock>
PacketTick Worker<H, Clock>::expire_bucket(BucketId id, std::uint32_t& budget) {
  Bucket<State>& bucket = around_.buckets[id.value()];
  if (!owns(bucket)) around_.meters.timers.fired_off_owner.increment();
  const std::uint32_t budget_before = budget;
  const std::uint64_t start = clock_.ticks();
  TimerStatesOf states{bucket.connections};
  bucket.wheel.advance(chunks_, states, now_tick(), budget, [&](TimerName name, PacketTick deadline) {
    look_at(bucket, bucket.connections.value(SlotId(name.slot)), scale_.begin_ns(deadline));
  });
  const std::uint64_t looked_at = std::max(1u, budget_before - budget);
  const std::uint64_t each = (clock_.ticks() - start) / looked_at;
  meter::BucketMeters& meters = around_.bucket_meters[id.value()];
  meters.timer_ticks.add(believe(usual_timer_, meters.timer_limit, each) * looked_at);
  return bucket.wheel.next_due();
}

// The connection's timer has fired: ends it, or calls its handler, or finds that packets have moved its end
// on.
template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::look_at(Bucket<State>& bucket, Connection<State>& connection,
                               std::int64_t deadline_ns) {
  if (is_queued(bucket, connection)) return look_again(bucket, connection);
  meter::TimerMeters& meters = around_.meters.timers;
  meters.fired.increment();
  const auto late_us = static_cast<std::uint64_t>((now_ns_ - deadline_ns) / base::kNanosecondsPerMicrosecond);
  meters.lateness[std::min<std::size_t>(std::bit_width(late_us), meters.lateness.size() - 1)].increment();
  if (now_ns_ >= connection.expires_ns) {
    const CloseReason reason = connection.ended ? CloseReason::kEnded : CloseReason::kIdle;
    return close(bucket, connection, reason, connection.expires_ns);
  }
  if (now_ns_ >= handler_.deadline_ns(connection))
    handler_.due(bucket.connections.key_of(connection), connection, now_ns_);
  arm(bucket, connection);
}

// Packets of the connection wait: they came before its end, if packet time says so, and are served first.
template <Handler H, base::TickClock Clock>
bool Worker<H, Clock>::is_queued(const Bucket<State>& bucket, const Connection<State>& connection) const {
  if (!queue_) return false;
  const BucketQueue& queue = around_.queue.buckets[id_of(bucket).value()];
  return queue.packets != 0 &&
         FairQueue::holds(queue, around_.arena.hash()(bucket.connections.key_of(connection)));
}

template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::look_again(Bucket<State>& bucket, Connection<State>& connection) {
  TimerStatesOf states{bucket.connections};
  const TimerStart started = bucket.wheel.start(chunks_, states, timer_of(bucket, connection), now_tick(),
                                                now_tick() + kLookAgainTicks);
  if (started != TimerStart::kStarted) around_.meters.timers.refused.increment();
}

// The connection limit is reached: of some connections of this bucket, else of another bucket of this worker,
// the one idle longest goes.
template <Handler H, base::TickClock Clock>
bool Worker<H, Clock>::make_room(Bucket<State>& bucket, std::uint64_t hash) {
  if (evict_from(bucket, hash)) return true;
  for (std::size_t tried = 0; tried < around_.buckets.size(); ++tried) {
    Bucket<State>& candidate = around_.buckets[eviction_hand_];
    if (owns(candidate) && evict_from(candidate, hash)) return true;
    eviction_hand_ = eviction_hand_ + 1 == around_.buckets.size() ? 0 : eviction_hand_ + 1;
  }
  return false;
}

template <Handler H, base::TickClock Clock>
bool Worker<H, Clock>::evict_from(Bucket<State>& bucket, std::uint64_t hash) {
  Connections<State>& connections = bucket.connections;
  const SlotId slot = connections.victim(
      hash, kEvictionSample, [](const auto& a, const auto& b) { return a.expires_ns < b.expires_ns; });
  if (slot == kNoSlot) return false;
  close(bucket, connections.value(slot), CloseReason::kEvicted, connections.value(slot).expires_ns);
  return true;
}

template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::close(Bucket<State>& bucket, Connection<State>& connection, CloseReason reason,
                             std::int64_t now_ns) {
  tables_changed_ = true;
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
void Worker<H, Clock>::count_close(CloseReason reason) {
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
void Worker<H, Clock>::close_bucket(Bucket<State>& bucket, std::int64_t now_ns) {
  // The table may not change while it is walked: the entries are closed here and given back together.
  bucket.connections.for_each([&](SlotId, const ConnectionKey& key, Connection<State>& connection) {
    const CloseReason reason = connection.ended                  ? CloseReason::kEnded
                               : now_ns >= connection.expires_ns ? CloseReason::kIdle
                                                                 : CloseReason::kShutdown;
    count_close(reason);
    handler_.close(key, connection, reason, now_ns);
  });
  bucket.connections.clear(cache_);
}

}  // namespace evenkeel::engine
