// The program behind `./dev sim`: the engine in virtual time under many seeds. Prints the first seed that
// breaks a law, with the command that replays it. Built with EVENKEEL_FAULTS, so that --fault can break a law
// on purpose.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/clock.h"
#include "base/fault.h"
#include "sim/interleaving.h"
#include "sim/isolation.h"
#include "sim/timer_interleaving.h"

namespace {

using evenkeel::base::Fault;
using evenkeel::base::kFaultNames;

struct Arguments {
  std::uint64_t seeds = 1000;
  std::uint64_t first_seed = 1;
  std::int64_t seconds = 0;
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

// Says which law broke and how to see it again. Returns whether the laws held.
template <typename Result>
bool held(const Result& result, std::uint64_t seed, const Arguments& arguments, Totals& totals) {
  totals.steps += result.steps;
  totals.moves += result.moves;
  if (result.violation.empty()) return true;
  fmt::print(
      "seed {} breaks a law at step {}\n  {}\n  with {}\n  replay: ./dev sim --first-seed {} --seeds 1{}\n",
      seed, result.steps, result.violation, result.setting, seed,
      arguments.fault == "none" ? "" : " --fault " + arguments.fault);
  return false;
}

// Each seed once for the engine, once for isolation under overload, and once for the timer service.
bool run_seed(std::uint64_t seed, const Arguments& arguments, Totals& totals) {
  ++totals.seeds;
  const auto engine = evenkeel::sim::run_interleaving(seed);
  if (!held(engine, seed, arguments, totals)) return false;
  totals.packets += engine.packets;
  totals.shed += engine.shed;
  totals.rounds += engine.rounds;
  totals.removed += engine.removed;
  const auto isolation = evenkeel::sim::run_isolation(seed);
  if (!held(isolation, seed, arguments, totals)) return false;
  totals.packets += isolation.light_packets;
  totals.shed += isolation.shed;
  const auto timers = evenkeel::sim::run_timer_interleaving(seed);
  if (!held(timers, seed, arguments, totals)) return false;
  totals.timers += timers.fired;
  return true;
}

int run(const Arguments& arguments) {
  Totals totals;
  const std::int64_t until_ns = evenkeel::base::monotonic_nanoseconds() + arguments.seconds * 1'000'000'000;
  for (std::uint64_t seed = arguments.first_seed;
       arguments.seconds != 0 ? evenkeel::base::monotonic_nanoseconds() < until_ns
                              : totals.seeds < arguments.seeds;
       ++seed) {
    if (!run_seed(seed, arguments, totals)) return 1;
  }
  fmt::print(
      "{} seeds, {} steps, {} packets, {} shed, {} timers of the timer service, {} moves of buckets, {} "
      "rounds of "
      "the control loop, {} workers removed: every law held\n",
      totals.seeds, totals.steps, totals.packets, totals.shed, totals.timers, totals.moves, totals.rounds,
      totals.removed);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{
      "Drives the engine in virtual time, in an order that a seed decides, and checks its laws after every "
      "step",
      "./dev sim"};
  app.add_option("--seeds", arguments.seeds, "how many seeds")->capture_default_str();
  app.add_option("--seconds", arguments.seconds, "instead: as many as are done in so many seconds");
  app.add_option("--first-seed", arguments.first_seed, "the first of them")->capture_default_str();
  app.add_option(
         "--fault", arguments.fault,
         "break a law on purpose: " +
             [] {
               std::string names;
               for (const auto name : kFaultNames) names += (names.empty() ? "" : ", ") + std::string(name);
               return names;
             }())
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (!choose_fault(arguments.fault)) {
    fmt::print(stderr, "sim: there is no fault '{}'; see --help\n", arguments.fault);
    return 2;
  }
  return run(arguments);
}
