#include "sim/simulate/simulation.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <mutex>
#include <thread>

#include "sim/simulate/machine.h"

namespace evenkeel::sim {

namespace {

constexpr std::uint64_t kSampledPackets = 200'000;
// Of a run, left out: the start from nothing measured is not the steady state.
constexpr double kWarmupPart = 0.2;
constexpr std::int64_t kDurationDefault_ns = 2 * base::kNanosecondsPerSecond;
constexpr std::uint32_t kConnectionsMin = 1'000'000;

std::uint64_t feed_seed(std::uint64_t seed) { return base::splitmix64(seed); }

Result<std::unique_ptr<Feed>> make_feed(const Traffic& traffic, const Setting& setting) {
  if (traffic.workload == nullptr) {
    auto feed = CaptureFeed::open(traffic.inputs, setting.stretch, traffic.seed);
    if (!feed) return feed.error();
    return std::unique_ptr<Feed>(std::move(*feed));
  }
  return std::unique_ptr<Feed>(std::make_unique<WorkloadFeed>(
      *traffic.workload, WorkloadOptions{.units = setting.units,
                                         .connections = setting.connections,
                                         .packets_per_second = setting.packets_per_second,
                                         .seed = feed_seed(traffic.seed)}));
}

Result<Outcome> run_setting(const SimulationOptions& options, const Setting& setting) {
  auto service = ServiceCost::parse(options.service, options.traffic.seed);
  if (!service) return service.error();
  auto feed = make_feed(options.traffic, setting);
  if (!feed) return feed.error();
  if (setting.yardstick) return run_yardstick(*setting.yardstick, setting.machine, *service, **feed);
  return run_machine(setting.machine, *service, **feed);
}

// Mean bytes of a packet, from the first ones.
double mean_wire_length(const Traffic& traffic, const Setting& setting) {
  if (traffic.capture) return traffic.capture->mean_wire_length;
  WorkloadFeed feed(*traffic.workload, {.units = setting.units,
                                        .connections = setting.connections,
                                        .packets_per_second = 1e6,
                                        .seed = feed_seed(traffic.seed)});
  double bytes = 0;
  Arrival arrival;
  for (std::uint64_t i = 0; i < kSampledPackets; ++i) {
    feed.next(arrival);
    bytes += arrival.wire_length;
  }
  return bytes / static_cast<double>(kSampledPackets);
}

// How fast packets come to a machine of these processors.
Result<void> set_rate(const SimulationOptions& options, Setting& setting) {
  const Traffic& traffic = options.traffic;
  const double recorded =
      traffic.capture ? static_cast<double>(traffic.capture->packets) / traffic.capture->seconds : 0;
  setting.packets_per_second = traffic.packets_per_second.value_or(recorded);
  if (traffic.load) {
    auto service = ServiceCost::parse(options.service, traffic.seed);
    if (!service) return service.error();
    double capacity = 0;
    for (const double c : setting.machine.capacity) capacity += c;
    setting.packets_per_second =
        *traffic.load * capacity * 1e9 / service->mean_ns(mean_wire_length(traffic, setting));
  }
  if (traffic.capture) setting.stretch = recorded / setting.packets_per_second;
  return {};
}

void set_duration(const SimulationOptions& options, Setting& setting) {
  double duration = static_cast<double>(options.duration_ns.value_or(kDurationDefault_ns));
  duration = std::min(duration, static_cast<double>(options.packets_max) / setting.packets_per_second * 1e9);
  if (options.traffic.capture) {
    // The last packet comes too.
    const double length = options.traffic.capture->seconds * setting.stretch * 1e9 + 1;
    duration =
        options.duration_ns
            ? std::min(duration, length)
            : std::min(length, static_cast<double>(options.packets_max) / setting.packets_per_second * 1e9);
  }
  setting.machine.duration_ns = std::max<std::int64_t>(static_cast<std::int64_t>(duration), 1);
  setting.machine.warmup_ns = static_cast<std::int64_t>(kWarmupPart * duration);
}

Result<Setting> make_setting(const SimulationOptions& options, std::uint32_t processors) {
  Setting setting;
  setting.machine = options.machine;
  setting.machine.seed = options.traffic.seed;
  setting.machine.capacity.clear();
  for (std::uint32_t i = 0; i < processors; ++i)
    setting.machine.capacity.push_back(
        options.capacity.empty() ? 1 : options.capacity[i % options.capacity.size()]);
  setting.units = std::max(1u, processors / kUnitProcessors);
  const Traffic& traffic = options.traffic;
  if (traffic.workload != nullptr)
    setting.connections =
        traffic.connections != 0 ? traffic.connections : traffic.workload->unit_connections * setting.units;
  setting.machine.connections_max = std::max(kConnectionsMin, setting.connections + setting.connections / 4);
  if (auto done = set_rate(options, setting); !done) return done.error();
  set_duration(options, setting);
  return setting;
}

// Every machine with these processors: each policy on each number of buckets, then the yardsticks.
Result<void> add_cases(const SimulationOptions& options, const Setting& setting, std::vector<Case>& cases) {
  const auto processors = setting.machine.processors();
  const std::vector<std::uint32_t> buckets =
      options.buckets.empty() ? std::vector{buckets_for(processors)} : options.buckets;
  for (const std::uint32_t count : buckets) {
    for (const std::string& policy : options.policies) {
      Case one{.setting = setting, .outcome = {}};
      one.setting.machine.buckets = count;
      one.setting.machine.policy = policy;
      cases.push_back(std::move(one));
    }
  }
  if (!options.yardsticks) return {};
  for (const Yardstick yardstick : {Yardstick::kSpray, Yardstick::kShared}) {
    Case one{.setting = setting, .outcome = {}};
    one.setting.yardstick = yardstick;
    cases.push_back(std::move(one));
  }
  return {};
}

// Calls work(i) for 0 to count - 1, by so many threads.
void in_parallel(std::uint32_t jobs, std::size_t count, const std::function<void(std::size_t)>& work) {
  std::atomic<std::size_t> next{0};
  const auto loop = [&] {
    // Relaxed: each takes a number of its own; results are read after all have been joined.
    for (std::size_t i = next.fetch_add(1, std::memory_order_relaxed); i < count;
         i = next.fetch_add(1, std::memory_order_relaxed))
      work(i);
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < std::min<std::size_t>(jobs, count); ++i) threads.emplace_back(loop);
  loop();
  for (std::thread& thread : threads) thread.join();
}

Result<void> run_cases(const SimulationOptions& options, std::vector<Case>& cases, const Progress& progress) {
  std::mutex mutex;
  Result<void> failed;
  in_parallel(options.jobs, cases.size(), [&](std::size_t i) {
    auto outcome = run_setting(options, cases[i].setting);
    const std::lock_guard lock(mutex);
    if (!outcome) {
      failed = outcome.error();
      return;
    }
    cases[i].outcome = std::move(*outcome);
    if (progress) progress(cases[i].outcome);
  });
  return failed;
}

// The search for the number of processors that one policy needs, for one traffic.
class Search {
 public:
  Search(const SimulationOptions& options, const Setting& traffic, const Case& like)
      : options_(options), traffic_(traffic), like_(like) {
    needed_.policy = like.setting.yardstick
                         ? std::string(kYardstickNames[static_cast<std::size_t>(*like.setting.yardstick)])
                         : like.setting.machine.policy;
    needed_.yardstick = like.setting.yardstick.has_value();
  }

  // Doubles until the target is met, then halves the distance: a number between one that fails and one that
  // does.
  Result<Needed> operator()() {
    std::uint32_t fails = 0, meets = 0;
    for (std::uint32_t processors = 1; meets == 0; processors = std::min(2 * processors, kProcessorsMax)) {
      auto met = try_with(processors);
      if (!met) return met.error();
      (*met ? meets : fails) = processors;
      if (processors == kProcessorsMax && meets == 0) return needed_;
    }
    while (meets - fails > 1) {
      const std::uint32_t middle = fails + (meets - fails) / 2;
      auto met = try_with(middle);
      if (!met) return met.error();
      (*met ? meets : fails) = middle;
    }
    return needed_;
  }

 private:
  Result<bool> try_with(std::uint32_t processors) {
    Setting setting = traffic_;
    setting.yardstick = like_.setting.yardstick;
    setting.machine.policy = like_.setting.machine.policy;
    setting.machine.buckets = options_.buckets.empty() ? buckets_for(processors) : options_.buckets.front();
    setting.machine.capacity.clear();
    double capacity = 0;
    for (std::uint32_t i = 0; i < processors; ++i) {
      setting.machine.capacity.push_back(
          options_.capacity.empty() ? 1 : options_.capacity[i % options_.capacity.size()]);
      capacity += setting.machine.capacity.back();
    }
    // Less capacity than work: queues grow without end, as a run would show after some time.
    if (capacity < work_) return false;
    ++needed_.tried;
    auto outcome = run_setting(options_, setting);
    if (!outcome) return outcome.error();
    const bool met = outcome->p99_with_lost_ns <= static_cast<double>(*options_.target_p99_ns);
    if (met) {
      needed_.processors = processors;
      needed_.outcome = std::move(*outcome);
    }
    return met;
  }

 public:
  double work_ = 0;  // that comes, in processors

 private:
  const SimulationOptions& options_;
  const Setting& traffic_;
  const Case& like_;
  Needed needed_;
};

// The traffic is that of the first number of processors.
Result<void> find_needed(const SimulationOptions& options, const Progress& progress, Simulation& simulation) {
  auto traffic = make_setting(options, options.processors.front());
  if (!traffic) return traffic.error();
  auto service = ServiceCost::parse(options.service, options.traffic.seed);
  if (!service) return service.error();
  const double work =
      traffic->packets_per_second * service->mean_ns(mean_wire_length(options.traffic, *traffic)) / 1e9;
  std::vector<Case> cases;
  if (auto done = add_cases(options, *traffic, cases); !done) return done;
  simulation.needed.resize(cases.size());
  std::mutex mutex;
  Result<void> failed;
  in_parallel(options.jobs, cases.size(), [&](std::size_t i) {
    Search search(options, *traffic, cases[i]);
    search.work_ = work;
    auto needed = search();
    const std::lock_guard lock(mutex);
    if (!needed) {
      failed = needed.error();
      return;
    }
    simulation.needed[i] = std::move(*needed);
    if (progress && simulation.needed[i].processors != 0) progress(simulation.needed[i].outcome);
  });
  return failed;
}

}  // namespace

std::uint32_t buckets_for(std::uint32_t processors) {
  return std::min(std::bit_ceil(std::max(64 * processors, 1024u)), kBucketsMax);
}

Result<Simulation> run_simulation(const SimulationOptions& options, const Progress& progress) {
  Simulation simulation;
  simulation.options = options;
  if (options.target_p99_ns) {
    if (auto done = find_needed(options, progress, simulation); !done) return done.error();
    return simulation;
  }
  for (const std::uint32_t processors : options.processors) {
    auto setting = make_setting(options, processors);
    if (!setting) return setting.error();
    if (auto done = add_cases(options, *setting, simulation.cases); !done) return done.error();
  }
  if (auto done = run_cases(options, simulation.cases, progress); !done) return done.error();
  return simulation;
}

}  // namespace evenkeel::sim
