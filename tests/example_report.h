// A run report with plausible numbers, for tests of what people see: buckets with skewed loads that drift,
// and the moves of a simple balancer. Deterministic.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "observe/run_report.h"

namespace evenkeel::tests {

struct ExampleOptions {
  std::uint32_t workers = 2;
  std::uint32_t buckets = 1024;
  std::uint32_t intervals = 60;
  double mean_busy = 0.6;
  std::uint64_t seed = 1;
};

// Moves the largest fitting bucket from the busiest worker that has one to the idlest, until they are level.
inline std::uint64_t level(const std::vector<double>& loads, std::vector<ProcessorId>& owners,
                           std::uint32_t workers, std::uint32_t moves_max) {
  std::vector<double> by_worker = observe::loads_by_owner(loads, owners, workers);
  std::vector<bool> stuck(workers, false);
  for (std::uint64_t moves = 0; moves < moves_max;) {
    std::size_t high = 0;
    while (high < workers && stuck[high]) ++high;
    if (high == workers) return moves;
    for (std::size_t i = high; i < workers; ++i) {
      if (!stuck[i] && by_worker[i] > by_worker[high]) high = i;
    }
    const auto low =
        static_cast<std::size_t>(std::min_element(by_worker.begin(), by_worker.end()) - by_worker.begin());
    const double gap = by_worker[high] - by_worker[low];
    std::size_t best = owners.size();
    for (std::size_t bucket = 0; bucket < owners.size(); ++bucket) {
      if (owners[bucket].value() != high || loads[bucket] > gap * 0.9) continue;
      if (best == owners.size() || loads[bucket] > loads[best]) best = bucket;
    }
    stuck[high] = best == owners.size() || gap < 0.03 * by_worker[high];
    if (stuck[high]) continue;
    owners[best] = ProcessorId(static_cast<std::uint32_t>(low));
    by_worker[high] -= loads[best];
    by_worker[low] += loads[best];
    ++moves;
  }
  return moves_max;
}

inline observe::RunReport example_report(const ExampleOptions& options) {
  constexpr double kIntervalSeconds = 0.1;
  base::Random random(options.seed);
  std::vector<double> base(options.buckets);
  for (double& load : base) load = std::exp(3.0 * random.uniform() * random.uniform());
  base[options.buckets / 7] *= 320.0 / options.workers;
  base[options.buckets / 3] *= 240.0 / options.workers;

  observe::RunReport report;
  report.version = "0.1.0";
  report.started_at = "2026-01-02T03:04:05Z";
  report.options.workers = options.workers;
  report.options.buckets = options.buckets;
  report.options.hash = "toeplitz";
  report.options.policy = "index";
  report.options.interval_ns = 100'000'000;
  report.options.seed = options.seed;
  observe::BalanceReport& balance = report.balance;
  balance.bucket_loads.assign(options.buckets, 0);
  for (std::uint32_t bucket = 0; bucket < options.buckets; ++bucket) {
    balance.initial_owners.push_back(ProcessorId(bucket % options.workers));
  }
  balance.bucket_owners = balance.initial_owners;
  report.workers.resize(options.workers);

  for (std::uint32_t interval = 0; interval < options.intervals; ++interval) {
    std::vector<double> loads = base;
    double sum = 0;
    for (std::size_t bucket = 0; bucket < loads.size(); ++bucket) {
      loads[bucket] *= 1 + 0.5 * std::sin(0.15 * interval + 0.01 * static_cast<double>(bucket));
      sum += loads[bucket];
    }
    for (double& load : loads) load *= options.mean_busy * options.workers * kIntervalSeconds / sum;
    std::vector<double> busy = observe::loads_by_owner(loads, balance.bucket_owners, options.workers);
    for (std::size_t worker = 0; worker < busy.size(); ++worker) {
      busy[worker] = std::min(1.0, busy[worker] / kIntervalSeconds);
      report.workers[worker].busy_fraction += busy[worker] / options.intervals;
    }
    for (std::size_t bucket = 0; bucket < loads.size(); ++bucket)
      balance.bucket_loads[bucket] += loads[bucket];
    const std::vector<ProcessorId> owners = balance.bucket_owners;
    std::vector<double> rates = loads;
    for (double& rate : rates) rate /= kIntervalSeconds;
    const std::uint64_t moves = interval == 0 ? 0 : level(loads, balance.bucket_owners, options.workers, 64);
    balance.moves += moves;
    balance.rebalances += moves > 0 ? 1 : 0;
    balance.history.add(observe::measure({.start_seconds = interval * kIntervalSeconds,
                                          .end_seconds = (interval + 1) * kIntervalSeconds,
                                          .busy_fraction = busy,
                                          .bucket_loads = rates,
                                          .owners = owners,
                                          .initial_owners = balance.initial_owners,
                                          .moves = moves}));
  }
  balance.max_over_mean = balance.history.max_over_mean();
  balance.static_max_over_mean = balance.history.static_max_over_mean();

  report.elapsed_seconds = options.intervals * kIntervalSeconds;
  for (const ProcessorId owner : balance.bucket_owners) ++report.workers[owner.value()].buckets;
  for (observe::WorkerReport& worker : report.workers) {
    worker.packets = static_cast<std::uint64_t>(worker.busy_fraction * report.elapsed_seconds * 4e6);
    worker.bytes = worker.packets * 731;
    worker.connections = worker.buckets * 24;
    report.packets.processed += worker.packets;
    report.packets.bytes += worker.bytes;
  }
  report.packets.malformed = {{"ip_cut", 50}, {"link_cut", 0}, {"snapped", 30}};
  report.packets.unclassified = {{"arp", 712}};
  report.packets.dropped = {{"fragment_orphan", 7}};
  report.packets.received = report.packets.processed + 80 + 712 + 7;
  report.packets_per_second = static_cast<double>(report.packets.received) / report.elapsed_seconds;
  report.inputs = {{"generator:campus", report.packets.received, report.packets.bytes, ""}};
  report.connections = {200'000, 150'000, 25'000, 424, 24'576};
  report.records = 201'337;
  report.queueing = {"fair", 50'000, 1'234'567, 1'200, 34, 8'192, 412, 31e-6, 1.9e-3};
  report.timers = {200'424, 31, 150'424, 301'000, 0, 999.4};
  for (observe::WorkerReport& worker : report.workers) worker.timers = report.timers;
  report.elephants = {
      {"tcp 10.1.2.3:443 192.168.100.200:50123", 1, 4'000'000, 5'600'000'000, 93.3e6, 0.612, 1'150, 0}};
  return report;
}

}  // namespace evenkeel::tests
