// `evenkeel steer --dry-run`: the plan on a sample of the traffic, with nothing changed.

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>

#include "actuator/network_interface.h"
#include "actuator/observer.h"
#include "cli/commands.h"
#include "cli/signals.h"
#include "cli/steer_options.h"
#include "cli/steer_output.h"
#include "evenkeel/policy.h"
#include "meter/cpu_time.h"

namespace evenkeel::cli {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// The receive work of all CPUs over the look, in seconds: what the buckets are assumed to have cost.
double interrupt_seconds() {
  double sum = 0;
  for (const auto& time : meter::read_cpu_times()) sum += time ? time->interrupt : 0;
  return sum;
}

// Counts the traffic of `options.duration` (a second by default) and plans from the assignment that steering
// would begin with.
Result<void> dry_run(const SteerOptions& options) {
  auto interface = actuator::find_interface(options.interface);
  if (!interface) return interface.error();
  auto observer = actuator::Observer::open({.interface_index = interface->index,
                                            .buckets = options.buckets,
                                            .inner_tunnel = options.inner_tunnel,
                                            .card = std::nullopt});
  if (!observer) return observer.error();
  const double interrupt_before = interrupt_seconds();
  const auto begin = Clock::now();
  const std::chrono::nanoseconds look(options.duration_ns.value_or(1'000'000'000));
  while (!interrupted().load(std::memory_order_relaxed) && Clock::now() - begin < look)
    std::this_thread::sleep_for(20ms);
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  auto observed = observer->read();
  if (!observed) return observed.error();

  DryRun result{.seconds = seconds, .options = options, .observed = *observed, .plan = {}, .owner = {}};
  result.owner.resize(options.buckets);
  const std::vector<double> capacity(options.cpus.size(), 1.0);
  if (auto dealt = assign_by_capacity(capacity, result.owner); !dealt) return dealt;
  const double packets =
      static_cast<double>(std::accumulate(observed->packets.begin(), observed->packets.end(), 0ull));
  std::vector<double> load(options.buckets);
  for (std::size_t bucket = 0; bucket < load.size() && packets > 0; ++bucket) {
    const double share = static_cast<double>(observed->packets[bucket]) / packets;
    load[bucket] = share * std::max(1e-6, interrupt_seconds() - interrupt_before) / seconds;
  }
  auto policy = make_policy(options.policy);
  if (!policy) return policy.error();
  const Snapshot snapshot{.bucket_load = load,
                          .owner = result.owner,
                          .usage = {},
                          .backlog = {},
                          .capacity = capacity,
                          .pinned = {}};
  if (auto planned = (*policy)->plan(snapshot, result.plan); !planned) return planned;
  print_dry_run(result);
  return {};
}

}  // namespace

int steer_dry_run(const SteerOptions& options) {
  catch_signals();
  if (auto done = dry_run(options); !done) return report_error(done.error());
  return kExitDone;
}

}  // namespace evenkeel::cli
