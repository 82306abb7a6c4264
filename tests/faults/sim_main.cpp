// The program behind `./dev sim`: the engine in virtual time under many seeds. Prints the first seed that
// breaks a law, with the command that replays it; SIGINT ends a run after the seed that is under way, and
// what was found until then is said. Built with EVENKEEL_FAULTS, so that --fault can break a law on purpose.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/clock.h"
#include "base/fault.h"
#include "base/units.h"
#include "cli/signals.h"
#include "sim/interleaving.h"
#include "sim/isolation.h"
#include "sim/timer_interleaving.h"

namespace {

using evenkeel::base::Fault;
using evenkeel::base::kFaultNames;

constexpr int kInterrupted = 130;  // as shells have it: 128 + SIGINT

struct Arguments {
  std::uint64_t seeds = 1000;
  std::uint64_t first_seed = 1;
  std::int64_t seconds = 0;  // 0: until all seeds are done
  std::string fault = "none";
};

bool choose_fault(const std::string& name) {
  for (std::size_t i = 0; i < std::size(kFaultNames); ++i) {
    if (kFaultNames[i] != name) continue;
    evenkeel::base::active_fault = static_cast<Fault>(i);
    return true;
  }
  return false;
}

struct Totals {
  std::uint64_t seeds = 0, steps = 0, packets = 0, timers = 0, moves = 0, shed = 0, rounds = 0, removed = 0;
};

// Which law broke and how to see it again; empty: the laws held.
template <typename Result>
std::string broken(const Result& result, std::uint64_t seed, const Arguments& arguments, Totals& totals) {
  totals.steps += result.steps;
  totals.moves += result.moves;
  if (result.violation.empty()) return {};
  return fmt::format(
      "seed {} breaks a law at step {}\n  {}\n  with {}\n  replay: ./dev sim --first-seed {} --seeds 1{}\n",
      seed, result.steps, result.violation, result.setting, seed,
      arguments.fault == "none" ? "" : " --fault " + arguments.fault);
}

// Each seed once for the engine, once for isolation under overload, and once for the timer service.
std::string run_seed(std::uint64_t seed, const Arguments& arguments, Totals& totals) {
  ++totals.seeds;
  const auto engine = evenkeel::sim::run_interleaving(seed);
  if (auto text = broken(engine, seed, arguments, totals); !text.empty()) return text;
  totals.packets += engine.packets;
  totals.shed += engine.shed;
  totals.rounds += engine.rounds;
  totals.removed += engine.removed;
  const auto isolation = evenkeel::sim::run_isolation(seed);
  if (auto text = broken(isolation, seed, arguments, totals); !text.empty()) return text;
  totals.packets += isolation.light_packets;
  totals.shed += isolation.shed;
  const auto timers = evenkeel::sim::run_timer_interleaving(seed);
  if (auto text = broken(timers, seed, arguments, totals); !text.empty()) return text;
  totals.timers += timers.fired;
  return {};
}

// For who watches: a line on the terminal that is written over, about twice a second.
class ProgressLine {
 public:
  explicit ProgressLine(const Arguments& arguments) : arguments_(arguments) {}
  ~ProgressLine() {
    if (told_) std::fprintf(stderr, "\r\033[K");
  }

  void tell(const Totals& totals) {
    const std::int64_t now_ns = evenkeel::base::monotonic_nanoseconds();
    if (!watched_ || now_ns < next_ns_) return;
    next_ns_ = now_ns + kEach_ns;
    told_ = true;
    std::string text = fmt::format("\r\033[K{} seeds, {:.1f} million steps, ", totals.seeds,
                                   static_cast<double>(totals.steps) / 1e6);
    text += left(totals, static_cast<double>(now_ns - start_ns_) / 1e9);
    std::fprintf(stderr, "%s", text.c_str());
  }

 private:
  static constexpr std::int64_t kEach_ns = 500 * evenkeel::base::kNanosecondsPerMillisecond;

  std::string left(const Totals& totals, double seconds) const {
    const double all = arguments_.seconds != 0 ? static_cast<double>(arguments_.seconds)
                                               : seconds * static_cast<double>(arguments_.seeds) /
                                                     static_cast<double>(totals.seeds);
    return fmt::format("about {:.0f} s left", std::max(all - seconds, 0.0));
  }

  const Arguments& arguments_;
  const bool watched_ = isatty(STDERR_FILENO) != 0;
  const std::int64_t start_ns_ = evenkeel::base::monotonic_nanoseconds();
  std::int64_t next_ns_ = start_ns_ + kEach_ns;
  bool told_ = false;
};

std::string summary(const Totals& totals) {
  return fmt::format(
      "{} seeds, {} steps, {} packets, {} shed, {} timers of the timer service, {} moves of buckets, {} "
      "rounds of the control loop, {} workers removed",
      totals.seeds, totals.steps, totals.packets, totals.shed, totals.timers, totals.moves, totals.rounds,
      totals.removed);
}

// Runs seeds until there are enough of them, a signal comes or a law is broken: then what broken() says.
std::string run_seeds(const Arguments& arguments, Totals& totals) {
  ProgressLine progress(arguments);
  const std::int64_t until_ns =
      evenkeel::base::monotonic_nanoseconds() + arguments.seconds * evenkeel::base::kNanosecondsPerSecond;
  for (std::uint64_t seed = arguments.first_seed; !evenkeel::cli::interrupted(); ++seed) {
    const bool enough = arguments.seconds != 0 ? evenkeel::base::monotonic_nanoseconds() >= until_ns
                                               : totals.seeds == arguments.seeds;
    if (enough) break;
    if (auto text = run_seed(seed, arguments, totals); !text.empty()) return text;
    progress.tell(totals);
  }
  return {};
}

int run(const Arguments& arguments) {
  Totals totals;
  evenkeel::cli::catch_signals();
  if (const std::string text = run_seeds(arguments, totals); !text.empty()) {
    fmt::print("{}", text);
    return 1;
  }
  if (!evenkeel::cli::interrupted() || (arguments.seconds == 0 && totals.seeds == arguments.seeds)) {
    fmt::print("{}: every law held\n", summary(totals));
    return 0;
  }
  fmt::print("interrupted before seed {}; until then {}: every law held\n",
             arguments.first_seed + totals.seeds, summary(totals));
  return kInterrupted;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{
      "Drives the engine in virtual time, in an order that a seed decides, and checks its laws after every "
      "step",
      "./dev sim"};
  app.add_option("--seeds", arguments.seeds, "how many seeds")
      ->capture_default_str()
      ->check(CLI::Range(1.0, 1e12));
  app.add_option("--seconds", arguments.seconds, "instead: as many as are done in so many seconds")
      ->check(CLI::Range(1.0, 1e9));
  app.add_option("--first-seed", arguments.first_seed, "the first of them")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1e18));
  app.add_option(
         "--fault", arguments.fault,
         "break a law on purpose: " +
             [] {
               std::string names;
               for (const auto name : kFaultNames) names += (names.empty() ? "" : ", ") + std::string(name);
               return names;
             }())
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "sim: {}\n", error.what());
    return 2;
  }
  if (!choose_fault(arguments.fault)) {
    fmt::print(stderr, "sim: there is no fault '{}'; see --help\n", arguments.fault);
    return 2;
  }
  return run(arguments);
}
