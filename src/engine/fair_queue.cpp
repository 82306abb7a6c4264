#include "engine/fair_queue.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"
#include "base/fault.h"
#include "base/prefetch.h"
#include "base/units.h"

namespace evenkeel::engine {

namespace {

constexpr std::uint32_t kSizeUnitsPerQuantum = 16;

std::uint32_t saturated(std::uint64_t ticks) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(ticks, UINT32_MAX));
}

}  // namespace

FairQueue::FairQueue(const FairQueueOptions& options, Arena& arena, meter::QueueMeters& meters)
    : options_(options),
      meters_(meters),
      size_shift_(
          static_cast<std::uint32_t>(std::bit_width(options.quantum_ticks / kSizeUnitsPerQuantum | 1) - 1)),
      cache_(arena) {
  CHECK(options.quantum_ticks > 0 && options.limits.worker_packets > 0 && options.limits.bucket_packets > 0 &&
        options.limits.connection_packets > 0);
}

void FairQueue::learn_cost(std::uint64_t ticks) {
  // A sixteenth of the newest: a stray interrupt does not count for long.
  const auto difference = static_cast<std::int64_t>(ticks - mean_cost_ticks_);
  mean_cost_ticks_ =
      mean_cost_ticks_ == 0 ? ticks : mean_cost_ticks_ + static_cast<std::uint64_t>(difference / 16);
  straight_max_ = saturated(options_.quantum_ticks / std::max<std::uint64_t>(mean_cost_ticks_, 1));
}

Packet* FairQueue::enqueue(BucketQueue& bucket, Packet& packet, std::uint64_t hash, std::uint64_t now,
                           std::uint64_t declared_ticks) {
  QueuedConnection& connection = find_or_add(bucket, packet, hash, now);
  if (declared_ticks != 0) {
    connection.cost_ticks = saturated(declared_ticks);
    connection.declared = true;
  }
  packet.next = nullptr;
  packet.queued_ticks = now;
  (connection.packets == 0 ? connection.first : connection.last->next) = &packet;
  connection.last = &packet;
  const bool begins = connection.packets++ == 0;
  ++bucket.packets;
  ++packets_;
  if (begins) begin_waiting(bucket, connection);
  resize(bucket, connection);
  meters_.packets.increment();
  Packet* shed = options_.sheds ? shed_beyond_limits(bucket, connection, now) : nullptr;
  publish();
  return shed;
}

// While some of a bucket's connections wait as `others`, those that have no place of their own join them:
// their earlier packets may be there.
QueuedConnection& FairQueue::find_or_add(BucketQueue& bucket, const Packet& packet, std::uint64_t hash,
                                         std::uint64_t now) {
  if (const auto found = bucket.connections.find(hash, hash)) return *found;
  if (bucket.others.packets != 0) return bucket.others;
  const auto added = bucket.connections.insert(cache_, hash, hash);
  QueuedConnection& connection = added != nullptr ? *added : bucket.others;
  connection.hash = hash;
  connection.weight = options_.weights == nullptr ? 1 : options_.weights->of(packet.key);
  connection.cost_ticks = saturated(std::max<std::uint64_t>(mean_cost_ticks_, 1));
  connection.deficit_ticks = credit(connection);
  connection.is_new = !recent_.recall(hash, now, connection.deficit_ticks);
  return connection;
}

void FairQueue::begin_waiting(BucketQueue& bucket, QueuedConnection& connection) {
  ++bucket.connections_waiting;
  ++connections_;
  if (connection.is_new) {
    join_new(bucket, connection);
  } else {
    join_old(bucket, connection, false);
  }
}

// Its last packet is gone. What it has left, or owes, is remembered for as long as a round of those who wait
// may take, or as many rounds as pay the debt.
void FairQueue::stop_waiting(BucketQueue& bucket, QueuedConnection& connection, std::uint64_t now) {
  if (connection.turn.linked) leave_turn(bucket, connection);
  bucket.sizes.remove(connection, connection.size_class);
  --bucket.connections_waiting;
  --connections_;
  bucket.backlog_ticks -= connection.backlog_ticks;
  backlog_ticks_ -= connection.backlog_ticks;
  const auto quantum = static_cast<std::int64_t>(options_.quantum_ticks);
  const std::int64_t debt_rounds = std::max<std::int64_t>(0, -connection.deficit_ticks / credit(connection));
  const auto until = static_cast<std::uint64_t>((1 + debt_rounds) * quantum * connections_);
  recent_.remember(connection.hash, connection.deficit_ticks, now + until);
  if (&connection == &bucket.others) {
    bucket.others = {};
  } else {
    bucket.connections.erase(cache_, bucket.connections.slot_of(connection));
  }
  place(bucket);
}

Packet* FairQueue::pop(BucketQueue& bucket, QueuedConnection& connection) {
  Packet* packet = connection.first;
  connection.first = std::exchange(packet->next, nullptr);
  --connection.packets;
  --bucket.packets;
  --packets_;
  return packet;
}

// After its packets or their cost changed: keeps the sums, and its class of size.
void FairQueue::resize(BucketQueue& bucket, QueuedConnection& connection) {
  const std::uint64_t before = connection.backlog_ticks;
  const std::uint64_t now = std::uint64_t{connection.packets} * connection.cost_ticks;
  connection.backlog_ticks = now;
  bucket.backlog_ticks += now - before;
  backlog_ticks_ += now - before;
  std::uint64_t size = now >> size_shift_;
  if (connection.weight != 1) size /= connection.weight;
  const SizeClass where = size_class(size);
  if (connection.by_size.linked && where == connection.size_class) return;
  if (connection.by_size.linked) bucket.sizes.remove(connection, connection.size_class);
  bucket.sizes.insert(connection, where);
  connection.size_class = where;
  place(bucket);
}

// Keeps the bucket among the worker's in the class of its largest connection.
void FairQueue::place(BucketQueue& bucket) {
  const bool stands = !bucket.sizes.empty();
  if (bucket.by_size.linked) {
    if (stands && bucket.sizes.top() == bucket.size_class) return;
    sizes_.remove(bucket, bucket.size_class);
  }
  if (!stands) return;
  bucket.size_class = bucket.sizes.top();
  sizes_.insert(bucket, bucket.size_class);
}

Packet* FairQueue::shed_beyond_limits(BucketQueue& bucket, QueuedConnection& connection, std::uint64_t now) {
  if (base::fault(base::Fault::kIgnoreLimits)) return nullptr;
  const QueueLimits& limits = options_.limits;
  if (connection.packets > limits.connection_packets) return shed_from(bucket, connection, now);
  if (bucket.packets > limits.bucket_packets) return shed_from(bucket, *bucket.sizes.largest(), now);
  if (packets_ <= limits.worker_packets) return nullptr;
  BucketQueue& largest = *sizes_.largest();
  return shed_from(largest, *largest.sizes.largest(), now);
}

// The oldest packet goes: those that follow are fresher, and the sender notices sooner.
Packet* FairQueue::shed_from(BucketQueue& bucket, QueuedConnection& connection, std::uint64_t now) {
  Packet* packet = pop(bucket, connection);
  if (connection.packets == 0) {
    stop_waiting(bucket, connection, now);
  } else {
    resize(bucket, connection);
  }
  meters_.shed_by_limit.increment();
  return packet;
}

void FairQueue::take(std::uint64_t now, QueueBatch& batch) {
  batch.packets_count = batch.runs_count = 0;
  batch.estimated_ticks = 0;
  batch.dropped = nullptr;
  ++batches_;
  const auto lead_max = kNewLeadMax * static_cast<std::int64_t>(options_.quantum_ticks);
  const bool new_too =
      old_buckets_.empty() || (new_lead_ticks_ < lead_max && !base::fault(base::Fault::kStarveNew));
  while (batch.packets_count < kBurst && batch.estimated_ticks < options_.quantum_ticks) {
    BucketQueue* bucket = nullptr;
    QueuedConnection* connection = next(bucket, new_too, batch.runs_count == 0);
    last_taken_ = connection;  // nobody, where the batch ends for want of another: then nobody was cut short
    if (connection == nullptr) break;
    take_run(*bucket, *connection, now, batch);
  }
  meters_.batches.increment();
}

// Whose turn it is: a new connection, or else the next one of the round that has some of its quantum left. A
// batch ends where a second round would begin: those that are in the batch would be passed over in it, and
// the debts of the others forgiven.
QueuedConnection* FairQueue::next(BucketQueue*& bucket, bool new_too, bool first) {
  if (new_too && !new_buckets_.empty()) {
    bucket = new_buckets_.front();
    return bucket->new_connections.front();
  }
  while ((bucket = old_buckets_.front()) != nullptr) {
    if (!bucket->in_turn) {
      if (std::exchange(bucket->turn_batch, batches_) == batches_ && !first) return nullptr;
      bucket->in_turn = true;
      bucket->turn_left = bucket->old_count;
      ++bucket->turn;
    }
    if (QueuedConnection* connection = next_old_of(*bucket)) return connection;
    bucket->in_turn = false;
    old_buckets_.move_to_back(*bucket);
  }
  return nullptr;
}

// A visit to a connection that has used up its quantum gives it the next one, and its turn in the next round.
QueuedConnection* FairQueue::next_old_of(BucketQueue& bucket) {
  while (bucket.turn_left != 0) {
    QueuedConnection& connection = *bucket.old_connections.front();
    if (connection.deficit_ticks > 0) return &connection;
    connection.deficit_ticks += credit(connection);
    bucket.old_connections.move_to_back(connection);
    --bucket.turn_left;
  }
  return nullptr;
}

// Of many that wait, none is in a cache when its turn comes: loads what the next turn will read of the next
// connection, and the one after that.
void FairQueue::prefetch_turn(const BucketQueue& bucket, const QueuedConnection* next) {
  if (next == nullptr) return;
  base::prefetch(next->first);
  bucket.connections.prefetch(next->hash);
  const auto* after = reinterpret_cast<const char*>(next->turn.next);
  for (std::size_t at = 0; at < sizeof(QueuedConnection); at += base::kCacheLine) base::prefetch(after + at);
}

// Takes what the connection may use now. It stands in no list of turns until the run is settled.
void FairQueue::take_run(BucketQueue& bucket, QueuedConnection& connection, std::uint64_t now,
                         QueueBatch& batch) {
  if (!connection.is_new) --bucket.turn_left;  // this is its visit
  leave_turn(bucket, connection);
  prefetch_turn(bucket, connection.is_new ? bucket.new_connections.front() : bucket.old_connections.front());
  QueueRun& run = batch.runs[batch.runs_count];
  run = {&bucket, &connection, batch.packets_count, 0, bucket.turn};
  const std::uint32_t run_max = connection.measured || connection.declared ? kBurst : kFirstRun;
  while (connection.packets != 0 && run.count < run_max && connection.deficit_ticks > 0 &&
         batch.packets_count < kBurst && batch.estimated_ticks < options_.quantum_ticks) {
    const bool is_small = small(connection);
    Packet* packet = pop(bucket, connection);
    const std::uint64_t waited = now - packet->queued_ticks;
    if (options_.sheds && connection.codel.drops(options_.codel, now, waited, is_small)) {
      packet->next = std::exchange(batch.dropped, packet);
      meters_.shed_by_delay.increment();
      continue;
    }
    meters_.delay.add(waited);
    batch.packets[batch.packets_count++] = packet;
    batch.estimated_ticks += connection.cost_ticks;
    connection.deficit_ticks -= connection.cost_ticks;
    ++run.count;
  }
  if (run.count != 0) {
    ++batch.runs_count;
    return;
  }
  // All that it had was dropped: the caller has nothing to settle.
  settle(run, 0, now);
}

void FairQueue::settle(const QueueRun& run, std::uint64_t ticks, std::uint64_t now) {
  QueuedConnection& connection = *run.connection;
  BucketQueue& bucket = *run.bucket;
  const std::int64_t estimated = static_cast<std::int64_t>(connection.cost_ticks) * run.count;
  const auto used = static_cast<std::int64_t>(ticks);
  connection.deficit_ticks =
      std::max(connection.deficit_ticks + estimated - used, -kDebtMax * credit(connection));
  new_lead_ticks_ = connection.is_new ? new_lead_ticks_ + used
                                      : std::max<std::int64_t>(new_lead_ticks_ - kNewLeadMax * used, 0);
  if (run.count != 0) learn_cost(connection, ticks, run.count);
  if (connection.packets == 0) {
    stop_waiting(bucket, connection, now);
  } else {
    resize(bucket, connection);
    wait_on(run);
  }
  publish();
}

// Back into a list of turns: to go on with what is left of its quantum, or, if that is nothing or the turn in
// which it was visited is over (it seemed to have used its quantum, and another's turn came), for the next
// round, with what is left and another quantum. Who was cut short by the end of the batch goes on in any
// case.
void FairQueue::wait_on(const QueueRun& run) {
  BucketQueue& bucket = *run.bucket;
  QueuedConnection& connection = *run.connection;
  const bool has_left = connection.deficit_ticks > 0;
  if (has_left && connection.is_new) return join_new(bucket, connection);
  const bool same_turn = bucket.in_turn && bucket.turn == run.turn;
  const bool goes_on = has_left && (same_turn || &connection == last_taken_);
  if (!goes_on) connection.deficit_ticks += credit(connection);
  connection.is_new = false;
  join_old(bucket, connection, goes_on);
}

void FairQueue::learn_cost(QueuedConnection& connection, std::uint64_t ticks, std::uint32_t count) {
  const std::uint64_t cost = std::max<std::uint64_t>(ticks / count, 1);
  learn_cost(cost);
  if (connection.declared) return;
  connection.cost_ticks = connection.measured
                              ? saturated((3 * std::uint64_t{connection.cost_ticks} + cost) / 4)
                              : saturated(cost);
  connection.measured = true;
}

void FairQueue::join_new(BucketQueue& bucket, QueuedConnection& connection) {
  bucket.new_connections.push_back(connection);
  if (!bucket.new_turn.linked) new_buckets_.push_back(bucket);
}

void FairQueue::join_old(BucketQueue& bucket, QueuedConnection& connection, bool in_front) {
  ++bucket.old_count;
  if (in_front) {
    // The bucket has no turn any more if all of it was in the batch: then it goes on from where it was.
    if (!bucket.in_turn && bucket.old_turn.linked) old_buckets_.remove(bucket);
    bucket.turn_left = bucket.in_turn ? bucket.turn_left + 1 : 1;
    bucket.old_connections.push_front(connection);
  } else {
    bucket.old_connections.push_back(connection);
  }
  if (!bucket.old_turn.linked) {
    bucket.in_turn = in_front;
    in_front ? old_buckets_.push_front(bucket) : old_buckets_.push_back(bucket);
  }
}

void FairQueue::leave_turn(BucketQueue& bucket, QueuedConnection& connection) {
  if (connection.is_new) {
    bucket.new_connections.remove(connection);
    if (bucket.new_connections.empty()) {
      new_buckets_.remove(bucket);
    } else {
      new_buckets_.move_to_back(bucket);
    }
    return;
  }
  bucket.old_connections.remove(connection);
  --bucket.old_count;
  bucket.turn_left = std::min(bucket.turn_left, bucket.old_count);
  if (!bucket.old_connections.empty()) return;
  old_buckets_.remove(bucket);
  bucket.in_turn = false;
}

void FairQueue::detach(BucketQueue& bucket) {
  if (bucket.new_turn.linked) new_buckets_.remove(bucket);
  if (bucket.old_turn.linked) old_buckets_.remove(bucket);
  if (bucket.by_size.linked) sizes_.remove(bucket, bucket.size_class);
  packets_ -= bucket.packets;
  connections_ -= bucket.connections_waiting;
  backlog_ticks_ -= bucket.backlog_ticks;
  publish();
}

void FairQueue::attach(BucketQueue& bucket) {
  if (!bucket.new_connections.empty()) new_buckets_.push_back(bucket);
  if (!bucket.old_connections.empty()) {
    bucket.in_turn = false;
    old_buckets_.push_back(bucket);
  }
  place(bucket);
  packets_ += bucket.packets;
  connections_ += bucket.connections_waiting;
  backlog_ticks_ += bucket.backlog_ticks;
  publish();
}

void FairQueue::publish() {
  meters_.waiting_packets.set(packets_);
  meters_.waiting_ticks.set(backlog_ticks_);
  if (packets_ > meters_.waiting_packets_max.read()) meters_.waiting_packets_max.set(packets_);
  if (connections_ > meters_.connections_max.read()) meters_.connections_max.set(connections_);
}

}  // namespace evenkeel::engine
