#include "sim/simulate/simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <mutex>
#include <thread>

#include "observe/text.h"
#include "sim/simulate/machine.h"
#include "sim/simulate/report.h"

namespace evenkeel::sim {

namespace {

constexpr std::uint64_t kSampledPackets = 200'000;
// Of a run, left out: the start from nothing measured is not the steady state.
constexpr double kWarmupPart = 0.2;
constexpr std::int64_t kDurationDefault_ns = 2 * base::kNanosecondsPerSecond;
constexpr std::uint32_t kConnectionsMin = 1'000'000;
// Of virtual time: the machine's events hold half a year.
constexpr double kDurationMax_ns = 100.0 * 24 * 3600 * 1e9;
// Each is kept, and planned for.
constexpr double kIntervalsMax = 1'000'000;

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

Result<Outcome> run_setting(const SimulationOptions& options, const Setting& setting,
                            ProgressCounter& counter) {
  auto service = ServiceCost::parse(options.service, options.traffic.seed);
  if (!service) return service.error();
  auto opened = make_feed(options.traffic, setting);
  if (!opened) return opened.error();
  const std::unique_ptr<Feed> feed = counter.watched(std::move(*opened));
  auto outcome = setting.yardstick ? run_yardstick(*setting.yardstick, setting.machine, *service, *feed)
                                   : run_machine(setting.machine, *service, *feed);
  if (outcome) counter.note_ended(*outcome);
  return outcome;
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

// Of so many processors, each.
std::vector<double> capacity_of(const SimulationOptions& options, std::uint32_t processors) {
  std::vector<double> capacity(processors, 1);
  for (std::uint32_t i = 0; i < processors && !options.capacity.empty(); ++i)
    capacity[i] = options.capacity[i % options.capacity.size()];
  return capacity;
}

double sum_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum;
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
    setting.packets_per_second = *traffic.load * sum_of(setting.machine.capacity) * 1e9 /
                                 service->mean_ns(mean_wire_length(traffic, setting));
  }
  if (traffic.capture) setting.stretch = recorded / setting.packets_per_second;
  return {};
}

Result<void> set_duration(const SimulationOptions& options, Setting& setting) {
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
  if (duration > kDurationMax_ns)
    return usage_error(
        "a run takes more than 100 days of virtual time: give a shorter --duration, or more load");
  if (duration / static_cast<double>(options.machine.interval_ns) > kIntervalsMax)
    return usage_error(
        fmt::format("{} of virtual time have more than a million intervals: give a longer --interval",
                    observe::duration_text(duration / 1e9)));
  if (!options.traffic.capture && duration / 1e9 * setting.packets_per_second < 1)
    return usage_error(fmt::format("no packet comes within {} at {}: give a longer --duration, or more load",
                                   observe::duration_text(duration / 1e9),
                                   observe::rate_text(setting.packets_per_second, "pps")));
  setting.machine.duration_ns = static_cast<std::int64_t>(duration);
  setting.machine.warmup_ns = static_cast<std::int64_t>(kWarmupPart * duration);
  return {};
}

Result<Setting> make_setting(const SimulationOptions& options, std::uint32_t processors) {
  Setting setting;
  setting.machine = options.machine;
  setting.machine.seed = options.traffic.seed;
  setting.machine.capacity = capacity_of(options, processors);
  setting.units = std::max(1u, processors / kUnitProcessors);
  const Traffic& traffic = options.traffic;
  if (traffic.workload != nullptr)
    setting.connections =
        traffic.connections != 0 ? traffic.connections : traffic.workload->unit_connections * setting.units;
  setting.machine.connections_max = std::max(kConnectionsMin, setting.connections + setting.connections / 4);
  if (auto done = set_rate(options, setting); !done) return done.error();
  if (auto done = set_duration(options, setting); !done) return done.error();
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

double packets_of(const Setting& setting) {
  return setting.packets_per_second * static_cast<double>(setting.machine.duration_ns) / 1e9;
}

Result<void> run_cases(const SimulationOptions& options, std::vector<Case>& cases, const Progress& progress) {
  double packets = 0;
  for (const Case& one : cases) packets += packets_of(one.setting);
  ProgressCounter counter(progress, static_cast<std::uint64_t>(packets), cases.size());
  std::mutex mutex;
  Result<void> failed;
  in_parallel(options.jobs, cases.size(), [&](std::size_t i) {
    auto outcome = run_setting(options, cases[i].setting, counter);
    if (outcome) {
      cases[i].outcome = std::move(*outcome);
      return;
    }
    const std::lock_guard lock(mutex);
    failed = outcome.error();
  });
  return failed;
}

// The search for the number of processors that one policy needs, for one traffic.
class Search {
 public:
  // `least`: with fewer processors there is more work than they can do, and queues grow without end.
  Search(const SimulationOptions& options, const Setting& traffic, const Case& like, std::uint32_t least,
         ProgressCounter& counter)
      : options_(options), traffic_(traffic), like_(like), least_(least), counter_(counter) {
    needed_.policy = like.setting.yardstick
                         ? std::string(kYardstickNames[static_cast<std::size_t>(*like.setting.yardstick)])
                         : like.setting.machine.policy;
    needed_.yardstick = like.setting.yardstick.has_value();
  }

  Result<Needed> operator()() {
    if (auto found = meeting(); !found) return found.error();
    if (needed_.processors != 0) {
      if (auto looked = look_below(); !looked) return looked.error();
    }
    std::sort(needed_.trials.begin(), needed_.trials.end(),
              [](const Trial& a, const Trial& b) { return a.processors < b.processors; });
    return std::move(needed_);
  }

 private:
  // Doubles until the target is met, then halves the distance: to a number that meets it where one fewer does
  // not.
  Result<void> meeting() {
    std::uint32_t fails = least_ - 1, meets = 0;
    for (std::uint32_t processors = least_; meets == 0;
         processors = std::min(2 * processors, kProcessorsMax)) {
      auto met = try_with(processors);
      if (!met) return met.error();
      (*met ? meets : fails) = processors;
      if (fails == kProcessorsMax) return {};
    }
    while (meets - fails > 1) {
      const std::uint32_t middle = fails + (meets - fails) / 2;
      auto met = try_with(middle);
      if (!met) return met.error();
      (*met ? meets : fails) = middle;
    }
    return {};
  }

  // More processors are not always better: with another number buckets lie otherwise. So those just below are
  // looked at too.
  Result<void> look_below() {
    for (std::uint32_t below = 1; below <= kNeighbours; ++below) {
      if (needed_.processors < least_ + below) break;
      auto met = try_with(needed_.processors - below);
      if (!met) return met.error();
      if (*met) below = 0;  // needed_ has become that
    }
    return {};
  }

  Result<bool> try_with(std::uint32_t processors) {
    const double target_ns = static_cast<double>(*options_.target_p99_ns);
    for (const Trial& trial : needed_.trials)
      if (trial.processors == processors) return trial.p99_ns <= target_ns;
    Setting setting = traffic_;
    setting.yardstick = like_.setting.yardstick;
    setting.machine.policy = like_.setting.machine.policy;
    setting.machine.buckets =
        options_.buckets.empty() ? buckets_for(processors) : like_.setting.machine.buckets;
    setting.machine.capacity = capacity_of(options_, processors);
    auto outcome = run_setting(options_, setting, counter_);
    if (!outcome) return outcome.error();
    needed_.trials.push_back({processors, outcome->p99_with_lost_ns});
    const bool met = outcome->p99_with_lost_ns <= target_ns;
    if (met && (needed_.processors == 0 || processors < needed_.processors)) {
      needed_.processors = processors;
      needed_.outcome = std::move(*outcome);
    }
    return met;
  }

  const SimulationOptions& options_;
  const Setting& traffic_;
  const Case& like_;
  const std::uint32_t least_;
  ProgressCounter& counter_;
  Needed needed_;
};

// What 98.5 % of the first packets cost at most where they are served fastest. (Not 99 %: for a cost that one
// packet of a hundred has, chance would decide.)
Result<double> cost_of_most_ns(const SimulationOptions& options, const Setting& setting,
                               const ServiceCost& service) {
  auto feed = make_feed(options.traffic, setting);
  if (!feed) return feed.error();
  std::vector<double> costs;
  Arrival arrival;
  while (costs.size() < kSampledPackets && (*feed)->next(arrival))
    costs.push_back(service.of(arrival.sequence, arrival.wire_length));
  if (costs.empty()) return 0.0;
  const auto at = costs.begin() + static_cast<std::ptrdiff_t>(0.985 * static_cast<double>(costs.size() - 1));
  std::nth_element(costs.begin(), at, costs.end());
  const std::vector<double> capacity = capacity_of(options, kProcessorsMax);
  return *at / *std::max_element(capacity.begin(), capacity.end());
}

// The fewest processors that can do the work, or why there are none. A target below what serving alone takes
// is missed by any.
Result<std::uint32_t> least_processors(const SimulationOptions& options, const Setting& traffic) {
  auto service = ServiceCost::parse(options.service, options.traffic.seed);
  if (!service) return service.error();
  const auto cost_ns = cost_of_most_ns(options, traffic, *service);
  if (!cost_ns) return cost_ns.error();
  const auto target_ns = static_cast<double>(*options.target_p99_ns);
  if (*cost_ns > target_ns)
    return usage_error(fmt::format(
        "--target-p99 {} cannot be met by any number of processors: serving alone takes {} or longer "
        "for one packet in a hundred (--service {})",
        time_text(target_ns), time_text(*cost_ns), options.service));
  const double work =
      traffic.packets_per_second * service->mean_ns(mean_wire_length(options.traffic, traffic)) / 1e9;
  const std::vector<double> capacity = capacity_of(options, kProcessorsMax);
  double sum = 0;
  for (std::uint32_t i = 0; i < kProcessorsMax; ++i) {
    sum += capacity[i];
    if (sum >= work) return i + 1;
  }
  return usage_error(
      fmt::format("--target-p99 cannot be met: what comes is work for {:.0f} processors of capacity 1, and "
                  "{} have {:.0f}",
                  work, kProcessorsMax, sum));
}

// The traffic is that of the first number of processors.
Result<void> find_needed(const SimulationOptions& options, const Progress& progress, Simulation& simulation) {
  auto traffic = make_setting(options, options.processors.front());
  if (!traffic) return traffic.error();
  const auto least = least_processors(options, *traffic);
  if (!least) return least.error();
  std::vector<Case> cases;
  if (auto done = add_cases(options, *traffic, cases); !done) return done;
  simulation.needed.resize(cases.size());
  simulation.searched_rate = traffic->packets_per_second;
  ProgressCounter counter(progress, 0, 0);
  std::mutex mutex;
  Result<void> failed;
  in_parallel(options.jobs, cases.size(), [&](std::size_t i) {
    auto needed = Search(options, *traffic, cases[i], *least, counter)();
    if (needed) {
      simulation.needed[i] = std::move(*needed);
      return;
    }
    const std::lock_guard lock(mutex);
    failed = needed.error();
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
