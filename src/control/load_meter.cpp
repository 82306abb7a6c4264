#include "control/load_meter.h"

#include <algorithm>

#include "base/check.h"

namespace evenkeel::control {

namespace {

// The difference since the last reading, which becomes the present one.
std::uint64_t advance(std::uint64_t& last, std::uint64_t now) { return now - std::exchange(last, now); }

// Samples of many intervals are averaged with this weight on the newest, so that a bucket with few samples in
// one interval keeps what was learnt of it before.
constexpr double kNewestWeight = 0.25;

}  // namespace

LoadMeter::LoadMeter(std::span<const meter::WorkerMeters> workers,
                     std::span<const meter::BucketMeters> buckets, std::vector<double> capacity,
                     std::uint64_t now_ticks)
    : workers_(workers),
      buckets_(buckets),
      capacity_(std::move(capacity)),
      last_ticks_(now_ticks),
      last_busy_(workers.size()),
      last_processed_(workers.size()),
      last_thread_(workers.size()),
      last_cost_(buckets.size()),
      last_packets_(buckets.size()),
      last_timer_(buckets.size()),
      usage_(workers.size()),
      backlog_(workers.size()),
      estimated_(workers.size()),
      cost_per_packet_(buckets.size()),
      bucket_load_(buckets.size()) {
  CHECK(capacity_.size() == workers_.size());
}

void LoadMeter::measure(const Moment& moment, std::span<const ProcessorId> owners) {
  const double interval_ticks = std::max(1.0, static_cast<double>(advance(last_ticks_, moment.ticks)));
  measure_workers(interval_ticks, moment);
  measure_buckets(interval_ticks, owners);
}

// Busy ticks also run while the thread waits for its processor, and the thread's own clock also while it
// looks for work: what it did is at most the less of the two.
double LoadMeter::busy_of(std::size_t worker, const Moment& moment) {
  const std::uint64_t busy = advance(last_busy_[worker], workers_[worker].busy_ticks.read());
  if (moment.thread_ticks.empty()) return static_cast<double>(busy);
  return static_cast<double>(std::min(busy, advance(last_thread_[worker], moment.thread_ticks[worker])));
}

void LoadMeter::measure_workers(double interval_ticks, const Moment& moment) {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const double busy = busy_of(i, moment);
    const auto processed = static_cast<double>(advance(last_processed_[i], workers_[i].processed.read()));
    usage_[i] = std::min(1.0, busy / interval_ticks);
    const double ticks_per_packet = processed > 0 ? busy / processed : 0;
    backlog_[i] = static_cast<double>(moment.waiting[i]) * ticks_per_packet / interval_ticks * capacity_[i];
  }
}

// A bucket's cost is its packets times its cost for each packet, as sampled, and what its timers took; the
// costs of a worker's buckets are then scaled so that they sum to what the worker was busy, which is measured
// and not sampled.
void LoadMeter::measure_buckets(double interval_ticks, std::span<const ProcessorId> owners) {
  std::fill(estimated_.begin(), estimated_.end(), 0.0);
  for (std::size_t j = 0; j < buckets_.size(); ++j) {
    const auto cost = static_cast<double>(advance(last_cost_[j], buckets_[j].cost_ticks.read()));
    const auto packets = static_cast<double>(advance(last_packets_[j], buckets_[j].packets.read()));
    const auto timer_ticks = static_cast<double>(advance(last_timer_[j], buckets_[j].timer_ticks.read()));
    double& per_packet = cost_per_packet_[j];
    if (packets > 0) {
      const double sampled = cost / packets;
      per_packet = per_packet == 0 ? sampled : per_packet + kNewestWeight * (sampled - per_packet);
    }
    bucket_load_[j] = (packets * per_packet + timer_ticks) / interval_ticks;
    estimated_[owners[j].value()] += bucket_load_[j];
  }
  for (std::size_t j = 0; j < buckets_.size(); ++j) {
    const std::size_t i = owners[j].value();
    if (estimated_[i] > 0) bucket_load_[j] *= usage_[i] * capacity_[i] / estimated_[i];
  }
}

Snapshot LoadMeter::snapshot(std::span<const ProcessorId> owners) const {
  Snapshot snapshot;
  snapshot.bucket_load = bucket_load_;
  snapshot.owner = owners;
  snapshot.usage = usage_;
  snapshot.backlog = backlog_;
  snapshot.capacity = capacity_;
  return snapshot;
}

}  // namespace evenkeel::control
