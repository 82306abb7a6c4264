// `evenkeel steer --dry-run`: the plan on a sample of the traffic, with nothing changed.

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>

#include "actuator/network_interface.h"
#include "actuator/nic_table/card.h"
#include "actuator/observer.h"
#include "cli/commands.h"
#include "cli/signals.h"
#include "cli/steer_leftovers.h"
#include "cli/steer_options.h"
#include "cli/steer_output.h"
#include "cli/steer_preflight.h"
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

// Who would be steered to, and where the buckets would be at the start.
Result<void> deal(const SteerOptions& options, const actuator::Card& card, bool by_table, DryRun& result) {
  result.actuator = by_table ? "nic_table" : "xdp_cpumap";
  result.processor = by_table ? "queue" : "cpu";
  if (by_table) {
    result.numbers.resize(card.queues);
    std::iota(result.numbers.begin(), result.numbers.end(), 0u);
    for (const std::uint32_t queue : card.table) result.owner.emplace_back(queue);
    return {};
  }
  result.numbers = options.cpus;
  result.owner.resize(options.buckets);
  return assign_by_capacity(std::vector<double>(options.cpus.size(), 1.0), result.owner);
}

// Waits for `options.duration` (a second by default); the time that passed, in seconds.
double wait_and_look(const SteerOptions& options) {
  const auto begin = Clock::now();
  const std::chrono::nanoseconds look(options.duration_ns.value_or(1'000'000'000));
  while (!interrupted().load(std::memory_order_relaxed) && Clock::now() - begin < look)
    std::this_thread::sleep_for(20ms);
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// A bucket's load is its share of the interrupt time of all CPUs.
Result<void> plan_moves(const SteerOptions& options, double interrupt, DryRun& result) {
  const auto& counts = result.observed.packets;
  const auto packets = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}));
  std::vector<double> load(counts.size());
  for (std::size_t bucket = 0; bucket < load.size() && packets > 0; ++bucket) {
    const double share = static_cast<double>(counts[bucket]) / packets;
    load[bucket] = share * std::max(1e-6, interrupt) / result.seconds;
  }
  auto policy = make_policy(options.policy);
  if (!policy) return policy.error();
  const std::vector<double> capacity(result.numbers.size(), 1.0);
  const Snapshot snapshot{.bucket_load = load,
                          .owner = result.owner,
                          .usage = {},
                          .backlog = {},
                          .capacity = capacity,
                          .pinned = {}};
  return (*policy)->plan(snapshot, result.plan);
}

// As steering itself would look before it changes anything. What would keep it from starting keeps nobody
// from seeing a plan, which is then that of xdp_cpumap.
Result<void> dry_run(const SteerOptions& options) {
  const auto interface = actuator::find_interface(options.interface);
  if (!interface) return interface.error();
  const auto free = check_not_steered(options.interface);
  const auto ground = free ? survey_ground(options) : Result<SteerGround>(free.error());
  const bool by_table = ground && ground->by_table;
  const actuator::Card card = by_table ? actuator::read_card(options.interface) : actuator::Card();
  DryRun result(options);
  if (ground) result.notes = ground->notes;
  if (!ground) result.refused = ground.error().message;
  if (auto dealt = deal(options, card, by_table, result); !dealt) return dealt;
  auto observer = actuator::Observer::open(
      {.interface_index = interface->index,
       .buckets = static_cast<std::uint32_t>(result.owner.size()),
       .inner_tunnel = options.inner_tunnel,
       .card = by_table ? std::optional(actuator::CardHash{.key = card.key, .ports = card.ports})
                        : std::nullopt});
  if (!observer) return observer.error();
  const double interrupt_before = interrupt_seconds();
  result.seconds = wait_and_look(options);
  auto observed = observer->read();
  if (!observed) return observed.error();
  result.observed = std::move(*observed);
  if (auto planned = plan_moves(options, interrupt_seconds() - interrupt_before, result); !planned)
    return planned;
  print_dry_run(result);
  if (result.refused) return runtime_error("steering would be refused: " + *result.refused);
  return {};
}

}  // namespace

int steer_dry_run(const SteerOptions& options) {
  catch_signals();
  if (auto done = dry_run(options); !done) return report_error(done.error());
  return kExitDone;
}

}  // namespace evenkeel::cli
