// From the counters of the packet path to the loads of one interval.
//
// Thread: [control]. No allocation after construction.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "evenkeel/ids.h"
#include "evenkeel/policy.h"
#include "meter/meters.h"

namespace evenkeel::control {

// Measures differences: each call of measure() covers the time since the call before.
class LoadMeter {
 public:
  // capacity: one relative capacity for each worker.
  LoadMeter(std::span<const meter::WorkerMeters> workers, std::span<const meter::BucketMeters> buckets,
            std::vector<double> capacity, std::uint64_t now_ticks);

  // waiting: packets in front of each worker. owners: by bucket, as the loads were measured.
  void measure(std::uint64_t now_ticks, std::span<const std::uint64_t> waiting,
               std::span<const ProcessorId> owners);

  // Of the last interval; `owner` is the caller's to fill.
  Snapshot snapshot(std::span<const ProcessorId> owners) const;

 private:
  void measure_workers(double interval_ticks, std::span<const std::uint64_t> waiting);
  void measure_buckets(double interval_ticks, std::span<const ProcessorId> owners);

  std::span<const meter::WorkerMeters> workers_;
  std::span<const meter::BucketMeters> buckets_;
  const std::vector<double> capacity_;
  std::uint64_t last_ticks_;
  std::vector<std::uint64_t> last_busy_, last_processed_;             // by worker
  std::vector<std::uint64_t> last_cost_, last_packets_, last_timer_;  // by bucket
  std::vector<double> usage_, backlog_, estimated_;                   // by worker
  std::vector<double> cost_per_packet_;                               // by bucket, ticks, smoothed; 0 unknown
  std::vector<double> bucket_load_;
};

}  // namespace evenkeel::control
