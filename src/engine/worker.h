// A worker: one processor of the engine. It serves the packets, and the timers, of the buckets that it owns.
//
// Passive: step() does one iteration, driven by a thread or by the simulation, which also gives the clock.
// This file takes packets in, in the right order: through handovers (bucket/handover.h) and the queueing
// model (fair_queue.h). What becomes of connections is connection_keeper.h's.
//
// Handover, seen from here. As the old owner of a bucket it serves what stands before each dispatcher's
// release mark, and lets go at the last of them. As the new one it parks the bucket's packets from the first
// acquire mark on; when the old owner has let go, it serves the parked packets in order, and goes on. Nobody
// else waits, nothing is copied, and since a dispatcher's packets before its mark are all served by the old
// owner before the new one begins, no connection's packets change places.
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
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/fault.h"
#include "bucket/handover.h"
#include "engine/batch.h"
#include "engine/bucket.h"
#include "engine/connection_keeper.h"
#include "engine/cost_sampler.h"
#include "engine/dispatcher.h"
#include "engine/elephants.h"
#include "engine/fair_queue.h"
#include "engine/handler.h"
#include "engine/queueing.h"
#include "engine/release.h"
#include "engine/ring_item.h"
#include "engine/worker_surroundings.h"
#include "meter/meters.h"

namespace evenkeel::engine {

template <Handler H, base::TickClock Clock>
class Worker {
 public:
  using State = typename H::State;

  Worker(const WorkerSurroundings<State>& around, H handler, Clock clock)
      : around_(around),
        clock_(std::move(clock)),
        costs_(around.id.value() + 1, clock_.ticks_per_nanosecond()),
        keeper_(around_, std::move(handler), clock_, costs_, elephants_),
        handover_(around.id, static_cast<std::uint32_t>(around.rings.size()), around.board),
        elephants_(around.elephants, clock_.ticks(), ticks_of(kShareOfAtLeast_ns)) {
    if (around.queue.options.fair())
      queue_.emplace(queue_options(), *around.queue.arena, around.queue.meters);
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // One iteration of the loop. Returns whether it found anything to do.
  bool step() {
    const std::uint64_t start = clock_.ticks();
    const std::size_t work = receive() + take_over() + serve_queued() + keeper_.expire();
    if (work == 0) {
      handler().idle();
      return false;
    }
    around_.meters.busy_ticks.add(clock_.ticks() - start);
    return true;
  }

  // Time that this thread spent on packets before step(), as a dispatcher.
  void add_busy(std::uint64_t ticks) { around_.meters.busy_ticks.add(ticks); }

  // True when every dispatcher's end mark was passed, no bucket is awaited and nothing is queued: no packet
  // will come any more.
  bool finished() const {
    return ends_seen_ == around_.rings.size() && !handover_.waits() && (!queue_ || queue_->empty());
  }

  // Ends the connections of the buckets that this worker owns, as of packet time `now_ns`. After finished().
  void close_all(std::int64_t now_ns) {
    for (Bucket<State>& bucket : around_.buckets) {
      if (handover_.owns(bucket.ownership)) keeper_.close_all(bucket, now_ns);
    }
    handler().idle();
  }

  H& handler() { return keeper_.handler(); }

  // Whether a queueing model tells waiting connections apart; and if so, how many packets are about a quantum
  // of work.
  bool queues() const { return queue_.has_value(); }
  std::size_t straight_max() const { return queue_->straight_max(); }

  // [control] When the worker has ended.
  std::vector<Elephant> elephants() const { return elephants_.named(); }

 private:
  // Packets that a step takes in from a ring at most, before it serves: about as long as a batch takes.
  static constexpr std::size_t kIntakeMax = 1024;
  // A connection's share of the worker's time is told of at least this much: a balancing interval.
  static constexpr std::int64_t kShareOfAtLeast_ns = 100 * base::kNanosecondsPerMillisecond;

  // The phases of a step: each returns the number of things it did.
  std::size_t receive();
  std::size_t take_over();
  std::size_t serve_queued();

  std::size_t receive_burst(std::size_t dispatcher);
  void pass_time_of(std::size_t dispatcher);
  void pass_all(std::span<const RingItem> items, bool straight);
  std::size_t pass_to_mark(std::span<const RingItem> items, bool straight);
  bool passes_straight(std::size_t waiting) const;
  void handle_mark(RingItem item);
  void release_mark(RingItem item);
  void serve_parked(Packet* first);
  // What the bucket's last owner did is past on this processor's clock, too, where the two are compared.
  bool released_by_now([[maybe_unused]] const Bucket<State>& bucket) const {
    if constexpr (base::ProcessorLocalClock<Clock>) return clock_.has_reached(bucket.released_ticks);
    return true;
  }

  std::size_t admit_to_mark(std::span<const RingItem> items, Burst<State>& burst);
  void park(Packet* packet);
  void serve(Burst<State>& burst);
  void enqueue(const Burst<State>& burst);
  void drop_overload(Packet* first);
  void watch(const Packet& packet, std::uint64_t hash, std::uint64_t packets, std::uint64_t bytes,
             std::uint64_t ticks, std::uint64_t now);

  // Gives packets of a burst to their connections, and back to their source; counts them.
  class Delivery;

  FairQueueOptions queue_options() const;
  std::uint64_t declared_ticks(const Packet& packet) const;
  std::uint64_t ticks_of(std::int64_t nanoseconds) const {
    return static_cast<std::uint64_t>(static_cast<double>(nanoseconds) * clock_.ticks_per_nanosecond());
  }
  Bucket<State>& bucket_of(const Packet& packet) { return around_.buckets[packet.bucket]; }

  const WorkerSurroundings<State> around_;
  Clock clock_;
  CostSampler costs_;
  ConnectionKeeper<H, Clock> keeper_;
  bucket::HandoverEnd handover_;
  std::optional<FairQueue> queue_;
  ElephantTracker elephants_;
  std::size_t ends_seen_ = 0;  // end marks, one from each dispatcher
};

// --- Taking in

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
    pass_time_of(dispatcher);
    return 0;
  }
  // While this burst is served, the descriptors of the next one come from the dispatcher's core.
  ring.peek(kBurst, [](RingItem item) { item.prefetch(); });
  const bool straight = passes_straight(count + ring.known_waiting());
  pass_all({items.data(), count}, straight);
  return count;
}

// Nothing is in the ring: then packet time goes on without packets.
template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::pass_time_of(std::size_t dispatcher) {
  // In this order: what was handed over up to this time had been put into the ring before, so if the ring is
  // empty now, no older packet will come out of it.
  const std::int64_t handed_over_ns = around_.dispatchers[dispatcher]->handed_over_ns();
  if (around_.rings[dispatcher]->size() == 0) keeper_.pass_time(handed_over_ns);
}

// What stands before a mark is served, or queued, before it.
template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::pass_all(std::span<const RingItem> items, bool straight) {
  while (!items.empty()) {
    const std::size_t passed = pass_to_mark(items, straight);
    if (passed == items.size()) return;
    handle_mark(items[passed]);
    items = items.subspan(passed + 1);
  }
}

// Returns how many items stand before the first mark.
template <Handler H, base::TickClock Clock>
std::size_t Worker<H, Clock>::pass_to_mark(std::span<const RingItem> items, bool straight) {
  Burst<State> burst;
  const std::size_t passed = admit_to_mark(items, burst);
  if (burst.count != 0) straight ? serve(burst) : enqueue(burst);
  return passed;
}

// Within a quantum of work nobody could be served much sooner by another order.
template <Handler H, base::TickClock Clock>
bool Worker<H, Clock>::passes_straight(std::size_t waiting) const {
  return !queue_ || base::fault(base::Fault::kServePastQueue) ||
         (queue_->empty() && waiting <= queue_->straight_max());
}

// --- Handover

template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::handle_mark(RingItem item) {
  switch (item.mark()) {
    case RingItem::Mark::kEnd:
      ++ends_seen_;
      return;
    case RingItem::Mark::kRelease:
      return release_mark(item);
    case RingItem::Mark::kAcquire:
      return handover_.acquire_mark(item.bucket(), around_.buckets[item.bucket().value()].ownership,
                                    item.version());
  }
}

template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::release_mark(RingItem item) {
  Bucket<State>& bucket = around_.buckets[item.bucket().value()];
  if (!handover_.owns(bucket.ownership)) return around_.meters.ownership_violations.increment();
  if (!handover_.is_last_release(bucket.ownership) && !base::fault(base::Fault::kLetGoAtFirstMark)) return;
  keeper_.bucket_goes(bucket);
  if (queue_) queue_->detach(around_.queue.buckets[item.bucket().value()]);
  bucket.elephants = elephants_.take(static_cast<std::uint16_t>(item.bucket().value()));
  if constexpr (base::ProcessorLocalClock<Clock>) bucket.released_ticks = clock_.ticks();
  handover_.let_go(bucket.ownership, item.version());
}

template <Handler H, base::TickClock Clock>
std::size_t Worker<H, Clock>::take_over() {
  return handover_.take_over_if(
      [this](BucketId id) -> bucket::Ownership& { return around_.buckets[id.value()].ownership; },
      [this](BucketId id) {
        Bucket<State>& bucket = around_.buckets[id.value()];
        keeper_.bucket_came(bucket);
        elephants_.put(std::exchange(bucket.elephants, nullptr));
        if (queue_ && !base::fault(base::Fault::kForgetQueued))
          queue_->attach(around_.queue.buckets[id.value()]);
        serve_parked(std::exchange(bucket.parked_first, nullptr));
        keeper_.note_due(bucket);
        around_.meters.buckets_taken_over.increment();
      },
      base::fault(base::Fault::kTakeOverAtOnce),
      [this](BucketId id) { return released_by_now(around_.buckets[id.value()]); });
}

template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::serve_parked(Packet* first) {
  while (first != nullptr) {
    if (base::fault(base::Fault::kForgetParked)) return;
    std::array<RingItem, kBurst> items;
    std::size_t count = 0;
    while (first != nullptr && count < kBurst) items[count++] = RingItem(std::exchange(first, first->next));
    if (base::fault(base::Fault::kServeBeforeParked)) std::reverse(items.begin(), items.begin() + count);
    pass_all({items.data(), count}, !queue_ || base::fault(base::Fault::kServeParkedFirst));
  }
}

// --- Serving

// Hashes the packets of owned buckets, and parks the others, up to the first mark. Ownership changes only at
// marks, hence not within a burst. Returns how many items stand before the mark.
template <Handler H, base::TickClock Clock>
std::size_t Worker<H, Clock>::admit_to_mark(std::span<const RingItem> items, Burst<State>& burst) {
  const KeyHash hash = around_.arena.hash();
  std::size_t count = 0, seen = 0;
  for (; seen < items.size() && items[seen].is_packet(); ++seen) {
    Packet* const packet = items[seen].packet();
    if (!handover_.owns(bucket_of(*packet).ownership) && !base::fault(base::Fault::kServeUnowned))
        [[unlikely]] {
      park(packet);
      continue;
    }
    burst.packets[count] = packet;
    burst.hashes[count++] = hash(packet->key);
  }
  burst.count = count;
  return seen;
}

template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::park(Packet* packet) {
  Bucket<State>& bucket = bucket_of(*packet);
  if (!bucket.ownership.awaited) around_.meters.ownership_violations.increment();
  bucket.park(packet);
  around_.meters.packets_parked.increment();
}

template <Handler H, base::TickClock Clock>
class Worker<H, Clock>::Delivery {
 public:
  Delivery(Worker& worker, const Burst<State>& burst) : worker_(worker), burst_(burst) {}
  // All packets of the burst have been served. They are given back only now: what is done with them between
  // two calls of serve() still reads them, and the source writes to a block as soon as it has all of it back.
  ~Delivery() {
    BlockReleaser releaser;
    for (const Packet* packet : burst_.served()) releaser.release(*packet);
    worker_.around_.meters.bytes.add(bytes_);
    worker_.around_.meters.processed.add(processed_);
  }

  // Returns the bytes of the packets [first, last), on the wire.
  std::uint64_t serve(std::size_t first, std::size_t last) {
    // Of its own: else each packet's bytes go through memory.
    const Burst<State>& burst = burst_;
    auto& keeper = worker_.keeper_;
    meter::BucketMeters* const bucket_meters = worker_.around_.bucket_meters.data();
    std::uint64_t bytes = 0, dropped_bytes = 0, dropped = 0;
    for (std::size_t i = first; i < last; ++i) {
      const Packet& packet = *burst.packets[i];
      bytes += packet.wire_length;
      if (!keeper.deliver(burst, i)) [[unlikely]] {
        dropped_bytes += packet.wire_length;
        ++dropped;
      }
      bucket_meters[packet.bucket].packets.increment();
    }
    bytes_ += bytes - dropped_bytes;
    processed_ += last - first - dropped;
    return bytes;
  }

 private:
  Worker& worker_;
  const Burst<State>& burst_;
  std::uint64_t bytes_ = 0, processed_ = 0;
};

// Serves packets in order; one of them is timed (cost_sampler.h).
template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::serve(Burst<State>& burst) {
  keeper_.look_up(burst);
  Delivery delivery(*this, burst);
  const std::size_t timed = costs_.choose(burst.count);
  delivery.serve(0, timed);
  const std::uint64_t start = clock_.ticks();
  const std::uint64_t bytes = delivery.serve(timed, timed + 1);
  const std::uint64_t end = clock_.ticks();
  const Packet& packet = *burst.packets[timed];
  const std::uint64_t cost_each =
      costs_.add_packets(around_.bucket_meters[packet.bucket], end - start, burst.count);
  if (queue_) queue_->learn_cost(end - start);
  watch(packet, burst.hashes[timed], burst.count, bytes * burst.count, cost_each * burst.count, end);
  delivery.serve(timed + 1, burst.count);
  keeper_.pass_time(burst.packets[burst.count - 1]->now_ns);
}

template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::enqueue(const Burst<State>& burst) {
  for (std::size_t i = 0; i < burst.count; ++i)
    FairQueue::prefetch(around_.queue.buckets[burst.packets[i]->bucket], burst.hashes[i]);
  const std::uint64_t now = clock_.ticks();
  for (std::size_t i = 0; i < burst.count; ++i) {
    Packet& packet = *burst.packets[i];
    BucketQueue& bucket = around_.queue.buckets[packet.bucket];
    drop_overload(queue_->enqueue(bucket, packet, burst.hashes[i], now, declared_ticks(packet)));
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
  Burst<State> burst;
  for (Packet* packet : batch.served()) {
    burst.packets[burst.count] = packet;
    burst.hashes[burst.count++] = around_.arena.hash()(packet->key);
  }
  keeper_.look_up(burst);
  Delivery delivery(*this, burst);
  std::uint64_t start = clock_.ticks();
  for (const QueueRun& run : std::span(batch.runs).first(batch.runs_count)) {
    const std::uint64_t bytes = delivery.serve(run.first, run.first + run.count);
    for (std::uint32_t i = run.first; i < run.first + run.count; ++i)
      keeper_.pass_time(burst.packets[i]->now_ns);
    const std::uint64_t end = clock_.ticks();
    const Packet& packet = *burst.packets[run.first];
    const std::uint64_t cost_each =
        costs_.add_packets(around_.bucket_meters[packet.bucket], (end - start) / run.count, run.count);
    queue_->settle(run, end - start, end);
    watch(packet, burst.hashes[run.first], run.count, bytes, cost_each * run.count, end);
    start = end;
  }
  return batch.packets_count + 1;
}

// `first`: packets linked by `next`, or nullptr.
template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::drop_overload(Packet* first) {
  if (first == nullptr) return;
  BlockReleaser releaser;
  while (first != nullptr) {
    const Packet* packet = std::exchange(first, first->next);
    elephants_.note_shed(*packet, around_.arena.hash()(packet->key));
    releaser.release(*packet);
    if (!base::fault(base::Fault::kShedUncounted))
      around_.meters.dropped[static_cast<std::size_t>(meter::DropReason::kOverload)].increment();
  }
}

// Some packets of a connection were served: is it an elephant?
template <Handler H, base::TickClock Clock>
void Worker<H, Clock>::watch(const Packet& packet, std::uint64_t hash, std::uint64_t packets,
                             std::uint64_t bytes, std::uint64_t ticks, std::uint64_t now) {
  if (!elephants_.note(packet, hash, packets, bytes, ticks, now, around_.meters.busy_ticks.read())) return;
  if (Connection<State>* connection = keeper_.find(packet, hash)) connection->elephant = true;
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
    return static_cast<std::uint64_t>(static_cast<double>(keeper_.handler().cost_ns(packet)) *
                                      clock_.ticks_per_nanosecond());
  } else {
    return 0;
  }
}

}  // namespace evenkeel::engine
