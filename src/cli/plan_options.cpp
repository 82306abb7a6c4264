#include "cli/plan_options.h"

#include <CLI/CLI.hpp>
#include <limits>

#include "cli/option_values.h"

namespace evenkeel::cli {

namespace {

constexpr double kUtilizationMin = 1e-6;
constexpr double kUtilizationMax = 1e3;

}  // namespace

void add_plan_options(CLI::App& command, PlanArguments& arguments) {
  command.add_option("--loads", arguments.loads,
                     "Bucket loads: CSV, one a line, or the JSON of `run --report`; - is standard input");
  command.add_option("--rounds", arguments.rounds,
                     "Follow loads that drift: CSV, one row of bucket loads a round");
  command.add_option("--processors", arguments.processors, "How many, each of capacity 1")
      ->transform(whole_number(1, kProcessorsMax));
  command.add_option("--capacity", arguments.capacity, "Relative capacity of each, as 1,1,0.5,0.5")
      ->delimiter(',')
      ->check(number(kCapacityMin, kCapacityMax));
  command.add_option("--assignment", arguments.assignment,
                     "The processor of each bucket, one a line (default: bucket j on j % N)");
  command
      .add_option("--utilization", arguments.utilization,
                  "Scale the loads to this mean usage (default: 0.6 for CSV, 0.85 for --rounds, as "
                  "measured for JSON)")
      ->check(number(kUtilizationMin, kUtilizationMax));
  command
      .add_option("--policy", arguments.policies,
                  "One or more of index (default), static, proportional, rsspp, lpt")
      ->delimiter(',');
  command
      .add_option("--hysteresis", arguments.hysteresis,
                  "Leave alone what is above its target by no more than this, as 0.02")
      ->check(number(0, 1));
  command.add_option("--moves-max", arguments.moves_max, "At most so many moves in a plan: its best")
      ->transform(whole_number(0, std::numeric_limits<std::uint32_t>::max()));
  command
      .add_option("--move-cost", arguments.move_cost,
                  "Load that a move must level to be worth it, in processors")
      ->check(number(0, kCapacityMax));
  command.add_option("--pin-bucket", arguments.pinned, "Buckets that may not move, as 3,17")
      ->delimiter(',')
      ->transform(whole_number(0, kBucketsMax - 1));
  command.add_option("--exclude-processor", arguments.excluded, "Processors to empty, as 2,5")
      ->delimiter(',')
      ->transform(whole_number(0, kProcessorsMax - 1));
  command.add_flag("--quality", arguments.quality,
                   "As level as the buckets allow, whatever the number of moves");
  command.add_flag("--json", arguments.json, "Print JSON: one object, with several policies a list");
}

}  // namespace evenkeel::cli
