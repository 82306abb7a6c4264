#include "timer/core.h"

namespace evenkeel::timer {

Core::Core(const CoreOptions& core_options)
    : options(core_options),
      scale(core_options.resolution_ns),
      board(core_options.buckets, core_options.workers, core_options.workers + core_options.caller_lanes),
      buckets(core_options.buckets),
      bucket_meters(core_options.buckets),
      worker_meters(core_options.workers),
      rings(core_options.workers) {
  for (std::uint32_t j = 0; j < options.buckets; ++j) {
    // Before any thread starts.
    buckets[j].ownership.owner.store(board.newest().owner[j], std::memory_order_relaxed);
  }
  for (std::uint32_t lane = 0; lane < options.workers + options.caller_lanes; ++lane) {
    std::vector<CommandRing*> to;
    for (auto& of_worker : rings) {
      of_worker.push_back(std::make_unique<CommandRing>(options.ring_capacity));
      to.push_back(of_worker.back().get());
    }
    lanes.push_back(std::make_unique<Lane>(DispatcherId(lane), board, std::move(to)));
  }
}

Result<std::unique_ptr<Core>> Core::make(const CoreOptions& options) {
  std::unique_ptr<Core> core(new Core(options));
  auto connections = TimerConnections::make(options.connections_max, options.timers_each, options.workers);
  if (!connections) return connections.error();
  core->connections = std::move(*connections);
  auto arena =
      engine::TimerArena::make({.timers = std::uint64_t{core->connections->slots()} * options.timers_each,
                                .buckets = options.buckets,
                                .workers = options.workers});
  if (!arena) return arena.error();
  core->arena = std::move(*arena);
  return core;
}

bool Core::adopt_newest() {
  bool flushed = true;
  for (auto& lane : lanes) flushed &= lane->adopt_newest();
  return flushed;
}

std::uint64_t Core::waiting(std::uint32_t worker) const {
  std::uint64_t sum = 0;
  for (const auto& ring : rings[worker]) sum += ring->size();
  return sum;
}

}  // namespace evenkeel::timer
