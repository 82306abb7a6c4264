#include "library/engine_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>

#include "base/time_range.h"
#include "evenkeel/connection.h"
#include "runtime/queueing_rules.h"

namespace evenkeel::library {

namespace {

using std::chrono::nanoseconds;

constexpr double kSpeedMax = 1e9;
constexpr double kCapacityMax = 1e6;
// What a connection costs at least, times this, is still address space.
constexpr std::uint32_t kConnectionsMax = 1u << 30;

Result<void> check_sources(const Options& options) {
  if (options.inputs.empty() && options.sources.empty())
    return usage_error("no packets: options need inputs, as in {\"capture.pcap\"}, or sources");
  for (std::size_t i = 0; i < options.sources.size(); ++i) {
    if (options.sources[i] == nullptr) return usage_error(fmt::format("sources[{}] is null", i));
    if (std::count(options.sources.begin(), options.sources.end(), options.sources[i]) != 1)
      return usage_error(fmt::format("sources[{}] is there twice", i));
  }
  if (options.sources.size() > kProcessorsMax)
    return usage_error(fmt::format("at most {} sources, not {}", kProcessorsMax, options.sources.size()));
  return {};
}

Result<void> check_counts(const Options& options) {
  if (options.workers < 1 || options.workers > kProcessorsMax)
    return usage_error(fmt::format("workers takes 1 to {}, not {}", kProcessorsMax, options.workers));
  if (!std::has_single_bit(options.buckets) || options.buckets > kBucketsMax)
    return usage_error(
        fmt::format("buckets takes a power of two from 1 to {}, not {}", kBucketsMax, options.buckets));
  if (options.connections_max < 1 || options.connections_max > kConnectionsMax)
    return usage_error(
        fmt::format("connections_max takes 1 to {}, not {}", kConnectionsMax, options.connections_max));
  return {};
}

Result<void> check_time(const char* name, nanoseconds time, nanoseconds max) {
  if (time > nanoseconds::zero() && time <= max) return {};
  return usage_error(
      fmt::format("{} takes a time above 0 and up to {} ns, not {} ns", name, max.count(), time.count()));
}

Result<void> check_times(const Options& options) {
  constexpr nanoseconds kHour = std::chrono::hours(1);
  if (auto done = check_time("idle_timeout", options.idle_timeout, kTimerDelayMax); !done) return done;
  if (auto done = check_time("half_open_timeout", options.half_open_timeout, kTimerDelayMax); !done)
    return done;
  if (auto done = check_time("rebalance_interval", options.rebalance_interval, kHour); !done) return done;
  if (options.rebalance_interval < std::chrono::milliseconds(1))
    return usage_error("rebalance_interval takes at least 1 ms: a round costs more than that is worth");
  if (auto done = check_time("quantum", options.quantum, kHour); !done) return done;
  if (options.duration) return check_time("duration", *options.duration, nanoseconds::max());
  return {};
}

Result<void> check_ratios(const Options& options) {
  if (options.speed && !(*options.speed > 0 && *options.speed <= kSpeedMax))
    return usage_error(fmt::format("speed takes a number above 0, not {}", *options.speed));
  if (!options.capacity.empty() && options.capacity.size() != options.workers)
    return usage_error(fmt::format("capacity takes a number for each of {} workers, not {}", options.workers,
                                   options.capacity.size()));
  for (const double capacity : options.capacity) {
    if (!(capacity > 0 && capacity <= kCapacityMax))
      return usage_error(fmt::format("capacity takes numbers above 0, not {}", capacity));
  }
  return {};
}

Result<void> check_names(const Options& options) {
  const auto known = policy_names();
  if (options.own_policy == nullptr && std::find(known.begin(), known.end(), options.policy) == known.end())
    return make_policy(options.policy).error();
  if (std::find(std::begin(engine::kDisciplineNames), std::end(engine::kDisciplineNames), options.queueing) ==
      std::end(engine::kDisciplineNames))
    return usage_error(fmt::format("queueing takes fair, fifo or weighted, not '{}'", options.queueing));
  if ((options.queueing == "weighted") != !options.queueing_rules.empty())
    return usage_error("queueing \"weighted\" and queueing_rules go together");
  return {};
}

Result<engine::QueueingOptions> queueing_options(const Options& options) {
  engine::QueueingOptions queueing;
  const auto* name =
      std::find(std::begin(engine::kDisciplineNames), std::end(engine::kDisciplineNames), options.queueing);
  queueing.discipline = static_cast<engine::Discipline>(name - std::begin(engine::kDisciplineNames));
  queueing.quantum_ns = options.quantum.count();
  if (queueing.discipline != engine::Discipline::kWeighted) return queueing;
  auto weights = runtime::read_queueing_rules(options.queueing_rules);
  if (!weights) return weights.error();
  queueing.weights = std::move(*weights);
  return queueing;
}

}  // namespace

Result<void> check_options(const Options& options) {
  for (const auto check : {check_sources, check_counts, check_times, check_ratios, check_names}) {
    if (auto done = check(options); !done) return done;
  }
  return {};
}

Result<runtime::RunOptions> run_options(const Options& options) {
  auto queueing = queueing_options(options);
  if (!queueing) return queueing.error();
  runtime::RunOptions run;
  run.workers = options.workers;
  run.buckets = options.buckets;
  run.hash = options.hash;
  run.hash_key = options.hash_key;
  run.policy = options.policy;
  run.interval_ns = options.rebalance_interval.count();
  run.inner_tunnel = options.inner_tunnel;
  run.idle_timeout_ns = options.idle_timeout.count();
  run.half_open_timeout_ns = options.half_open_timeout.count();
  run.connections_max = options.connections_max;
  run.speed = options.speed;
  run.queueing = std::move(*queueing);
  run.pin = options.pin;
  run.capacity = options.capacity;
  run.seed = options.seed;
  if (options.duration) run.live_duration_ns = base::bounded_time_ns(options.duration->count());
  return run;
}

}  // namespace evenkeel::library
