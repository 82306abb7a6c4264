#include "library/engine_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <optional>
#include <utility>

#include "base/time_range.h"
#include "library/option_ranges.h"
#include "runtime/queue_limits.h"
#include "runtime/queueing_rules.h"

namespace evenkeel::library {

namespace {

using std::chrono::nanoseconds;

// What is done with inputs, an author's source does itself: it is not silently left undone there.
Result<void> check_options_of_inputs(const Options& options) {
  if (!options.filter.empty())
    return usage_error("filter is for inputs: a source of your own leaves away what it does not want");
  if (options.speed)
    return usage_error("speed is for inputs: a source of your own hands its packets out when they are due");
  if (options.duration)
    return usage_error(
        "duration is for inputs: a source of your own says when it ends, and stop() ends the engine");
  return {};
}

Result<engine::QueueLimits> queue_limits(const Options& options) {
  return runtime::queue_limits(
      {options.queue_limit_worker, options.queue_limit_bucket, options.queue_limit_connection},
      {"queue_limit_worker", "queue_limit_bucket", "queue_limit_connection"});
}

Result<void> check_sources(const Options& options) {
  if (options.inputs.empty() && options.sources.empty())
    return usage_error("no packets: give an input, as \"capture.pcap\", or a source of your own");
  for (std::size_t i = 0; i < options.sources.size(); ++i) {
    if (options.sources[i] == nullptr) return usage_error(fmt::format("sources[{}] is null", i));
    if (std::count(options.sources.begin(), options.sources.end(), options.sources[i]) != 1)
      return usage_error(fmt::format("sources[{}] is there twice", i));
  }
  if (options.sources.size() > kProcessorsMax)
    return usage_error(fmt::format("at most {} sources, not {}", kProcessorsMax, options.sources.size()));
  return options.sources.empty() ? Result<void>() : check_options_of_inputs(options);
}

template <typename Number>
Result<void> check_number(const char* name, const Range<Number>& range, Number given) {
  if (range.holds(given)) return {};
  return usage_error(fmt::format("{} {}", name, refusal(range, given)));
}

Result<void> check_counts(const Options& options) {
  if (auto done = check_number("workers", kWorkers, options.workers); !done) return done;
  if (!std::has_single_bit(options.buckets) || options.buckets > kBucketsMax)
    return usage_error(fmt::format("buckets {}", refusal_of_buckets(options.buckets)));
  return check_number("connections_max", kConnections, options.connections_max);
}

Result<void> check_time(const char* name, const Range<std::int64_t>& range_ns, nanoseconds given) {
  if (range_ns.holds(given.count())) return {};
  return usage_error(fmt::format("{} {}", name, refusal_of_time(range_ns, given.count())));
}

Result<void> check_times(const Options& options) {
  if (auto done = check_time("idle_timeout", kTimeout_ns, options.idle_timeout); !done) return done;
  if (auto done = check_time("half_open_timeout", kTimeout_ns, options.half_open_timeout); !done) return done;
  if (auto done = check_time("rebalance_interval", kInterval_ns, options.rebalance_interval); !done)
    return done;
  if (auto done = check_time("quantum", kQuantum_ns, options.quantum); !done) return done;
  if (auto done = check_time("elephant_window", kElephantWindow_ns, options.elephant_window); !done)
    return done;
  return options.duration ? check_time("duration", kDuration_ns, *options.duration) : Result<void>();
}

Result<void> check_ratios(const Options& options) {
  if (options.speed) {
    if (auto done = check_number("speed", kSpeed, *options.speed); !done) return done;
  }
  if (auto done = check_number("elephant_share", kElephantShare, options.elephant_share); !done) return done;
  if (!options.capacity.empty() && options.capacity.size() != options.workers)
    return usage_error(fmt::format("capacity takes a number for each of {} workers, not {}", options.workers,
                                   options.capacity.size()));
  for (const double capacity : options.capacity) {
    if (auto done = check_number("capacity", kCapacity, capacity); !done) return done;
  }
  return {};
}

Result<void> check_limits(const Options& options) {
  if (auto done = check_number("elephant_bytes", kElephantBytes, options.elephant_bytes); !done) return done;
  const std::pair<const char*, std::optional<std::uint32_t>> limits[] = {
      {"queue_limit_worker", options.queue_limit_worker},
      {"queue_limit_bucket", options.queue_limit_bucket},
      {"queue_limit_connection", options.queue_limit_connection}};
  for (const auto& [name, limit] : limits) {
    if (!limit) continue;
    if (auto done = check_number(name, kQueueLimit, *limit); !done) return done;
  }
  const auto together = queue_limits(options);
  return together.ok() ? Result<void>() : together.error();
}

Result<void> check_names(const Options& options) {
  const auto known = policy_names();
  if (options.own_policy == nullptr && std::find(known.begin(), known.end(), options.policy) == known.end())
    return make_policy(options.policy).error();
  if (std::find(std::begin(engine::kDisciplineNames), std::end(engine::kDisciplineNames), options.queueing) ==
      std::end(engine::kDisciplineNames))
    return usage_error(fmt::format("queueing takes fair, fifo or weighted, not '{}'", options.queueing));
  if ((options.queueing == "weighted") != !options.queueing_rules.empty())
    return usage_error("queueing \"weighted\" and a file of queueing rules go together: give both");
  if (options.xdp_mode != "tap" && options.xdp_mode != "consume")
    return usage_error(fmt::format("xdp_mode takes tap or consume, not '{}'", options.xdp_mode));
  return {};
}

Result<engine::QueueingOptions> queueing_options(const Options& options) {
  engine::QueueingOptions queueing;
  const auto* name =
      std::find(std::begin(engine::kDisciplineNames), std::end(engine::kDisciplineNames), options.queueing);
  queueing.discipline = static_cast<engine::Discipline>(name - std::begin(engine::kDisciplineNames));
  queueing.quantum_ns = options.quantum.count();
  auto limits = queue_limits(options);
  if (!limits) return limits.error();
  queueing.limits = *limits;
  if (queueing.discipline != engine::Discipline::kWeighted) return queueing;
  auto weights = runtime::read_queueing_rules(options.queueing_rules);
  if (!weights) return weights.error();
  queueing.weights = std::move(*weights);
  return queueing;
}

}  // namespace

Result<void> check_options(const Options& options) {
  for (const auto check :
       {check_sources, check_counts, check_times, check_ratios, check_limits, check_names}) {
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
  run.elephants = {.window_bytes = options.elephant_bytes,
                   .window_ns = options.elephant_window.count(),
                   .worker_share = options.elephant_share};
  run.pin = options.pin;
  run.capacity = options.capacity;
  run.seed = options.seed;
  if (options.duration) run.live_duration_ns = base::bounded_time_ns(options.duration->count());
  return run;
}

}  // namespace evenkeel::library
