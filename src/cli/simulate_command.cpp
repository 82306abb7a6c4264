// `evenkeel simulate`: what would happen on N processors? No root, no hardware.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <bit>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/output_file.h"
#include "base/parse_text.h"
#include "cli/commands.h"
#include "evenkeel/policy.h"
#include "sim/simulate/report.h"
#include "sim/simulate/simulation.h"

namespace evenkeel::cli {
namespace {

// As written on the command line.
struct SimulateArguments {
  std::vector<std::string> inputs;
  std::string workload;
  std::vector<std::uint32_t> processors{8};
  std::vector<double> capacity;
  std::vector<std::uint32_t> buckets;
  std::vector<std::string> policies{"static", "rsspp", "index"};
  double load = -1;
  std::string rate;
  std::uint32_t connections = 0;
  std::string service = "fixed:10000";
  std::string interval = "20ms";
  double move_cost_ns = 1000;
  std::string duration;
  std::string packets = "20M";
  std::string target_p99;
  std::string queueing = "fair";
  std::string quantum = "50us";
  std::uint64_t seed = 1;
  std::uint32_t jobs = 1;
  std::string html_path;
  bool json = false, plan_times = false, no_yardsticks = false;
};

constexpr double kLoadDefault = 0.7;

Result<std::int64_t> read_time(const char* option, const std::string& text) {
  const auto parsed = base::parse_duration(text);
  if (!parsed) return usage_error(fmt::format("{}: {}", option, parsed.error().message));
  if (*parsed == 0) return usage_error(fmt::format("{} must be longer than 0", option));
  return *parsed;
}

// "10M", "2.5G", "400000".
Result<double> read_quantity(const char* option, const std::string& text) {
  char* end = nullptr;
  double value = std::strtod(text.c_str(), &end);
  const std::string_view suffix(end);
  if (suffix == "k") value *= 1e3;
  if (suffix == "M") value *= 1e6;
  if (suffix == "G") value *= 1e9;
  const bool good =
      end != text.c_str() && (suffix.empty() || suffix == "k" || suffix == "M" || suffix == "G");
  if (!good || !(value >= 1) || value > 1e15)
    return usage_error(fmt::format("{} takes a number from 1, as 5000000, 5M or 2G, not '{}'", option, text));
  return value;
}

Result<void> check_machines(const SimulateArguments& arguments) {
  for (const std::uint32_t processors : arguments.processors) {
    if (processors < 1 || processors > kProcessorsMax)
      return usage_error(fmt::format("--processors takes 1 to {}, not {}", kProcessorsMax, processors));
  }
  for (const std::uint32_t buckets : arguments.buckets) {
    if (!std::has_single_bit(buckets) || buckets > kBucketsMax)
      return usage_error(
          fmt::format("--buckets takes powers of two from 1 to {}, not {}", kBucketsMax, buckets));
  }
  for (const double capacity : arguments.capacity) {
    if (!(capacity > 0) || capacity > 1e6)
      return usage_error(fmt::format("--capacity takes numbers above 0, as in 1,1,0.5, not {}", capacity));
  }
  for (const std::string& policy : arguments.policies) {
    if (auto made = make_policy(policy); !made) return made.error();
  }
  if (arguments.jobs < 1 || arguments.jobs > 1024)
    return usage_error(fmt::format("--jobs takes 1 to 1024, not {}", arguments.jobs));
  if (!(arguments.move_cost_ns >= 0) || arguments.move_cost_ns > 1e9)
    return usage_error(fmt::format("--move-cost takes 0 to 1e9 nanoseconds, not {}", arguments.move_cost_ns));
  return {};
}

// Captures come as they were recorded unless a load or a rate is given.
Result<void> read_traffic(const SimulateArguments& arguments, sim::Traffic& traffic) {
  traffic.seed = arguments.seed;
  if (!arguments.inputs.empty() && !arguments.workload.empty())
    return usage_error("--input and --workload exclude each other: both say what comes");
  if (arguments.load >= 0 && !arguments.rate.empty())
    return usage_error("--load and --rate exclude each other: both say how much comes");
  if (arguments.load == 0 || arguments.load > 100)
    return usage_error(fmt::format("--load takes a number above 0, up to 100, not {}", arguments.load));
  if (!arguments.rate.empty()) {
    auto rate = read_quantity("--rate", arguments.rate);
    if (!rate) return rate.error();
    traffic.packets_per_second = *rate;
  }
  if (arguments.load > 0) traffic.load = arguments.load;
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
  if (arguments.connections > sim::kWorkloadConnectionsMax)
    return usage_error(fmt::format("--connections takes 1 to {}, not {}", sim::kWorkloadConnectionsMax,
                                   arguments.connections));
  traffic.connections = arguments.connections;
  if (!traffic.load && !traffic.packets_per_second) traffic.load = kLoadDefault;
  return {};
}

Result<void> read_machine(const SimulateArguments& arguments, sim::MachineOptions& machine) {
  auto interval = read_time("--interval", arguments.interval);
  if (!interval) return interval.error();
  machine.interval_ns = *interval;
  machine.move_cost_ns = static_cast<std::int64_t>(arguments.move_cost_ns);
  auto quantum = read_time("--quantum", arguments.quantum);
  if (!quantum) return quantum.error();
  machine.queueing.quantum_ns = *quantum;
  if (arguments.queueing != "fair" && arguments.queueing != "fifo")
    return usage_error(fmt::format("--queueing takes fair or fifo, not '{}'", arguments.queueing));
  machine.queueing.discipline =
      arguments.queueing == "fair" ? engine::Discipline::kFair : engine::Discipline::kFifo;
  return {};
}

Result<sim::SimulationOptions> to_options(const SimulateArguments& arguments) {
  sim::SimulationOptions options;
  if (auto done = check_machines(arguments); !done) return done.error();
  if (auto done = read_machine(arguments, options.machine); !done) return done.error();
  if (auto service = sim::ServiceCost::parse(arguments.service, arguments.seed); !service)
    return service.error();
  options.service = arguments.service;
  if (!arguments.duration.empty()) {
    auto duration = read_time("--duration", arguments.duration);
    if (!duration) return duration.error();
    options.duration_ns = *duration;
  }
  auto packets = read_quantity("--packets", arguments.packets);
  if (!packets) return packets.error();
  options.packets_max = static_cast<std::uint64_t>(*packets);
  if (!arguments.target_p99.empty()) {
    auto target = read_time("--target-p99", arguments.target_p99);
    if (!target) return target.error();
    options.target_p99_ns = *target;
  }
  options.processors = arguments.processors;
  options.capacity = arguments.capacity;
  options.buckets = arguments.buckets;
  options.policies = arguments.policies;
  options.yardsticks = !arguments.no_yardsticks;
  options.jobs = arguments.jobs;
  if (auto done = read_traffic(arguments, options.traffic); !done) return done.error();
  return options;
}

// What is done, for who watches; on a terminal only.
void tell(const sim::Outcome& outcome) {
  std::fprintf(stderr, "%s",
               fmt::format("{} processors, {}: {} packets simulated in {:.1f} s\n", outcome.processors,
                           outcome.policy, outcome.packets, outcome.simulate_seconds)
                   .c_str());
}

Result<void> simulate(const SimulateArguments& arguments) {
  if (!arguments.html_path.empty()) {
    if (auto done = base::check_writable(arguments.html_path); !done) return done;
  }
  auto options = to_options(arguments);
  if (!options) return options.error();
  auto simulation = sim::run_simulation(*options, isatty(STDERR_FILENO) != 0 ? tell : sim::Progress{});
  if (!simulation) return simulation.error();
  const sim::ReportOptions report{.plan_times = arguments.plan_times};
  if (!arguments.html_path.empty()) {
    if (auto done = base::write_file(arguments.html_path, sim::simulation_page(*simulation, report)); !done)
      return done;
    if (arguments.html_path == "-") return {};
  }
  return base::write_file("-", arguments.json ? sim::simulation_json(*simulation, report)
                                              : sim::simulation_table(*simulation, report));
}

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
      ->type_name("F");
  command
      .add_option("--rate", arguments.rate,
                  "How much comes, instead: packets a second for every machine, as 2M")
      ->type_name("N");
  command
      .add_option("--connections", arguments.connections,
                  "Live connections of a workload (default: by processors)")
      ->type_name("N");
  command
      .add_option("--service", arguments.service, fmt::format("What a packet costs: {}", sim::kServiceHelp))
      ->capture_default_str()
      ->type_name("COST");
  command
      .add_option("--duration", arguments.duration,
                  "Virtual time of a run (default: 2s; a capture to its end)")
      ->type_name("DURATION");
  command.add_option("--packets", arguments.packets, "A run ends after so many at the latest")
      ->capture_default_str()
      ->type_name("N");
  command.add_option("--seed", arguments.seed, "Another seed, other packets")
      ->capture_default_str()
      ->type_name("N");
}

void add_machine_options(CLI::App& command, SimulateArguments& arguments) {
  command.add_option("--processors", arguments.processors, "Machines to simulate, as 8,16,64")
      ->delimiter(',')
      ->capture_default_str()
      ->type_name("N,...");
  command
      .add_option("--capacity", arguments.capacity,
                  "Relative capacity of processors, repeated for further ones: 1,0.5")
      ->delimiter(',')
      ->type_name("LIST");
  command
      .add_option("--buckets", arguments.buckets, "Powers of two (default: 64 a processor, at least 1024)")
      ->delimiter(',')
      ->type_name("N,...");
  command.add_option("--policy", arguments.policies, "Of index, static, proportional, rsspp, lpt")
      ->delimiter(',')
      ->capture_default_str()
      ->type_name("NAME,...");
  command.add_option("--interval", arguments.interval, "Time between two rebalances")
      ->capture_default_str()
      ->type_name("DURATION");
  command
      .add_option("--move-cost", arguments.move_cost_ns,
                  "What a moved bucket's first packet costs more, in ns")
      ->capture_default_str()
      ->type_name("NS");
  command.add_option("--queueing", arguments.queueing, "Order of packets that wait: fair or fifo")
      ->capture_default_str()
      ->type_name("NAME");
  command.add_option("--quantum", arguments.quantum, "Processor time that a connection may use at a time")
      ->capture_default_str()
      ->type_name("DURATION");
  command
      .add_option(
          "--target-p99", arguments.target_p99,
          "Find the fewest processors that keep 99 % of packets below this, for the traffic of the first "
          "--processors")
      ->type_name("DURATION");
}

}  // namespace

void add_simulate(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<SimulateArguments>();
  CLI::App* command =
      app.add_subcommand("simulate", "Say what would happen on 1 to 1,024 processors, in virtual time");
  add_traffic_options(*command, *arguments);
  add_machine_options(*command, *arguments);
  command->add_flag("--no-yardsticks", arguments->no_yardsticks,
                    "Leave out packet spraying and the shared queue");
  command->add_option("--jobs", arguments->jobs, "Machines to simulate at a time")
      ->capture_default_str()
      ->type_name("N");
  command->add_flag("--json", arguments->json, "Print JSON");
  command->add_option("--html", arguments->html_path, "Write one page with plots to FILE")->type_name("FILE");
  command->add_flag("--plan-times", arguments->plan_times,
                    "Report how long planning took on this computer: differs from run to run");
  command->callback([arguments, &exit_code] {
    if (auto result = simulate(*arguments); !result) exit_code = report_error(result.error());
  });
}

}  // namespace evenkeel::cli
