// What the timer threads, the callers and the control thread of a timer service share.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/units.h"
#include "bucket/handover.h"
#include "bucket/table.h"
#include "engine/timer_chunks.h"
#include "engine/timer_wheel.h"
#include "evenkeel/result.h"
#include "meter/meters.h"
#include "timer/command.h"
#include "timer/connections.h"
#include "timer/lane.h"

namespace evenkeel::timer {

// The clock of the service: monotonic nanoseconds. (The simulation gives them itself.)
struct ServiceTime;
using ServiceTick = engine::Tick<ServiceTime>;
using ServiceWheel = engine::TimerWheel<ServiceTime>;

// A bucket: its timers, and who may touch them.
struct alignas(base::kCacheLine) TimerBucket {
  bucket::Ownership ownership;
  ServiceWheel wheel;  // [owner]
};

struct CoreOptions {
  std::uint32_t workers = 1;
  std::uint32_t caller_lanes = 1;
  std::uint32_t buckets = 1;
  std::uint32_t connections_max = 1;
  std::uint32_t timers_each = 1;
  std::int64_t resolution_ns = engine::kTimerResolutionDefault_ns;
  std::size_t ring_capacity = 4096;
};

// Lanes 0 to workers - 1 belong to the timer threads, for calls from their handlers; the others to callers.
class Core {
 public:
  static Result<std::unique_ptr<Core>> make(const CoreOptions& options);

  Lane& lane(std::uint32_t index) { return *lanes[index]; }
  // [any] Adopts the newest table in all lanes. False: some marks wait for room.
  bool adopt_newest();
  // [any] Commands in front of a worker.
  std::uint64_t waiting(std::uint32_t worker) const;

  const CoreOptions options;
  const engine::TickScale<ServiceTime> scale;
  bucket::TableBoard board;
  std::unique_ptr<engine::TimerArena> arena;
  std::unique_ptr<TimerConnections> connections;
  std::vector<TimerBucket> buckets;
  std::vector<meter::BucketMeters> bucket_meters;
  std::vector<meter::WorkerMeters> worker_meters;
  std::vector<std::vector<std::unique_ptr<CommandRing>>> rings;  // by worker, by lane
  std::vector<std::unique_ptr<Lane>> lanes;

 private:
  explicit Core(const CoreOptions& core_options);
};

}  // namespace evenkeel::timer
