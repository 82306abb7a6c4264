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

// When a measurement is made, and what was seen then besides the counters.
struct Moment {
  std::int64_t time_ns = 0;                // since the start of the run
  std::uint64_t ticks = 0;                 // of the workers' clock
  std::span<const std::uint64_t> waiting;  // packets in front of each worker
  // Processor time of each worker's thread since it began, in ticks. Empty where a worker cannot be
  // interrupted (in virtual time).
  std::span<const std::uint64_t> thread_ticks = {};
};

// Measures differences: each call of measure() covers the time since the call before.
class LoadMeter {
 public:
  // capacity: one relative capacity for each worker.
  LoadMeter(std::span<const meter::WorkerMeters> workers, std::span<const meter::BucketMeters> buckets,
            std::vector<double> capacity, std::uint64_t now_ticks);

  // owners: by bucket, as the loads were measured.
  void measure(const Moment& moment, std::span<const ProcessorId> owners);

  // Of the last interval; `owner` is the caller's to fill.
  Snapshot snapshot(std::span<const ProcessorId> owners) const;

 private:
  void measure_workers(double interval_ticks, const Moment& moment);
  double busy_of(std::size_t worker, const Moment& moment);
  void measure_buckets(double interval_ticks, std::span<const ProcessorId> owners);

  std::span<const meter::WorkerMeters> workers_;
  std::span<const meter::BucketMeters> buckets_;
  const std::vector<double> capacity_;
  std::uint64_t last_ticks_;
  std::vector<std::uint64_t> last_busy_, last_processed_, last_thread_;  // by worker
  std::vector<std::uint64_t> last_cost_, last_packets_, last_timer_;     // by bucket
  std::vector<double> usage_, backlog_, estimated_;                      // by worker
  std::vector<double> cost_per_packet_;  // by bucket, ticks, smoothed; 0 unknown
  std::vector<double> bucket_load_;
};

}  // namespace evenkeel::control
