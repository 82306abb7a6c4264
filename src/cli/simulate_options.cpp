#include "cli/simulate_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <limits>
#include <thread>

#include "base/units.h"
#include "cli/option_values.h"
#include "evenkeel/policy.h"

namespace evenkeel::cli {

namespace {

constexpr double kLoadDefault = 0.7;
constexpr double kLoadMin = 1e-6, kLoadMax = 100;
constexpr double kSimulatedCapacityMin = 0.01, kSimulatedCapacityMax = 100;
constexpr double kMoveCostMax_ns = 1e7;
constexpr std::uint32_t kJobsMax = 1024;
constexpr std::uint64_t kRateMax = 1'000'000'000'000, kPacketsMax = 1'000'000'000'000;
// More often than this, planning alone would take all the time there is.
constexpr std::int64_t kSimulatedIntervalMin_ns = 10 * base::kNanosecondsPerMicrosecond;

// The list without what stands in it twice.
template <typename T>
std::vector<T> once_each(const std::vector<T>& list) {
  std::vector<T> unique;
  for (const T& value : list)
    if (std::find(unique.begin(), unique.end(), value) == unique.end()) unique.push_back(value);
  return unique;
}

Result<void> check_policies(const SimulateArguments& arguments) {
  for (const std::string& policy : arguments.policies) {
    if (auto made = make_policy(policy); !made) return made.error();
  }
  return {};
}

// Captures come as they were recorded unless a load or a rate is given.
Result<void> read_traffic(const SimulateArguments& arguments, sim::Traffic& traffic) {
  traffic.seed = arguments.seed;
  if (!arguments.inputs.empty() && !arguments.workload.empty())
    return usage_error("--input and --workload exclude each other: both say what comes");
  if (arguments.load && arguments.rate)
    return usage_error("--load and --rate exclude each other: both say how much comes");
  if (arguments.rate) traffic.packets_per_second = static_cast<double>(*arguments.rate);
  traffic.load = arguments.load;
  if (!arguments.inputs.empty()) {
    if (arguments.connections != 0)
      return usage_error("--connections goes with --workload, not with --input");
    traffic.inputs = arguments.inputs;
    for (const std::string& input : traffic.inputs) {
      if (input == "-" || input == "pcap:-")
        return usage_error(
            "--input - cannot be simulated: the input is read once for each machine; give a file");
    }
    auto capture = sim::summarize_capture(traffic.inputs, traffic.seed);
    if (!capture) return capture.error();
    traffic.capture = *capture;
    return {};
  }
  const std::string name = arguments.workload.empty() ? "campus" : arguments.workload;
  traffic.workload = sim::find_workload(name);
  if (traffic.workload == nullptr)
    return usage_error(fmt::format("there is no workload '{}'; there are {}", name, sim::workload_names()));
  traffic.connections = arguments.connections;
  if (!traffic.load && !traffic.packets_per_second) traffic.load = kLoadDefault;
  return {};
}

sim::MachineOptions to_machine(const SimulateArguments& arguments) {
  sim::MachineOptions machine;
  machine.interval_ns = duration_ns(arguments.interval);
  machine.move_cost_ns = static_cast<std::int64_t>(arguments.move_cost_ns);
  machine.queueing.quantum_ns = duration_ns(arguments.quantum);
  machine.queueing.discipline =
      arguments.queueing == "fair" ? engine::Discipline::kFair : engine::Discipline::kFifo;
  return machine;
}

}  // namespace

Result<sim::SimulationOptions> read_simulate_options(const SimulateArguments& arguments) {
  sim::SimulationOptions options;
  if (auto done = check_policies(arguments); !done) return done.error();
  options.machine = to_machine(arguments);
  if (auto service = sim::ServiceCost::parse(arguments.service, arguments.seed); !service)
    return service.error();
  options.service = arguments.service;
  if (!arguments.duration.empty()) options.duration_ns = duration_ns(arguments.duration);
  options.packets_max = arguments.packets;
  if (!arguments.target_p99.empty()) options.target_p99_ns = duration_ns(arguments.target_p99);
  options.processors = once_each(arguments.processors);
  options.capacity = arguments.capacity;
  options.buckets = once_each(arguments.buckets);
  options.policies = once_each(arguments.policies);
  options.yardsticks = !arguments.no_yardsticks;
  options.jobs = arguments.jobs.value_or(std::max(std::thread::hardware_concurrency(), 1u));
  if (auto done = read_traffic(arguments, options.traffic); !done) return done.error();
  return options;
}

namespace {

void add_traffic_options(CLI::App& command, SimulateArguments& arguments) {
  command
      .add_option("--input", arguments.inputs, "What comes: FILE, or generator:PROFILE, as of `evenkeel run`")
      ->type_name("SPEC");
  command.add_option("--workload", arguments.workload, "What comes, instead: " + sim::workload_names())
      ->default_str("campus")
      ->type_name("NAME");
  command
      .add_option(
          "--load", arguments.load,
          "How much comes: mean work over what the processors can do (default: 0.7; a capture as recorded)")
      ->transform(number(kLoadMin, kLoadMax))
      ->type_name("F");
  command
      .add_option("--rate", arguments.rate,
                  "How much comes, instead: packets a second for every machine, as 2M")
      ->transform(count(1, kRateMax))
      ->type_name("N");
  command
      .add_option("--connections", arguments.connections,
                  "Connections of a workload at a time, as 10M (default: by processors)")
      ->transform(count(1, sim::kWorkloadConnectionsMax))
      ->type_name("N");
  command
      .add_option("--service", arguments.service, fmt::format("What a packet costs: {}", sim::kServiceHelp))
      ->capture_default_str()
      ->type_name("COST");
  command
      .add_option("--duration", arguments.duration,
                  "Virtual time of a run (default: 2s; a capture to its end)")
      ->transform(duration())
      ->type_name("DURATION");
  command.add_option("--packets", arguments.packets, "A run ends after so many at the latest")
      ->default_str("20M")
      ->transform(count(1, kPacketsMax))
      ->type_name("N");
  command.add_option("--seed", arguments.seed, "Another seed, other packets")
      ->capture_default_str()
      ->transform(whole_number(0, std::numeric_limits<std::uint64_t>::max()))
      ->type_name("N");
}

void add_machine_options(CLI::App& command, SimulateArguments& arguments) {
  command.add_option("--processors", arguments.processors, "Machines to simulate, as 8,16,64")
      ->delimiter(',')
      ->capture_default_str()
      ->transform(whole_number(1, kProcessorsMax))
      ->type_name("N,...");
  command
      .add_option("--capacity", arguments.capacity,
                  "Relative capacity of processors, repeated for further ones: 1,0.5")
      ->delimiter(',')
      ->transform(number(kSimulatedCapacityMin, kSimulatedCapacityMax))
      ->type_name("LIST");
  command
      .add_option("--buckets", arguments.buckets, "Powers of two (default: 64 a processor, at least 1024)")
      ->delimiter(',')
      ->transform(power_of_two(kBucketsMax))
      ->type_name("N,...");
  command.add_option("--policy", arguments.policies, "Of index, static, proportional, rsspp, lpt")
      ->delimiter(',')
      ->capture_default_str()
      ->type_name("NAME,...");
  command.add_option("--interval", arguments.interval, "Time between two rebalances")
      ->capture_default_str()
      ->transform(duration(kSimulatedIntervalMin_ns))
      ->type_name("DURATION");
  command
      .add_option("--move-cost", arguments.move_cost_ns,
                  "What a moved bucket's first packet costs more, in ns")
      ->capture_default_str()
      ->transform(number(0, kMoveCostMax_ns))
      ->type_name("NS");
  command.add_option("--queueing", arguments.queueing, "Order of packets that wait: fair or fifo")
      ->capture_default_str()
      ->check(CLI::IsMember({"fair", "fifo"}))
      ->type_name("NAME");
  command.add_option("--quantum", arguments.quantum, "Processor time that a connection may use at a time")
      ->capture_default_str()
      ->transform(duration())
      ->type_name("DURATION");
  command
      .add_option(
          "--target-p99", arguments.target_p99,
          "Find the fewest processors that keep 99 % of packets below this, for the traffic of the first "
          "--processors")
      ->transform(duration())
      ->type_name("DURATION");
}

}  // namespace

void add_simulate_options(CLI::App& command, SimulateArguments& arguments) {
  add_traffic_options(command, arguments);
  add_machine_options(command, arguments);
  command.add_flag("--no-yardsticks", arguments.no_yardsticks,
                   "Leave out packet spraying and the shared queue");
  command
      .add_option("--jobs", arguments.jobs,
                  "Machines to simulate at a time (default: as many as this computer has processors)")
      ->transform(whole_number(1, kJobsMax))
      ->type_name("N");
  command.add_flag("--json", arguments.json, "Print JSON");
  command.add_option("--html", arguments.html_path, "Write one page with plots to FILE")->type_name("FILE");
  command.add_flag("--plan-times", arguments.plan_times,
                   "Report how long planning took on this computer: differs from run to run");
}

}  // namespace evenkeel::cli
