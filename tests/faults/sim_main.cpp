// The program behind `./dev sim`: the engine in virtual time under many seeds. Prints the first seed that
// breaks a law, with the command that replays it. Built with EVENKEEL_FAULTS, so that --fault can break a law
// on purpose.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/fault.h"
#include "sim/interleaving.h"
#include "sim/timer_interleaving.h"

namespace {

using evenkeel::base::Fault;
using evenkeel::base::kFaultNames;

struct Arguments {
  std::uint64_t seeds = 1000;
  std::uint64_t first_seed = 1;
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
  std::uint64_t steps = 0, packets = 0, timers = 0, moves = 0;
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

// Each seed once for the engine, and once for the timer service.
int run(const Arguments& arguments) {
  Totals totals;
  for (std::uint64_t seed = arguments.first_seed; seed < arguments.first_seed + arguments.seeds; ++seed) {
    const auto engine = evenkeel::sim::run_interleaving(seed);
    if (!held(engine, seed, arguments, totals)) return 1;
    totals.packets += engine.packets;
    const auto timers = evenkeel::sim::run_timer_interleaving(seed);
    if (!held(timers, seed, arguments, totals)) return 1;
    totals.timers += timers.fired;
  }
  fmt::print(
      "{} seeds, {} steps, {} packets, {} timers of the timer service, {} moves of buckets: every law held\n",
      arguments.seeds, totals.steps, totals.packets, totals.timers, totals.moves);
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
