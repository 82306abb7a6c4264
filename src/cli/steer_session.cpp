// A session of `evenkeel steer`: looks whether it may, saves what it changes, steers, and leaves the
// interface as it was found.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "actuator/network_interface.h"
#include "actuator/nic_table/card.h"
#include "actuator/nic_table/nic_table.h"
#include "actuator/xdp_cpumap/xdp_cpumap.h"
#include "actuator/xdp_owner.h"
#include "cli/commands.h"
#include "cli/signals.h"
#include "cli/steer_leftovers.h"
#include "cli/steer_options.h"
#include "cli/steer_output.h"
#include "cli/steer_preflight.h"
#include "control/levelness.h"
#include "control/steer_loop.h"
#include "control/steer_state.h"
#include "control/steer_watchdog.h"
#include "evenkeel/policy.h"

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

Result<std::unique_ptr<actuator::Steering>> make_steering(const SteerOptions& options,
                                                          const SteerGround& ground) {
  if (ground.by_table) {
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
  Result<void> put_back();

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
  Clock::time_point end_ = Clock::time_point::max();
  Clock::time_point vitals_read_;
  double steered_seconds_ = 0;
  control::Levelness levelness_;
  bool is_saved_ = false;  // the state, before the first change
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
  if (ground_.by_table) state_.table = actuator::read_card(options_.interface).table;
  const bool sets_aside = ground_.interface.xdp_program != 0 && !ground_.by_table;
  if (sets_aside) {
    auto pin = actuator::keep_xdp_program(ground_.interface);
    if (!pin) return pin.error();
    state_.previous_program = *pin;
    state_.previous_generic = ground_.interface.xdp_generic;
  }
  // From here on the state says how to undo whatever comes next, even if this process is killed at once.
  if (auto saved = store_.save(state_); !saved) {
    if (sets_aside) actuator::forget_xdp_program(state_.previous_program);
    return saved;
  }
  is_saved_ = true;
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
  const auto now = Clock::now();
  // A process that was stopped for a while has not watched for so long.
  const auto watched =
      std::min<std::chrono::nanoseconds>(now - vitals_read_, std::chrono::nanoseconds(options_.interval_ns));
  vitals_read_ = now;
  if (const auto reason = watchdog_->check(vitals, std::chrono::duration<double>(watched).count())) {
    return runtime_error(fmt::format("{}: steering was ended", *reason));
  }
  if (now >= end_) return false;
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
  if (ground_.by_table) loop_options.usage_min = 0.001;
  loop_ = std::make_unique<control::SteerLoop>(*steering_, *policy_, loop_options,
                                               [&](const control::SteerRound& round) {
                                                 levelness_.note(round);
                                                 output_.round(*steering_, round);
                                               });
  begin_ = vitals_read_ = Clock::now();
  if (options_.duration_ns)
    end_ = begin_ + std::min(std::chrono::nanoseconds(*options_.duration_ns), end_ - begin_);
  const std::chrono::nanoseconds interval(options_.interval_ns);
  for (auto next = begin_ + interval; wait_for_next_round(std::min(next, end_)); next += interval) {
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
  if (auto undone = put_back(); !undone) {
    done = done ? undone
                : runtime_error(fmt::format("{}; then {}", done.error().message, undone.error().message));
  }
  if (loop_) report_end(done.ok());
  return done;
}

// What could not be put back stays in the state, for --restore.
Result<void> Session::put_back() {
  if (!is_saved_) return {};
  if (auto undone = clear_leftovers(state_); !undone) return undone.error();
  return {};
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

}  // namespace

int steer(const SteerOptions& options) {
  catch_signals();
  const auto claimed = claim_interface(options.interface);
  if (!claimed) return report_error(claimed.error());
  const auto left = control::SteerStateStore().load(options.interface);
  if (!left) return report_error(left.error());
  if (*left) {
    if (auto cleared = clear_leftovers(**left); !cleared) return report_error(cleared.error());
  }
  const auto ground = survey_ground(options);
  if (!ground) return report_error(ground.error());
  SteerOutput output(options.json);
  Session session(options, *ground, output);
  if (auto done = session.run(); !done) return report_error(done.error());
  return kExitDone;
}

}  // namespace evenkeel::cli
