#include "sim/simulate/yardstick.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <queue>
#include <vector>

#include "engine/batch.h"
#include "sim/simulate/latency.h"

namespace evenkeel::sim {

namespace {

// Counts packets that leave after a later one of their connection (RFC 4737, type-P-reordered).
class OrderWatch {
 public:
  // A packet has come that will leave at `leaves_ns`.
  void add(const Arrival& arrival, std::int64_t leaves_ns) {
    if (arrival.connection >= greatest_left_.size())
      greatest_left_.resize(arrival.connection + 1 + greatest_left_.size() / 2);
    if (arrival.first) greatest_left_[arrival.connection] = 0;
    inside_.push({leaves_ns, arrival.sequence, arrival.connection});
  }
  // All who leave until then.
  void leave_until(std::int64_t time_ns) {
    while (!inside_.empty() && inside_.top().leaves_ns <= time_ns) {
      const Inside& packet = inside_.top();
      std::uint64_t& greatest = greatest_left_[packet.connection];
      if (packet.sequence + 1 < greatest) ++reordered_;
      greatest = std::max(greatest, packet.sequence + 1);
      inside_.pop();
    }
  }
  std::size_t inside() const { return inside_.size(); }
  std::uint64_t reordered() const { return reordered_; }

 private:
  struct Inside {
    std::int64_t leaves_ns;
    std::uint64_t sequence;
    std::uint32_t connection;
    friend bool operator>(const Inside& a, const Inside& b) {
      return a.leaves_ns != b.leaves_ns ? a.leaves_ns > b.leaves_ns : a.sequence > b.sequence;
    }
  };
  std::priority_queue<Inside, std::vector<Inside>, std::greater<>> inside_;
  std::vector<std::uint64_t>
      greatest_left_;  // by connection: sequence + 1 of the latest packet that has left
  std::uint64_t reordered_ = 0;
};

class Yard {
 public:
  Yard(Yardstick which, const MachineOptions& options, const ServiceCost& service)
      : which_(which),
        options_(options),
        service_(service),
        free_ns_(options.processors()),
        packets_max_(engine::kRingCapacity + options.queueing.limits.worker_packets),
        leaving_(which == Yardstick::kSpray ? options.processors() : 0) {
    for (std::uint32_t i = 0; i < options.processors(); ++i) by_free_time_.push({0, i});
  }

  void serve(const Arrival& arrival);
  Outcome outcome();

 private:
  struct Free {
    std::int64_t at_ns;
    std::uint32_t processor;
    friend bool operator>(const Free& a, const Free& b) {
      return a.at_ns != b.at_ns ? a.at_ns > b.at_ns : a.processor > b.processor;
    }
  };

  bool has_room(std::uint32_t processor, std::int64_t now_ns);
  void note(const Arrival& arrival, std::uint32_t processor, std::int64_t begins_ns);

  const Yardstick which_;
  const MachineOptions& options_;
  const ServiceCost& service_;
  std::vector<std::int64_t> free_ns_;                                          // by processor
  std::priority_queue<Free, std::vector<Free>, std::greater<>> by_free_time_;  // of the shared queue
  const std::size_t packets_max_;                  // that may wait for a processor
  std::vector<std::queue<std::int64_t>> leaving_;  // spray: by processor
  OrderWatch order_;
  LatencyHistogram latency_;
  double wait_ns_ = 0, busy_ns_ = 0;
  std::uint64_t packets_ = 0, lost_ = 0, lost_measured_ = 0, reordered_before_ = 0;
  std::int64_t last_ns_ = 0;
};

bool Yard::has_room(std::uint32_t processor, std::int64_t now_ns) {
  if (which_ == Yardstick::kShared) return order_.inside() < packets_max_ * options_.processors();
  std::queue<std::int64_t>& leaving = leaving_[processor];
  while (!leaving.empty() && leaving.front() <= now_ns) leaving.pop();
  return leaving.size() < packets_max_;
}

void Yard::serve(const Arrival& arrival) {
  order_.leave_until(arrival.time_ns);
  if (arrival.time_ns < options_.warmup_ns) reordered_before_ = order_.reordered();
  last_ns_ = arrival.time_ns;
  ++packets_;
  const std::uint32_t processor = which_ == Yardstick::kShared
                                      ? by_free_time_.top().processor
                                      : static_cast<std::uint32_t>(arrival.sequence % options_.processors());
  if (!has_room(processor, arrival.time_ns)) {
    ++lost_;
    lost_measured_ += arrival.time_ns >= options_.warmup_ns;
    return;
  }
  const std::int64_t begins_ns = std::max(arrival.time_ns, free_ns_[processor]);
  note(arrival, processor, begins_ns);
}

void Yard::note(const Arrival& arrival, std::uint32_t processor, std::int64_t begins_ns) {
  const double cost = service_.of(arrival.sequence, arrival.wire_length) / options_.capacity[processor];
  const std::int64_t leaves_ns = begins_ns + std::llround(cost);
  free_ns_[processor] = leaves_ns;
  if (which_ == Yardstick::kShared) {
    by_free_time_.pop();
    by_free_time_.push({leaves_ns, processor});
  } else {
    leaving_[processor].push(leaves_ns);
  }
  order_.add(arrival, leaves_ns);
  if (arrival.time_ns < options_.warmup_ns) return;
  latency_.add(leaves_ns - arrival.time_ns);
  wait_ns_ += static_cast<double>(begins_ns - arrival.time_ns);
  busy_ns_ += cost;
}

Outcome Yard::outcome() {
  order_.leave_until(INT64_MAX);
  Outcome outcome;
  outcome.policy = kYardstickNames[static_cast<std::size_t>(which_)];
  outcome.yardstick = true;
  outcome.processors = options_.processors();
  outcome.packets = packets_;
  outcome.processed = packets_ - lost_;
  outcome.overload = lost_;
  outcome.measured = latency_.count();
  outcome.lost = lost_measured_;
  outcome.loss =
      outcome.measured + outcome.lost == 0
          ? 0
          : static_cast<double>(outcome.lost) / static_cast<double>(outcome.measured + outcome.lost);
  outcome.mean_ns = latency_.mean_ns();
  outcome.p50_ns = latency_.quantile_ns(0.5);
  outcome.p99_ns = latency_.quantile_ns(0.99);
  outcome.p999_ns = latency_.quantile_ns(0.999);
  outcome.max_ns = latency_.max_ns();
  outcome.p99_with_lost_ns = latency_.quantile_ns(0.99, outcome.lost);
  outcome.mean_wait_ns = outcome.measured == 0 ? 0 : wait_ns_ / static_cast<double>(outcome.measured);
  outcome.reordered = order_.reordered() - reordered_before_;
  const auto window_ns = static_cast<double>(last_ns_ - options_.warmup_ns);
  if (window_ns > 0) outcome.load = busy_ns_ / window_ns / options_.processors();
  return outcome;
}

}  // namespace

Result<Outcome> run_yardstick(Yardstick which, const MachineOptions& options, const ServiceCost& service,
                              Feed& feed) {
  const auto begin = std::chrono::steady_clock::now();
  Yard yard(which, options, service);
  Arrival arrival;
  while (feed.next(arrival) && arrival.time_ns < options.duration_ns) yard.serve(arrival);
  if (auto error = feed.error()) return *error;
  Outcome outcome = yard.outcome();
  outcome.simulate_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return outcome;
}

}  // namespace evenkeel::sim
