// The contest's own entries: the engine's ring, its router, and its router and worker together; and a graph
// of oneTBB.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "bench/engine_handoff.h"
#include "engine/dispatcher.h"
#include "engine/router.h"
#include "engine/worker.h"

#ifdef EVENKEEL_HAVE_TBB
#include <oneapi/tbb/flow_graph.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#endif

namespace evenkeel::bench {

inline constexpr std::uint32_t kBuckets = 1'024;

// The floor: pointers through a ring, nothing else.
class BareRing final : public Handoff {
 public:
  std::string name() const override { return "bare ring, single producer and consumer"; }
  std::size_t give(std::span<Packet* const> burst) override {
    std::array<engine::RingItem, kBatch> items;
    for (std::size_t i = 0; i < burst.size(); ++i) items[i] = engine::RingItem(burst[i]);
    return ring_.push({items.data(), burst.size()});
  }
  std::size_t take(Touched& touched) override {
    std::array<engine::RingItem, kBatch> items;
    const std::size_t count = ring_.pop(items);
    for (std::size_t i = 0; i < count; ++i) touched.touch(items[i].packet());
    return count;
  }

 private:
  engine::WorkerRing ring_{engine::kRingCapacity};
};

// A router to one worker, which takes packets from the ring as they come.
class Routed {
 public:
  explicit Routed(const packet::Hasher& hasher)
      : board_(kBuckets, 1, 1), router_({}, hasher, board_, rings_, dropped_) {}

  std::size_t give(std::span<Packet* const> burst) {
    if (!router_.flush()) return 0;
    router_.route(burst);
    return burst.size();
  }
  void push_on() { router_.flush(); }
  engine::WorkerRing& ring() { return ring_; }
  bucket::TableBoard& board() { return board_; }
  std::span<engine::WorkerRing* const> rings() const { return rings_; }

 private:
  bucket::TableBoard board_;
  engine::WorkerRing ring_{engine::kRingCapacity};
  const std::array<engine::WorkerRing*, 1> rings_{&ring_};
  meter::Counter dropped_;
  engine::Router router_;
};

class RouterHandoff final : public Handoff {
 public:
  explicit RouterHandoff(const packet::Hasher& hasher) : routed_(hasher) {}
  std::string name() const override { return "evenkeel: hash, bucket, handoff"; }
  std::size_t give(std::span<Packet* const> burst) override { return routed_.give(burst); }
  void push_on() override { routed_.push_on(); }
  std::size_t take(Touched& touched) override {
    std::array<engine::RingItem, kBatch> items;
    const std::size_t count = routed_.ring().pop(items);
    routed_.ring().peek(kBatch, [](engine::RingItem item) { base::prefetch(item.packet()); });
    for (std::size_t i = 0; i < count; ++i) touched.touch(items[i].packet());
    return count;
  }

 private:
  Routed routed_;
};

// Counts the packets and bytes of each connection.
class CountingHandler {
 public:
  struct State {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
  };
  using Connection = engine::Connection<State>;

  void open(Connection&, const Packet&) {}
  void packet(Connection& connection, const Packet& packet) {
    ++connection.state.packets;
    connection.state.bytes += packet.wire_length;
  }
  std::int64_t deadline_ns(const Connection&) const { return engine::kNoDeadline; }
  void due(const ConnectionKey&, Connection&, std::int64_t) {}
  void close(const ConnectionKey&, Connection&, engine::CloseReason, std::int64_t) {}
  void idle() {}
};

class NoSource final : public Source {
 public:
  ReceiveStatus receive(std::span<Packet*>, std::size_t& count) override {
    count = 0;
    return ReceiveStatus::kEnd;
  }
  bool can_wait() const override { return true; }
  SourceStatistics statistics() const override { return {}; }
  std::string name() const override { return "none"; }
};

// The router and the engine's worker, as in the engine, but without a source and parsing. Each packet's key
// is written, as parsing would, from a list.
class WorkerHandoff final : public Handoff {
 public:
  WorkerHandoff(const char* name, const packet::Hasher& hasher, std::span<const ConnectionKey> keys)
      : name_(name), keys_(keys), routed_(hasher), buckets_(kBuckets), bucket_meters_(kBuckets) {
    engine::ArenaOptions arena;
    arena.connections_max = static_cast<std::uint32_t>(keys.size() + keys.size() / 8);
    arena.tables = kBuckets;
    arena_ = must(Arena::make(arena, engine::KeyHash{1}));
    timers_ = must(engine::TimerArena::make(
        {.timers = std::uint64_t{arena.connections_max} + kBuckets, .buckets = kBuckets + 1, .workers = 1}));
    for (auto& bucket : buckets_) {
      bucket.connections.attach(*arena_);
      bucket.ownership.owner.store(0, std::memory_order_relaxed);
    }
    dispatchers_.push_back(std::make_unique<engine::Dispatcher>(
        engine::DispatcherOptions{}, source_, hasher, routed_.board(), routed_.rings(), dispatcher_meters_));
    worker_ = std::make_unique<Worker>(
        engine::WorkerSurroundings<CountingHandler::State>{.id = ProcessorId(0),
                                                           .board = routed_.board(),
                                                           .buckets = buckets_,
                                                           .bucket_meters = bucket_meters_,
                                                           .rings = routed_.rings(),
                                                           .dispatchers = dispatchers_,
                                                           .arena = *arena_,
                                                           .connections_max = arena.connections_max,
                                                           .workers = 1,
                                                           .timers = *timers_,
                                                           .meters = meters_,
                                                           .lifetimes = {},
                                                           .queue = {queueing_, {}, nullptr, queue_meters_},
                                                           .elephants = {}},
        CountingHandler(), base::CycleClock());
  }
  std::string name() const override { return name_; }
  // From now on.
  void take_keys_from(std::span<const ConnectionKey> keys) { keys_ = keys; }

  std::size_t give(std::span<Packet* const> burst) override {
    for (Packet* packet : burst) packet->key = keys_[next_key_++ & (keys_.size() - 1)];
    const std::size_t given = routed_.give(burst);
    if (given == 0) next_key_ -= burst.size();
    return given;
  }
  void push_on() override { routed_.push_on(); }
  std::size_t take(Touched&) override {
    const std::uint64_t before = meters_.processed.read();
    worker_->step();
    return static_cast<std::size_t>(meters_.processed.read() - before);
  }

  // What an engine with no connection takes for its buckets, however many connections come.
  static double bytes_of_buckets() {
    return static_cast<double>(sizeof(engine::Bucket<CountingHandler::State>) + sizeof(meter::BucketMeters)) *
           kBuckets;
  }
  // Bytes of the engine's own that each connection adds, now that all wait.
  double bytes_per_connection() const {
    const double live = static_cast<double>(meters_.connections_opened.read());
    const double slots = arena_->slots_taken() * static_cast<double>(Arena::kSlotBytes);
    const double groups = arena_->groups_taken() * static_cast<double>(Arena::kGroupBytes);
    const double timers = timers_->touched() * static_cast<double>(sizeof(engine::TimerChunk));
    return (slots + groups + timers) / live - static_cast<double>(sizeof(CountingHandler::State));
  }

 private:
  using Arena = engine::Connections<CountingHandler::State>::Arena;
  using Worker = engine::Worker<CountingHandler, base::CycleClock>;

  const std::string name_;
  std::span<const ConnectionKey> keys_;  // a power of two of them
  std::uint64_t next_key_ = 0;
  Routed routed_;
  NoSource source_;
  engine::DispatcherMeters dispatcher_meters_;
  std::unique_ptr<Arena> arena_;
  std::unique_ptr<engine::TimerArena> timers_;
  std::vector<engine::Bucket<CountingHandler::State>> buckets_;
  std::vector<meter::BucketMeters> bucket_meters_;
  meter::WorkerMeters meters_;
  meter::QueueMeters queue_meters_;
  const engine::QueueingOptions queueing_;
  std::vector<std::unique_ptr<engine::Dispatcher>> dispatchers_;
  std::unique_ptr<Worker> worker_;
};

#ifdef EVENKEEL_HAVE_TBB
// A node that serves one message after the other, on a thread that the library chooses. To be made before
// this thread is kept to a processor.
class TbbGraph final : public Handoff {
 public:
  TbbGraph()
      : node_(graph_, tbb::flow::serial, [this](Packet* packet) {
          touched_.touch(packet);
          done_.store(done_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
          return tbb::flow::continue_msg();
        }) {
    // Now, while this thread may run on any processor: the library's own thread is made by this.
    tbb::parallel_for(0, 1'000, [](int) { std::this_thread::sleep_for(std::chrono::microseconds(1)); });
  }
  ~TbbGraph() override { graph_.wait_for_all(); }
  std::string name() const override { return "oneTBB flow graph, serial node"; }
  bool takes_by_itself() const override { return true; }
  void push_on() override { graph_.wait_for_all(); }
  std::size_t give(std::span<Packet* const> burst) override {
    if (given_ - done_.load(std::memory_order_acquire) > engine::kRingCapacity) return 0;
    for (Packet* packet : burst) node_.try_put(packet);
    given_ += burst.size();
    return burst.size();
  }
  std::size_t take(Touched&) override {
    const std::uint64_t done = done_.load(std::memory_order_acquire);
    return static_cast<std::size_t>(done - std::exchange(seen_, done));
  }

 private:
  tbb::global_control two_threads_{tbb::global_control::max_allowed_parallelism, 2};
  Touched touched_;
  std::atomic<std::uint64_t> done_{0};
  std::uint64_t given_ = 0, seen_ = 0;
  tbb::flow::graph graph_;
  tbb::flow::function_node<Packet*, tbb::flow::continue_msg> node_;
};
#endif

}  // namespace evenkeel::bench
