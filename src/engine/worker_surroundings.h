// What a worker shares with the rest of the engine.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "bucket/table.h"
#include "engine/bucket.h"
#include "engine/connection.h"
#include "engine/dispatcher.h"
#include "engine/elephants.h"
#include "engine/fair_queue.h"
#include "engine/queueing.h"
#include "engine/timer_chunks.h"
#include "meter/meters.h"

namespace evenkeel::engine {

struct QueueSurroundings {
  const QueueingOptions& options;
  std::span<BucketQueue> buckets;  // of all of the engine's buckets; empty for first in, first out
  FairQueue::Arena* arena;         // nullptr for first in, first out
  meter::QueueMeters& meters;
};

// All of it outlives the worker.
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

}  // namespace evenkeel::engine
