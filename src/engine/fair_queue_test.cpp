#include "engine/fair_queue.h"

#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/random.h"

namespace evenkeel::engine {
namespace {

constexpr std::uint64_t kQuantum = 50'000;  // one tick is one nanosecond
constexpr std::uint64_t kSecond = 1'000'000'000;

// Ticks a queue: makes packets, serves batches in virtual time, and notes what each connection got.
class Ticker {
 public:
  struct Connection {
    std::uint32_t bucket = 0;
    std::uint64_t cost = 1'000;  // what a packet really takes
    std::uint64_t declared = 0;  // what the queue is told, 0: nothing
    std::uint64_t served_ticks = 0;
    std::uint64_t offered = 0, served = 0, shed = 0;
    std::uint64_t next_sequence = 0;  // that may be served or shed
    std::uint64_t delay_max = 0;
  };

  explicit Ticker(FairQueueOptions options, std::uint32_t buckets = 16,
                  std::uint32_t connections_max = 200'000)
      : options_(options), buckets_(buckets) {
    auto arena = FairQueue::Arena::make({.connections_max = connections_max, .tables = buckets, .workers = 2},
                                        QueueHash{});
    arena_ = std::move(*arena);
    for (BucketQueue& bucket : buckets_) bucket.connections.attach(*arena_);
    for (int i = 0; i < 2; ++i) queues_.push_back(std::make_unique<FairQueue>(options, *arena_, meters_[i]));
    owner_.resize(buckets);
  }

  Connection& add(const Connection& connection) { return connections.emplace_back(connection); }

  void offer(std::uint32_t index, std::uint32_t packets = 1) {
    for (std::uint32_t i = 0; i < packets; ++i) {
      Connection& connection = connections[index];
      Packet& packet = *make_packet(index, connection);
      const std::uint32_t owner = owner_[connection.bucket];
      Packet* shed = queues_[owner]->enqueue(buckets_[connection.bucket], packet, hash_of(index), now,
                                             connection.declared);
      if (shed == nullptr) continue;
      before_shed(*shed);
      account(*shed);
      ++connections[shed->hash].shed;
    }
  }

  // Serves one batch at a worker.
  void serve(std::uint32_t worker = 0) {
    QueueBatch batch;
    queues_[worker]->take(now, batch);
    while (batch.dropped != nullptr) {
      Packet* packet = std::exchange(batch.dropped, batch.dropped->next);
      ++connections[packet->hash].shed;
      free_.push_back(
          packet);  // CoDel takes from the front: their order is seen by what is served after them
    }
    batch_ticks = 0;
    for (const QueueRun& run : std::span(batch.runs).first(batch.runs_count)) {
      std::uint64_t ticks = 0;
      for (std::uint32_t i = run.first; i < run.first + run.count; ++i) {
        Connection& connection = connections[batch.packets[i]->hash];
        connection.delay_max = std::max(connection.delay_max, now - batch.packets[i]->queued_ticks);
        ticks += connection.cost;
        connection.served_ticks += connection.cost;
        ++connection.served;
        account(*batch.packets[i]);
      }
      now += ticks;
      batch_ticks += ticks;
      queues_[worker]->settle(run, ticks, now);
    }
  }

  void move(std::uint32_t bucket) {
    queues_[owner_[bucket]]->detach(buckets_[bucket]);
    owner_[bucket] ^= 1;
    queues_[owner_[bucket]]->attach(buckets_[bucket]);
  }

  // Keeps all connections waiting until `end`.
  void keep_waiting_until(std::uint64_t end) {
    while (now < end) {
      for (std::uint32_t i = 0; i < connections.size(); ++i)
        while (waiting(i) < 2 * kBurst + kQuantum * 8 / connections[i].cost) offer(i, 8);
      serve();
    }
  }

  std::uint64_t waiting(std::uint32_t index) const {
    return connections[index].offered - connections[index].served - connections[index].shed;
  }
  std::uint64_t backlog(std::uint32_t index) const { return waiting(index) * connections[index].cost; }
  FairQueue& queue(std::uint32_t worker = 0) { return *queues_[worker]; }
  static std::uint64_t hash_of(std::uint32_t index) {
    std::uint64_t state = index;
    return base::splitmix64(state);
  }

  std::uint64_t now = 1;
  std::uint64_t batch_ticks = 0;
  std::vector<Connection> connections;
  std::array<meter::QueueMeters, 2> meters_;
  std::function<void(const Packet&)> before_shed = [](const Packet&) {};

 private:
  Packet* make_packet(std::uint32_t index, Connection& connection) {
    if (free_.empty()) {
      storage_.emplace_back();
      free_.push_back(&storage_.back());
    }
    Packet* packet = free_.back();
    free_.pop_back();
    packet->hash = index;
    packet->key.low_port = {static_cast<std::uint8_t>(index >> 8), static_cast<std::uint8_t>(index)};
    packet->sequence = connection.offered++;
    return packet;
  }

  // Order, whoever takes a packet out.
  void account(Packet& packet) {
    Connection& connection = connections[packet.hash];
    ASSERT_GE(packet.sequence, connection.next_sequence) << "connection " << packet.hash;
    connection.next_sequence = packet.sequence + 1;
    free_.push_back(&packet);
  }

  const FairQueueOptions options_;
  std::unique_ptr<FairQueue::Arena> arena_;
  std::vector<BucketQueue> buckets_;
  std::vector<std::unique_ptr<FairQueue>> queues_;
  std::vector<std::uint32_t> owner_;
  std::deque<Packet> storage_;
  std::vector<Packet*> free_;
};

FairQueueOptions waiting_input() {
  return {.quantum_ticks = kQuantum, .limits = {1u << 30, 1u << 30, 1u << 30}, .sheds = false};
}

double jain(const std::vector<Ticker::Connection>& connections) {
  double sum = 0, squares = 0;
  for (const auto& connection : connections) {
    const auto x = static_cast<double>(connection.served_ticks);
    sum += x;
    squares += x * x;
  }
  return sum * sum / (static_cast<double>(connections.size()) * squares);
}

// Costs from 0.2 to 20 microseconds.
void add_unequal_connections(Ticker& ticker, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i)
    ticker.add(
        {.bucket = i % 16, .cost = static_cast<std::uint64_t>(200 * std::pow(100.0, i / (count - 1.0)))});
}

TEST(FairQueue, SixtyFourWaitingConnectionsGetEqualTime) {
  Ticker ticker(waiting_input());
  add_unequal_connections(ticker, 64);
  ticker.keep_waiting_until(kSecond);
  EXPECT_GE(jain(ticker.connections), 0.999);
}

TEST(FairQueue, TimeIsSharedEvenlyHoweverConnectionsLieInBuckets) {
  Ticker ticker(waiting_input());
  for (std::uint32_t i = 0; i < 40; ++i) ticker.add({.bucket = i < 30 ? 0 : i % 16});
  ticker.keep_waiting_until(kSecond);
  EXPECT_GE(jain(ticker.connections), 0.999);
}

TEST(FairQueue, EstimatesWrongByTenTimesAreStillFairOverASecond) {
  Ticker ticker(waiting_input());
  add_unequal_connections(ticker, 64);
  for (std::size_t i = 0; i < ticker.connections.size(); ++i) {
    Ticker::Connection& connection = ticker.connections[i];
    connection.declared = i % 2 == 0 ? connection.cost * 10 : connection.cost / 10;
  }
  ticker.keep_waiting_until(kSecond);
  EXPECT_GE(jain(ticker.connections), 0.99);
}

TEST(FairQueue, WeightsOneTwoFourGiveOneTwoFour) {
  std::vector<WeightRule> rules(2);
  rules[0].port = 1;
  rules[0].weight = 2;
  rules[1].port = 2;
  rules[1].weight = 4;
  const QueueWeights weights(rules);
  FairQueueOptions options = waiting_input();
  options.weights = &weights;
  Ticker ticker(options);
  for (std::uint32_t i = 0; i < 3; ++i) ticker.add({.bucket = i, .cost = 700 + 900 * i});
  for (auto& connection : ticker.connections) connection.declared = connection.cost;
  ticker.keep_waiting_until(kSecond);
  const auto served = [&](int i) { return static_cast<double>(ticker.connections[i].served_ticks); };
  EXPECT_NEAR(served(1) / served(0), 2, 0.02);
  EXPECT_NEAR(served(2) / served(0), 4, 0.04);
}

// As in Shreedhar and Varghese's theorem 3: two waiting connections differ by a round, by what one has left
// of the last two, and by what a packet of each overshoots.
TEST(FairQueue, TwoWaitingConnectionsNeverDifferByMoreThanTheBoundOfDeficitRoundRobin) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    base::Random random(seed);
    Ticker ticker(waiting_input());
    const std::uint64_t cost_max = 100 + random.below(2 * kQuantum);
    const std::uint64_t connections = 2 + random.below(20);
    for (std::uint64_t i = 0; i < connections; ++i) {
      const std::uint64_t cost = 1 + random.below(cost_max);
      ticker.add({.bucket = static_cast<std::uint32_t>(random.below(4)), .cost = cost, .declared = cost});
    }
    for (std::uint32_t i = 0; i < connections; ++i) ticker.offer(i, 20'000);
    for (int batch = 0; batch < 2'000; ++batch) {
      ticker.serve();
      std::uint64_t least = ~0ull, most = 0;
      for (std::uint32_t i = 0; i < connections && ticker.waiting(i) > 0; ++i) {
        least = std::min(least, ticker.connections[i].served_ticks);
        most = std::max(most, ticker.connections[i].served_ticks);
      }
      if (least == ~0ull) break;
      ASSERT_LE(most - least, 3 * kQuantum + 2 * cost_max) << "seed " << seed << ", batch " << batch;
    }
  }
}

TEST(FairQueue, ABatchIsAQuantumAndAtMostOnePacketMore) {
  Ticker ticker(waiting_input());
  add_unequal_connections(ticker, 20);
  for (auto& connection : ticker.connections) connection.declared = connection.cost;
  for (std::uint32_t i = 0; i < 20; ++i) ticker.offer(i, 500);
  while (!ticker.queue().empty()) {
    ticker.serve();
    ASSERT_LE(ticker.batch_ticks, kQuantum + 20'000);
  }
}

TEST(FairQueue, ASparseConnectionIsServedInTheNextBatchWhateverElseWaits) {
  Ticker ticker(waiting_input());
  for (std::uint32_t i = 0; i < 50; ++i) ticker.add({.bucket = i % 4});
  ticker.add({.bucket = 1, .cost = 300});
  for (std::uint32_t i = 0; i < 50; ++i) ticker.offer(i, 5'000);
  for (int batch = 0; batch < 100; ++batch) ticker.serve();
  for (int time = 0; time < 20; ++time) {
    ticker.offer(50);
    ticker.serve();
    ASSERT_EQ(ticker.waiting(50), 0u);
    for (int batch = 0; batch < 100; ++batch) ticker.serve();  // a round: it is no recent one any more
  }
}

TEST(FairQueue, OnePacketAtATimeIsNoWayToMoreThanAFairShare) {
  Ticker ticker(waiting_input());
  ticker.add({.bucket = 0});
  ticker.add({.bucket = 1, .cost = 20'000});
  ticker.offer(0, 400'000);
  while (ticker.now < kSecond / 10) {
    if (ticker.waiting(1) == 0) ticker.offer(1);  // whenever its last one is done
    ticker.serve();
  }
  const double share =
      static_cast<double>(ticker.connections[1].served_ticks) / static_cast<double>(ticker.now);
  EXPECT_LE(share, 0.55);
}

TEST(FairQueue, AFloodOfNewConnectionsDoesNotStarveThoseThatWait) {
  Ticker ticker(waiting_input());
  ticker.add({.bucket = 0});
  ticker.offer(0, 10'000);
  for (int i = 0; i < 10; ++i) ticker.serve();
  const std::uint64_t before = ticker.connections[0].served_ticks;
  const std::uint64_t start = ticker.now;
  while (ticker.now < start + 50'000'000) {
    while (ticker.queue().packets() < 11'000) {
      ticker.add({.bucket = 1, .cost = 500});
      ticker.offer(static_cast<std::uint32_t>(ticker.connections.size() - 1));
    }
    ticker.serve();
  }
  EXPECT_GE(static_cast<double>(ticker.connections[0].served_ticks - before), 50e6 / 80);
}

TEST(FairQueue, ConservesAndKeepsOrderUnderRandomOffersServiceShedsAndMoves) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    base::Random random(seed);
    FairQueueOptions options{.quantum_ticks = 1 + random.below(kQuantum),
                             .limits = {static_cast<std::uint32_t>(1 + random.below(500)),
                                        static_cast<std::uint32_t>(1 + random.below(300)),
                                        static_cast<std::uint32_t>(1 + random.below(100))},
                             .sheds = random.below(3) != 0,
                             .codel = {random.below(kQuantum), 1 + random.below(10 * kQuantum)}};
    // Sometimes there is memory for a few connections only: the others wait as one.
    Ticker ticker(options, 16,
                  random.below(2) == 0 ? 100'000 : static_cast<std::uint32_t>(1 + random.below(20)));
    for (std::uint32_t i = 0; i < 100; ++i)
      ticker.add({.bucket = i % 16, .cost = 1 + random.below(5'000), .declared = random.below(5'000)});
    for (int step = 0; step < 5'000; ++step) {
      const std::uint64_t drawn = random.below(20);
      if (drawn == 0) ticker.move(static_cast<std::uint32_t>(random.below(16)));
      if (drawn < 12)
        ticker.offer(static_cast<std::uint32_t>(std::min(random.below(100), random.below(100))),
                     static_cast<std::uint32_t>(random.below(12)));
      if (drawn >= 8) ticker.serve(static_cast<std::uint32_t>(random.below(2)));
    }
    for (std::uint32_t worker : {0u, 1u})
      while (!ticker.queue(worker).empty()) ticker.serve(worker);
    for (std::uint32_t i = 0; i < 100; ++i)
      ASSERT_EQ(ticker.waiting(i), 0u) << "seed " << seed << ", connection " << i;
    std::uint64_t shed = 0, counted = 0;
    for (const auto& connection : ticker.connections) shed += connection.shed;
    for (const auto& meters : ticker.meters_) {
      counted += meters.shed_by_limit.read() + meters.shed_by_delay.read();
      ASSERT_EQ(meters.waiting_packets.read(), 0u);
      ASSERT_EQ(meters.waiting_ticks.read(), 0u);
    }
    ASSERT_EQ(shed, counted);
    ASSERT_TRUE(options.sheds || shed == 0);
  }
}

TEST(FairQueue, WhatIsShedIsTakenFromNearlyTheLargestBacklog) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    base::Random random(seed);
    FairQueueOptions options = waiting_input();
    options.sheds = true;
    options.limits.worker_packets = 2'000;
    options.codel = {~0ull >> 1, 1};
    Ticker ticker(options);
    for (std::uint32_t i = 0; i < 60; ++i) {
      const std::uint64_t cost = 100 + random.below(20'000);
      ticker.add({.bucket = i % 16, .cost = cost, .declared = cost});
    }
    ticker.before_shed = [&](const Packet& packet) {
      std::uint64_t largest = 0;
      for (std::uint32_t i = 0; i < 60; ++i) largest = std::max(largest, ticker.backlog(i));
      // Sizes are told apart in steps of a sixteenth of a quantum (a power of two below it).
      ASSERT_GE(static_cast<double>(ticker.backlog(packet.hash)), 0.8 * static_cast<double>(largest) - 3'200)
          << "seed " << seed;
    };
    for (int step = 0; step < 3'000; ++step) {
      ticker.offer(static_cast<std::uint32_t>(std::min(random.below(60), random.below(60))),
                   static_cast<std::uint32_t>(random.below(20)));
      if (random.below(4) == 0) ticker.serve();
    }
  }
}

TEST(FairQueue, AConnectionWithinItsShareLosesNothing) {
  FairQueueOptions options{.quantum_ticks = kQuantum, .codel = {5'000'000, 100'000'000}};
  Ticker ticker(options);
  ticker.add({.bucket = 0});  // takes all it can get
  for (std::uint32_t i = 1; i <= 100; ++i) ticker.add({.bucket = 0, .cost = 500});
  base::Random random(1);
  while (ticker.now < kSecond / 5) {
    ticker.offer(0, 500);
    for (std::uint32_t i = 1; i <= 100; ++i)
      if (random.below(20) == 0) ticker.offer(i, 2);  // 10 % of the time in all
    ticker.serve();
  }
  for (std::uint32_t i = 1; i <= 100; ++i) ASSERT_EQ(ticker.connections[i].shed, 0u) << i;
  EXPECT_GT(ticker.connections[0].shed, 10'000u);
}

TEST(FairQueue, KnowsWhichConnectionsWait) {
  const auto arena = FairQueue::Arena::make({.connections_max = 100, .tables = 1}, QueueHash{});
  BucketQueue bucket;
  bucket.connections.attach(**arena);
  meter::QueueMeters meters;
  FairQueue queue(waiting_input(), **arena, meters);
  Packet packet;
  queue.enqueue(bucket, packet, 77, 1);
  EXPECT_TRUE(FairQueue::holds(bucket, 77));
  EXPECT_FALSE(FairQueue::holds(bucket, 78));
  QueueBatch batch;
  queue.take(2, batch);
  queue.settle(batch.runs[0], 1, 3);
  EXPECT_FALSE(FairQueue::holds(bucket, 77));
}

}  // namespace
}  // namespace evenkeel::engine
