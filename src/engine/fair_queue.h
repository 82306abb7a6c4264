// The queueing model of a worker: which connection's packets are served next when there are more than can be
// served.
//
// Deficit round robin (Shreedhar and Varghese, SIGCOMM 1995) on processor time: in each round a waiting
// connection may use one quantum, times its weight. What it used is measured and charged afterwards, so an
// estimate of its cost that is wrong is paid back in later rounds. A connection that did not wait before goes
// first, once (new before old, as in FQ-CoDel, RFC 8290), so a sparse one hardly waits at all.
//
// Two levels: a worker has buckets, a bucket has connections. Buckets are visited in turn, and in its turn
// each of a bucket's connections is visited once: the round is one of connections, in whatever buckets they
// are. A bucket's waiting packets hang on its BucketQueue alone, so they go with it to another worker in
// constant time.
//
// Bounds, each tested:
// - A batch is one quantum of work by estimate, 32 packets at most; a connection is in a batch once.
// - A connection that has not used its quantum waits for at most a quantum of each other waiting connection
//   and the batch in service, if no estimate is too low.
// - A packet beyond a limit is taken from the connection that holds more than 4/5 of the largest backlog in
//   time (over its weight), so never from one that has less than 4/5 of its share of what waits.
// - Enqueueing, serving and shedding take constant time, on average over a round.
//
// Connections stand in memory only while they wait; in RecentConnections a few bytes remember for the length
// of a round those that have just been served, so that nobody stays new by sending one packet at a time.
//
// Passive: no clock, no thread. Thread: [worker] throughout.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/linked_list.h"
#include "engine/batch.h"
#include "engine/codel.h"
#include "engine/connection_table.h"
#include "engine/queueing.h"
#include "engine/size_classes.h"
#include "evenkeel/packet.h"
#include "meter/meters.h"

namespace evenkeel::engine {

// A connection that waits. Belongs to its bucket's owner.
struct QueuedConnection {
  Packet* first = nullptr;
  Packet* last = nullptr;
  base::ListLinks<QueuedConnection> turn;     // in its bucket's new or old connections
  base::ListLinks<QueuedConnection> by_size;  // in its bucket's size classes
  std::int64_t deficit_ticks = 0;             // what it may still use in this round
  std::uint64_t hash = 0;
  std::uint64_t backlog_ticks = 0;  // packets times cost
  std::uint32_t packets = 0;
  std::uint32_t cost_ticks = 0;  // of a packet, estimated
  std::uint32_t weight = 1;
  SizeClass size_class = 0;
  bool is_new = true;
  bool declared = false;  // the handler says the cost: nothing to learn
  bool measured = false;  // cost_ticks comes from packets of this connection
  Codel codel;
};

// Connections are found by their 64-bit hash alone: seeded, so that nobody can make two meet, and if two of
// 100,000 meet by chance (once in 4 * 10^9 times) they share a queue.
struct QueueHash {
  std::uint64_t operator()(std::uint64_t hash) const { return hash; }
};
using QueuedConnections = ConnectionTable<std::uint64_t, QueuedConnection, QueueHash, 64>;

// The packets of a bucket that wait. Belongs to the bucket's owner, and is linked into that worker's
// FairQueue between attach() and detach().
struct BucketQueue {
  QueuedConnections connections;
  base::LinkedList<QueuedConnection, &QueuedConnection::turn> new_connections;
  base::LinkedList<QueuedConnection, &QueuedConnection::turn> old_connections;
  SizeClasses<QueuedConnection, &QueuedConnection::by_size> sizes;
  // Where memory for connections has run out, those without a place of their own wait as one.
  QueuedConnection others;

  base::ListLinks<BucketQueue> new_turn;  // in the worker's buckets with new connections
  base::ListLinks<BucketQueue> old_turn;  // ... with old ones
  base::ListLinks<BucketQueue> by_size;   // by its largest connection
  std::uint32_t packets = 0;
  std::uint32_t connections_waiting = 0;
  std::uint32_t old_count = 0;   // of old_connections
  std::uint32_t turn_left = 0;   // connections yet to be visited in its turn
  std::uint32_t turn = 0;        // number of its present or latest turn
  std::uint64_t turn_batch = 0;  // in which that began
  bool in_turn = false;          // its turn has begun
  std::uint64_t backlog_ticks = 0;
  SizeClass size_class = 0;
};

// One for each bucket of the engine while queueing is on: at most 60 MB at 65,536 buckets.
static_assert(sizeof(BucketQueue) <= 960);

// The packets of one connection in a batch, next to each other and in order.
struct QueueRun {
  BucketQueue* bucket = nullptr;
  QueuedConnection* connection = nullptr;
  std::uint32_t first = 0;  // in the batch
  std::uint32_t count = 0;
  std::uint32_t turn = 0;  // of the bucket, in which it was taken
};

struct QueueBatch {
  std::array<Packet*, kBurst> packets;
  std::array<QueueRun, kBurst> runs;
  std::uint32_t packets_count = 0;
  std::uint32_t runs_count = 0;
  std::uint64_t estimated_ticks = 0;
  Packet* dropped = nullptr;  // by CoDel, linked by `next`: the caller counts and releases them

  std::span<Packet* const> served() const { return {packets.data(), packets_count}; }
};

// Connections that were served to the end not long ago: what is left of their quantum, or what they owe.
// Direct-mapped by hash; a newer one takes the place of an older one, which is then new again a little early.
class RecentConnections {
 public:
  RecentConnections() : entries_(kEntries) {}

  void remember(std::uint64_t hash, std::int64_t deficit_ticks, std::uint64_t until_ticks) {
    entries_[hash % kEntries] = {hash, deficit_ticks, until_ticks};
  }
  // Whether this one is remembered; then `deficit_ticks` is what it had.
  bool recall(std::uint64_t hash, std::uint64_t now, std::int64_t& deficit_ticks) const {
    const Entry& entry = entries_[hash % kEntries];
    if (entry.hash != hash || now >= entry.until_ticks) return false;
    deficit_ticks = entry.deficit_ticks;
    return true;
  }

 private:
  static constexpr std::size_t kEntries = 1024;
  struct Entry {
    std::uint64_t hash = 0;
    std::int64_t deficit_ticks = 0;
    std::uint64_t until_ticks = 0;
  };
  std::vector<Entry> entries_;
};

struct FairQueueOptions {
  std::uint64_t quantum_ticks = 1;
  QueueLimits limits = {};
  bool sheds = true;  // else CoDel is off, and nothing should be enqueued while has_room() says no
  CodelTimes codel = {};
  const QueueWeights* weights = nullptr;  // outlives the queue
};

class FairQueue {
 public:
  using Arena = QueuedConnections::Arena;

  // The arena's tables are those of the BucketQueues.
  FairQueue(const FairQueueOptions& options, Arena& arena, meter::QueueMeters& meters);

  bool empty() const { return packets_ == 0; }
  std::uint32_t packets() const { return packets_; }
  bool has_room() const { return options_.sheds || packets_ < options_.limits.worker_packets; }

  // Packets that may wait in front of a worker and still pass straight through: one quantum of work.
  std::uint32_t straight_max() const { return straight_max_; }
  // The measured cost of a packet that passed straight through.
  void learn_cost(std::uint64_t ticks);

  // Appends a packet of a bucket that is attached. `hash`: of its connection's key. `declared_ticks`: its
  // cost as the handler says, or 0. Returns a packet that was shed for it, or nullptr.
  Packet* enqueue(BucketQueue& bucket, Packet& packet, std::uint64_t hash, std::uint64_t now,
                  std::uint64_t declared_ticks = 0);

  // Starts loading what enqueue() reads first.
  static void prefetch(const BucketQueue& bucket, std::uint64_t hash) { bucket.connections.prefetch(hash); }

  // The next batch to be served, in order. Each of its runs is to be settled before the next call of
  // anything.
  void take(std::uint64_t now, QueueBatch& batch);
  // A run was served and took this long.
  void settle(const QueueRun& run, std::uint64_t ticks, std::uint64_t now);

  // The bucket goes to another worker with all that waits in it, or has come from one.
  void detach(BucketQueue& bucket);
  void attach(BucketQueue& bucket);

  // Whether packets of this connection wait: its lifetime is not over then, whatever timers say.
  static bool holds(const BucketQueue& bucket, std::uint64_t hash) {
    return bucket.packets != 0 && (bucket.others.packets != 0 || bucket.connections.find(hash, hash));
  }

 private:
  // While old connections wait, new ones get at most 64 times the time that old ones get, once they lead by
  // 64 quanta: against starvation by a flood of connections that are all new.
  static constexpr std::int64_t kNewLeadMax = 64;
  // Packets of a connection whose cost is not known yet: taken together they may cost more than a quantum.
  static constexpr std::uint32_t kFirstRun = 4;
  static constexpr std::int64_t kDebtMax = 1024;  // quanta, that are remembered

  QueuedConnection& find_or_add(BucketQueue& bucket, const Packet& packet, std::uint64_t hash,
                                std::uint64_t now);
  void begin_waiting(BucketQueue& bucket, QueuedConnection& connection);
  void stop_waiting(BucketQueue& bucket, QueuedConnection& connection, std::uint64_t now);
  Packet* pop(BucketQueue& bucket, QueuedConnection& connection);
  void resize(BucketQueue& bucket, QueuedConnection& connection);
  void place(BucketQueue& bucket);
  Packet* shed_beyond_limits(BucketQueue& bucket, QueuedConnection& connection, std::uint64_t now);
  Packet* shed_from(BucketQueue& bucket, QueuedConnection& connection, std::uint64_t now);

  QueuedConnection* next(BucketQueue*& bucket, bool new_too, bool first);
  static void prefetch_turn(const BucketQueue& bucket, const QueuedConnection* next);
  QueuedConnection* next_old_of(BucketQueue& bucket);
  void take_run(BucketQueue& bucket, QueuedConnection& connection, std::uint64_t now, QueueBatch& batch);
  void wait_on(const QueueRun& run);
  void learn_cost(QueuedConnection& connection, std::uint64_t ticks, std::uint32_t count);

  void join_new(BucketQueue& bucket, QueuedConnection& connection);
  void join_old(BucketQueue& bucket, QueuedConnection& connection, bool in_front);
  void leave_turn(BucketQueue& bucket, QueuedConnection& connection);
  std::int64_t credit(const QueuedConnection& connection) const {
    return static_cast<std::int64_t>(options_.quantum_ticks * connection.weight);
  }
  bool small(const QueuedConnection& connection) const {
    return std::uint64_t{connection.packets} * connection.cost_ticks <=
           options_.quantum_ticks * connection.weight;
  }
  void publish();

  const FairQueueOptions options_;
  meter::QueueMeters& meters_;
  const std::uint32_t size_shift_;  // sizes are in units of about a sixteenth of a quantum
  QueuedConnections::Cache cache_;
  RecentConnections recent_;
  base::LinkedList<BucketQueue, &BucketQueue::new_turn> new_buckets_;
  base::LinkedList<BucketQueue, &BucketQueue::old_turn> old_buckets_;
  SizeClasses<BucketQueue, &BucketQueue::by_size> sizes_;
  std::uint32_t packets_ = 0;
  std::uint32_t connections_ = 0;  // that wait
  std::uint64_t backlog_ticks_ = 0;
  const QueuedConnection* last_taken_ = nullptr;  // of the batch: it may be cut short by the batch's end
  std::uint64_t batches_ = 0;                     // taken so far
  std::int64_t new_lead_ticks_ = 0;
  std::uint64_t mean_cost_ticks_ = 0;  // of a packet of this worker; 0: not known
  std::uint32_t straight_max_ = kBurst;
};

}  // namespace evenkeel::engine
