// A session of `evenkeel steer`: looks whether it may, saves what it changes, steers, and leaves the
// interface as it was found.

#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <thread>

#include "actuator/network_interface.h"
#include "actuator/nic_table/card.h"
#include "actuator/nic_table/nic_table.h"
#include "actuator/observer.h"
#include "actuator/xdp_cpumap/xdp_cpumap.h"
#include "actuator/xdp_owner.h"
#include "base/file_descriptor.h"
#include "cli/commands.h"
#include "cli/signals.h"
#include "cli/standard_output.h"
#include "cli/steer_options.h"
#include "cli/steer_output.h"
#include "cli/steer_preflight.h"
#include "control/levelness.h"
#include "control/steer_loop.h"
#include "control/steer_state.h"
#include "control/steer_watchdog.h"
#include "evenkeel/policy.h"
#include "meter/cpu_time.h"

namespace evenkeel::cli {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// How long the end waits for buckets that have packets in flight; under overload these never pause.
constexpr auto kPatience = 10'000ms;
constexpr auto kPatienceAfterError = 500ms;  // something is wrong: the old way, soon
constexpr double kOneshotMax_seconds = 10;

// Packets a second over a short look, before anything is changed.
double present_rate(const std::string& interface) {
  constexpr auto kLook = 300ms;
  const auto before = actuator::received_packets(interface);
  std::this_thread::sleep_for(kLook);
  const auto after = actuator::received_packets(interface);
  if (!before || !after) return 0;
  return static_cast<double>(*after - *before) / std::chrono::duration<double>(kLook).count();
}

// auto: the card's own table where it has queues for all CPUs, since it costs nothing for each packet.
bool prefers_table(const SteerOptions& options) {
  if (options.actuator != SteerActuator::kAuto) return options.actuator == SteerActuator::kNicTable;
  const actuator::Card card = actuator::read_card(options.interface);
  return !card.table.empty() && card.toeplitz && card.fields_known && card.queues > 1 &&
         card.queues >= options.cpus.size() && options.order != actuator::MoveOrder::kStrict;
}

Result<std::unique_ptr<actuator::Steering>> make_steering(const SteerOptions& options,
                                                          const SteerGround& ground) {
  if (prefers_table(options)) {
    return actuator::make_nic_table(
        {.interface = options.interface, .interface_index = ground.interface.index, .order = options.order});
  }
  actuator::XdpCpumapOptions cpumap;
  cpumap.interface_index = ground.interface.index;
  cpumap.mode = ground.mode;
  cpumap.kernel.buckets = options.buckets;
  cpumap.kernel.cpus = options.cpus;
  cpumap.kernel.queue_size = options.queue_packets;
  cpumap.kernel.inner_tunnel = options.inner_tunnel;
  cpumap.moves.order = options.order;
  return actuator::make_xdp_cpumap(cpumap);
}

// Undoes what a state says was changed. A process that ended took its own programs along; what outlives it is
// put back.
Result<void> undo(const control::SteerState& state) {
  if (!actuator::is_present(state.interface, state.interface_index)) {
    if (!state.previous_program.empty()) actuator::forget_xdp_program(state.previous_program);
    return {};  // what was changed went with it
  }
  if (!state.table.empty()) {
    if (auto written = actuator::write_table(state.interface, state.table); !written) return written;
  }
  if (state.previous_program.empty()) return {};
  return actuator::put_xdp_program_back(state.interface_index, state.previous_program,
                                        state.previous_generic);
}

class Session {
 public:
  Session(const SteerOptions& options, const SteerGround& ground, SteerOutput& output)
      : options_(options), ground_(ground), output_(output) {}

  // Everything that was changed is undone when this returns, whatever it returns.
  Result<void> run();

 private:
  Result<void> prepare();
  Result<void> steer_until_the_end();
  Result<bool> goes_on();
  std::optional<std::string> why_not_level() const;
  bool wait_for_next_round(Clock::time_point until);
  bool may_wait(Clock::time_point since, std::chrono::milliseconds patience);
  void report_end(bool undone);
  Result<void> finish(std::chrono::milliseconds patience);

  const SteerOptions& options_;
  const SteerGround& ground_;
  SteerOutput& output_;
  control::SteerStateStore store_;
  control::SteerState state_;
  std::unique_ptr<Policy> policy_;
  std::unique_ptr<actuator::Steering> steering_;
  std::unique_ptr<control::SteerLoop> loop_;
  std::unique_ptr<control::SteerWatchdog> watchdog_;
  Clock::time_point begin_;
  double steered_seconds_ = 0;
  control::Levelness levelness_;
  bool was_interrupted_ = false;
  bool told_to_wait_ = false;
};

Result<void> Session::prepare() {
  // Loads of kernel threads are noisy, and a move is not free for the connections in it.
  PolicyOptions policy_options = PolicyOptions::running();
  policy_options.trigger = 0.10;
  policy_options.hysteresis = 0.05;
  auto policy = make_policy(options_.policy, policy_options);
  if (!policy) return policy.error();
  policy_ = std::move(*policy);
  auto steering = make_steering(options_, ground_);
  if (!steering) return steering.error();
  steering_ = std::move(*steering);
  watchdog_ = std::make_unique<control::SteerWatchdog>(present_rate(options_.interface));
  state_ = control::own_state(options_.interface, ground_.interface.index, std::string(steering_->name()));
  const bool by_table = steering_->name() == "nic_table";
  if (by_table) state_.table = actuator::read_card(options_.interface).table;
  const bool sets_aside = ground_.interface.xdp_program != 0 && !by_table;
  if (sets_aside) {
    auto pin = actuator::keep_xdp_program(ground_.interface);
    if (!pin) return pin.error();
    state_.previous_program = *pin;
    state_.previous_generic = ground_.interface.xdp_generic;
  }
  // From here on the state says how to undo whatever comes next, even if this process is killed at once.
  if (auto saved = store_.save(state_); !saved) {
    if (sets_aside) actuator::forget_xdp_program(state_.previous_program);
    state_.previous_program.clear();
    return saved;
  }
  return sets_aside ? actuator::detach_xdp_program(ground_.interface) : Result<void>();
}

Result<void> Session::run() {
  Result<void> done = prepare();
  if (done) done = steering_->start();
  if (done) done = steer_until_the_end();
  steered_seconds_ = std::chrono::duration<double>(Clock::now() - begin_).count();
  const Result<void> finished = finish(done ? kPatience : kPatienceAfterError);
  if (!done && !finished)
    return runtime_error(fmt::format("{}; then {}", done.error().message, finished.error().message));
  if (!done || !finished) return done ? finished : done;
  if (const auto why = why_not_level()) return runtime_error(*why);
  return {};
}

// Between two rounds, pending moves are completed. False: interrupted.
bool Session::wait_for_next_round(Clock::time_point until) {
  while (!interrupted().load(std::memory_order_relaxed)) {
    const auto now = Clock::now();
    if (now >= until) return true;
    const auto pause =
        steering_->pending() > 0 ? std::chrono::nanoseconds(5ms) : std::chrono::nanoseconds(100ms);
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(pause, until - now));
    if (steering_->pending() > 0) (void)steering_->settle();
  }
  return false;
}

// Whether another round is wanted, and whether packets still arrive.
Result<bool> Session::goes_on() {
  auto totals = steering_->totals();
  if (!totals) return totals.error();
  const control::Vitals vitals{.received = actuator::received_packets(options_.interface).value_or(0),
                               .steered = totals->steered,
                               .arrived = totals->arrived,
                               .checksum_errors = actuator::checksum_errors()};
  const double seconds = static_cast<double>(options_.interval_ns) * 1e-9;
  if (const auto reason = watchdog_->check(vitals, seconds)) {
    return runtime_error(fmt::format("{}: steering was ended", *reason));
  }
  if (options_.duration_ns && Clock::now() - begin_ >= std::chrono::nanoseconds(*options_.duration_ns))
    return false;
  return !options_.oneshot || (!levelness_.is_level() && levelness_.seconds() < kOneshotMax_seconds);
}

std::optional<std::string> Session::why_not_level() const {
  if (!options_.oneshot || levelness_.is_level() || was_interrupted_) return std::nullopt;
  return fmt::format("not level after {:.1f} s: {}", levelness_.seconds(), levelness_.why_not());
}

Result<void> Session::steer_until_the_end() {
  output_.begin(*steering_, ground_);
  control::SteerLoopOptions loop_options;
  loop_options.moves_per_second_max = options_.moves_per_second_max;
  // A card's moves cost nothing for each packet, and its loads are estimates: any imbalance is worth a move.
  if (steering_->name() == "nic_table") loop_options.usage_min = 0.001;
  loop_ = std::make_unique<control::SteerLoop>(*steering_, *policy_, loop_options,
                                               [&](const control::SteerRound& round) {
                                                 levelness_.note(round);
                                                 output_.round(*steering_, round);
                                               });
  begin_ = Clock::now();
  const std::chrono::nanoseconds interval(options_.interval_ns);
  for (auto next = begin_ + interval; wait_for_next_round(next); next += interval) {
    if (Clock::now() > next + interval) next = Clock::now();  // fell behind: no round twice
    if (!actuator::is_present(options_.interface, ground_.interface.index))
      return runtime_error(fmt::format("{} is gone: deleted, renamed or moved to another network namespace",
                                       options_.interface));
    if (auto done = loop_->tick(); !done) return done;
    const auto on = goes_on();
    if (!on) return on.error();
    if (!*on) return {};
  }
  was_interrupted_ = true;
  return {};
}

// Whether the end may still wait for packets in flight. Tells once that it does; one more signal ends it.
bool Session::may_wait(Clock::time_point since, std::chrono::milliseconds patience) {
  const auto waited = Clock::now() - since;
  if (!told_to_wait_ && waited >= 1s && waited < patience) {
    told_to_wait_ = true;
    std::fprintf(stderr, "evenkeel: waiting for packets in flight, %lld s at most; Ctrl-C ends it at once\n",
                 static_cast<long long>(patience / 1s));
  }
  return waited < patience && !interrupted().load(std::memory_order_relaxed);
}

Result<void> Session::finish(std::chrono::milliseconds patience) {
  catch_signals();
  const auto since = Clock::now();
  Result<void> done;
  if (steering_) done = steering_->stop([&] { return may_wait(since, patience); });
  if (auto undone = undo(state_); !undone && done) done = undone;
  if (auto removed = store_.remove(options_.interface); !removed && done) done = removed;
  if (loop_) report_end(done.ok());
  return done;
}

void Session::report_end(bool undone) {
  const auto totals = steering_->totals();
  if (!totals) return;
  SteerEnd end{
      .totals = *totals, .seconds = steered_seconds_, .rounds = loop_->rounds(), .level = std::nullopt};
  end.restored = undone && actuator::is_present(options_.interface, ground_.interface.index);
  if (options_.oneshot) end.level = levelness_.is_level();
  output_.end(end);
}

Error already_steered(const std::string& interface, const std::optional<control::SteerState>& state) {
  const std::string by = state ? fmt::format("process {}", state->process) : "another process";
  return runtime_error(fmt::format("{} is already steered by {}: end that first", interface, by));
}

// What a killed predecessor left is undone first: "as it was found" means before that one.
Result<void> clear_leftovers(const std::string& interface) {
  const control::SteerStateStore store;
  auto state = store.load(interface);
  if (!state) return state.error();
  if (!*state) return {};
  if (control::is_alive(**state)) return already_steered(interface, *state);
  if (auto undone = undo(**state); !undone) {
    return runtime_error(fmt::format("{}; attach it yourself, or give it up: rm -f {} {}",
                                     undone.error().message, store.path_of(interface),
                                     (*state)->previous_program));
  }
  return store.remove(interface);
}

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

int steer_restore(const SteerOptions& options) {
  const control::SteerStateStore store;
  const auto state = store.load(options.interface);
  if (!state) return report_error(state.error());
  if (!*state) {
    if (auto found = actuator::find_interface(options.interface); !found) return report_error(found.error());
  }
  if (auto cleared = clear_leftovers(options.interface); !cleared) return report_error(cleared.error());
  print("{}: {}\n", options.interface, *state ? "restored" : "nothing was left to restore");
  return kExitDone;
}

namespace {

// One process at a time for each interface, from before anything is looked at: by a name that the network
// namespace knows, and that goes with the process however it ends.
Result<base::FileDescriptor> claim(const std::string& interface) {
  base::FileDescriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return runtime_error(fmt::format("cannot make a socket: {}", std::strerror(errno)));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "evenkeel-steer-" + interface;
  std::copy_n(name.begin(), std::min(name.size(), sizeof address.sun_path - 1), address.sun_path + 1);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return socket;
  if (errno != EADDRINUSE)
    return runtime_error(fmt::format("cannot claim {}: {}", interface, std::strerror(errno)));
  const auto state = control::SteerStateStore().load(interface);
  return already_steered(interface, state ? *state : std::nullopt);
}

}  // namespace

int steer(const SteerOptions& options) {
  catch_signals();
  const auto claimed = claim(options.interface);
  if (!claimed) return report_error(claimed.error());
  if (auto cleared = clear_leftovers(options.interface); !cleared) return report_error(cleared.error());
  const auto ground = survey_ground(options);
  if (!ground) return report_error(ground.error());
  SteerOutput output(options.json);
  Session session(options, *ground, output);
  if (auto done = session.run(); !done) return report_error(done.error());
  return kExitDone;
}

int steer_dry_run(const SteerOptions& options) {
  catch_signals();
  if (auto done = dry_run(options); !done) return report_error(done.error());
  return kExitDone;
}

}  // namespace evenkeel::cli
