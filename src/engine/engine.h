// The engine: dispatchers, rings, buckets and workers, put together and passive.
//
// It owns all that packets pass through and drives nothing: threads (threads.h) or the simulation call step()
// of its dispatchers and workers. No globals: several engines in one process do not meet.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "bucket/table.h"
#include "engine/bucket.h"
#include "engine/connection.h"
#include "engine/dispatcher.h"
#include "engine/fair_queue.h"
#include "engine/handler.h"
#include "engine/queueing.h"
#include "engine/worker.h"
#include "evenkeel/result.h"
#include "evenkeel/source.h"
#include "meter/meters.h"
#include "packet/hash.h"

namespace evenkeel::engine {

struct EngineOptions {
  std::uint32_t workers = 1;
  std::uint32_t buckets = 1024;  // a power of two
  std::uint32_t connections_max = 1'000'000;
  std::size_t ring_capacity = kRingCapacity;  // a power of two
  Lifetimes lifetimes;
  packet::ParseOptions parse;
  packet::FragmentLimits fragments;
  std::uint64_t hash_seed = 0;  // of the connection tables
  QueueingOptions queueing;
  ElephantOptions elephants;
  // Where each bucket starts; empty: bucket j at worker j % workers.
  std::vector<ProcessorId> initial_owners = {};
  // Of live input: source i gets the packets of worker i's buckets from the kernel (bucket/steered_moves.h).
  // By source; empty: none does.
  std::vector<SteeredSource*> steered = {};
  bucket::SteeredMoves* moves = nullptr;
};

template <Handler H, base::TickClock Clock>
class Engine {
 public:
  using State = typename H::State;
  using WorkerOf = Worker<H, Clock>;

  // One dispatcher for each source. make_handler(ProcessorId) and make_clock(ProcessorId) give each worker
  // its own.
  template <typename MakeHandler, typename MakeClock>
  static Result<std::unique_ptr<Engine>> make(const EngineOptions& options, std::vector<Source*> sources,
                                              packet::Hasher hasher, MakeHandler&& make_handler,
                                              MakeClock&& make_clock) {
    ArenaOptions arena_options;
    arena_options.connections_max = options.connections_max;
    arena_options.tables = options.buckets;
    arena_options.workers = options.workers;
    auto arena = Arena::make(arena_options, KeyHash{options.hash_seed});
    if (!arena) return arena.error();
    auto timers = TimerArena::make({.timers = std::uint64_t{options.connections_max} +
                                              options.buckets,  // and the workers' indexes of due buckets
                                    .buckets = options.buckets + options.workers,
                                    .workers = options.workers});
    if (!timers) return timers.error();
    auto queue_arena = make_queue_arena(options);
    if (!queue_arena) return queue_arena.error();
    auto engine =
        std::unique_ptr<Engine>(new Engine(options, std::move(sources), std::move(hasher), std::move(*arena),
                                           std::move(*timers), std::move(*queue_arena)));
    for (std::uint32_t i = 0; i < options.workers; ++i)
      engine->add_worker(ProcessorId(i), make_handler(ProcessorId(i)), make_clock(ProcessorId(i)));
    return engine;
  }

  std::span<const std::unique_ptr<Dispatcher>> dispatchers() const { return dispatchers_; }
  std::span<const std::unique_ptr<WorkerOf>> workers() const { return workers_; }
  bucket::TableBoard& board() { return board_; }
  const EngineOptions& options() const { return options_; }

  std::span<const DispatcherMeters> dispatcher_meters() const { return dispatcher_meters_; }
  std::span<const meter::WorkerMeters> worker_meters() const { return worker_meters_; }
  std::span<const meter::BucketMeters> bucket_meters() const { return bucket_meters_; }
  std::span<const meter::QueueMeters> queue_meters() const { return queue_meters_; }

  // [any] Packets in front of a worker, in its rings and in its queue, as of a moment ago.
  std::uint64_t waiting(ProcessorId worker) const {
    std::uint64_t sum = queue_meters_[worker.value()].waiting_packets.read();
    for (const auto& rings : rings_) sum += rings[worker.value()]->size();
    return sum;
  }

  // [any] Whether every source has ended and all of its packets are in the rings.
  bool drained() const {
    return std::all_of(dispatchers_.begin(), dispatchers_.end(), [](const auto& d) { return d->drained(); });
  }

  // Greatest packet time handed over by any dispatcher; when all have finished, the packet time at the run's
  // end.
  std::int64_t handed_over_ns() const {
    std::int64_t latest_ns = dispatchers_.front()->handed_over_ns();
    for (const auto& dispatcher : dispatchers_) latest_ns = std::max(latest_ns, dispatcher->handed_over_ns());
    return latest_ns;
  }

 private:
  using Arena = typename Connections<State>::Arena;
  using QueueArena = FairQueue::Arena;

  Engine(const EngineOptions& options, std::vector<Source*> sources, packet::Hasher hasher,
         std::unique_ptr<Arena> arena, std::unique_ptr<TimerArena> timers,
         std::unique_ptr<QueueArena> queue_arena);
  static Result<std::unique_ptr<QueueArena>> make_queue_arena(const EngineOptions& options);
  void add_worker(ProcessorId id, H handler, Clock clock);

  const EngineOptions options_;
  const packet::Hasher hasher_;
  bucket::TableBoard board_;
  std::unique_ptr<Arena> arena_;
  std::unique_ptr<TimerArena> timers_;
  std::unique_ptr<QueueArena> queue_arena_;
  std::vector<Bucket<State>> buckets_;
  std::vector<BucketQueue> bucket_queues_;  // none for first in, first out
  std::vector<meter::BucketMeters> bucket_meters_;
  std::vector<meter::WorkerMeters> worker_meters_;
  std::vector<meter::QueueMeters> queue_meters_;
  std::vector<DispatcherMeters> dispatcher_meters_;
  std::vector<std::vector<std::unique_ptr<WorkerRing>>> rings_;  // by dispatcher, by worker
  std::vector<std::vector<WorkerRing*>> rings_of_worker_;        // by worker, by dispatcher
  std::vector<std::unique_ptr<Dispatcher>> dispatchers_;
  std::vector<std::unique_ptr<WorkerOf>> workers_;
};

template <Handler H, base::TickClock Clock>
Engine<H, Clock>::Engine(const EngineOptions& options, std::vector<Source*> sources, packet::Hasher hasher,
                         std::unique_ptr<Arena> arena, std::unique_ptr<TimerArena> timers,
                         std::unique_ptr<QueueArena> queue_arena)
    : options_(options),
      hasher_(std::move(hasher)),
      board_(options.buckets, options.workers, static_cast<std::uint32_t>(sources.size()),
             options.initial_owners),
      arena_(std::move(arena)),
      timers_(std::move(timers)),
      queue_arena_(std::move(queue_arena)),
      buckets_(options.buckets),
      bucket_queues_(options.queueing.fair() ? options.buckets : 0),
      bucket_meters_(options.buckets),
      worker_meters_(options.workers),
      queue_meters_(options.workers),
      dispatcher_meters_(sources.size()),
      rings_(sources.size()),
      rings_of_worker_(options.workers) {
  CHECK(options.steered.empty() ||
        (options.steered.size() == sources.size() && sources.size() == options.workers));
  for (std::uint32_t j = 0; j < options.buckets; ++j) {
    buckets_[j].connections.attach(*arena_);
    buckets_[j].ownership.owner.store(board_.newest().owner[j],
                                      std::memory_order_relaxed);  // before any thread starts
  }
  for (BucketQueue& queue : bucket_queues_) queue.connections.attach(*queue_arena_);
  for (std::size_t d = 0; d < sources.size(); ++d) {
    std::vector<WorkerRing*> rings;
    for (std::uint32_t i = 0; i < options.workers; ++i) {
      rings_[d].push_back(std::make_unique<WorkerRing>(options.ring_capacity));
      rings.push_back(rings_[d].back().get());
      rings_of_worker_[i].push_back(rings.back());
    }
    const DispatcherOptions dispatcher_options{
        .id = DispatcherId(static_cast<std::uint32_t>(d)),
        .parse = options.parse,
        .fragments = options.fragments,
        .fragment_seed = options.hash_seed,
        .steered = options.steered.empty() ? nullptr : options.steered[d],
        .moves = options.moves};
    dispatchers_.push_back(std::make_unique<Dispatcher>(dispatcher_options, *sources[d], hasher_, board_,
                                                        rings, dispatcher_meters_[d]));
  }
}

// As many connections as packets may wait: every one of them can wait in a queue of its own.
template <Handler H, base::TickClock Clock>
auto Engine<H, Clock>::make_queue_arena(const EngineOptions& options) -> Result<std::unique_ptr<QueueArena>> {
  if (!options.queueing.fair()) return std::unique_ptr<QueueArena>();
  ArenaOptions arena_options;
  arena_options.connections_max =
      options.workers * (options.queueing.limits.worker_packets + 2 * static_cast<std::uint32_t>(kBurst));
  arena_options.tables = options.buckets;
  arena_options.workers = options.workers;
  return QueueArena::make(arena_options, QueueHash{});
}

template <Handler H, base::TickClock Clock>
void Engine<H, Clock>::add_worker(ProcessorId id, H handler, Clock clock) {
  const WorkerSurroundings<State> around{
      .id = id,
      .board = board_,
      .buckets = buckets_,
      .bucket_meters = bucket_meters_,
      .rings = rings_of_worker_[id.value()],
      .dispatchers = dispatchers_,
      .arena = *arena_,
      .connections_max = options_.connections_max,
      .workers = options_.workers,
      .timers = *timers_,
      .meters = worker_meters_[id.value()],
      .lifetimes = options_.lifetimes,
      .queue = {.options = options_.queueing,
                .buckets = bucket_queues_,
                .arena = queue_arena_.get(),
                .meters = queue_meters_[id.value()]},
      .elephants = options_.elephants,
  };
  workers_.push_back(std::make_unique<WorkerOf>(around, std::move(handler), std::move(clock)));
}

}  // namespace evenkeel::engine
