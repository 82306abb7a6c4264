#include "cli/steer_options.h"

#include <fmt/format.h>
#include <net/if.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>

#include "base/parse_text.h"
#include "base/units.h"
#include "cli/option_values.h"
#include "evenkeel/ids.h"
#include "evenkeel/policy.h"
#include "meter/cpu_time.h"

namespace evenkeel::cli {
namespace {

constexpr std::int64_t kIntervalMin_ns = 10 * base::kNanosecondsPerMillisecond;
constexpr std::int64_t kIntervalMax_ns = base::kNanosecondsPerSecond;  // the watchdog looks once a round
constexpr double kMovesPerSecondMax = 1e9;

// As the kernel has it: it becomes part of the names of files.
bool may_name_an_interface(const std::string& name) {
  return !name.empty() && name.size() < IF_NAMESIZE && name != "." && name != ".." &&
         name.find_first_of("/: \t\n\v\f\r") == std::string::npos;
}

// One of a few words, or a usage error that lists them.
template <typename T>
Result<T> choose(const char* option, const std::string& text,
                 std::initializer_list<std::pair<const char*, T>> words) {
  std::string known;
  for (const auto& [word, value] : words) {
    if (text == word) return value;
    known += (known.empty() ? "" : ", ") + std::string(word);
  }
  return usage_error(fmt::format("{} takes one of {}, not '{}'", option, known, text));
}

Result<std::vector<std::uint32_t>> online_cpus() {
  const auto text = meter::read_file("/sys/devices/system/cpu/online");
  if (!text) return runtime_error("cannot read /sys/devices/system/cpu/online");
  return base::parse_cpu_list(text->substr(0, text->find('\n')));
}

Result<void> check_online(const char* option, const std::vector<std::uint32_t>& cpus,
                          const std::vector<std::uint32_t>& online) {
  for (const std::uint32_t cpu : cpus) {
    if (std::find(online.begin(), online.end(), cpu) == online.end()) {
      return usage_error(
          fmt::format("{}: CPU {} is not online; online are {}", option, cpu, fmt::join(online, ",")));
    }
  }
  return {};
}

Result<std::vector<std::uint32_t>> read_cpus(const SteerArguments& arguments) {
  auto online = online_cpus();
  if (!online) return online;
  std::vector<std::uint32_t> cpus = *online;
  if (arguments.cpus) {
    auto wanted = base::parse_cpu_list(*arguments.cpus);
    if (!wanted) return usage_error("--cpus: " + wanted.error().message);
    cpus = *wanted;
  }
  if (auto done = check_online("--cpus", cpus, *online); !done) return done.error();
  if (arguments.exclude_cpus) {
    auto excluded = base::parse_cpu_list(*arguments.exclude_cpus);
    if (!excluded) return usage_error("--exclude-cpus: " + excluded.error().message);
    if (auto done = check_online("--exclude-cpus", *excluded, *online); !done) return done.error();
    std::erase_if(cpus, [&](std::uint32_t cpu) {
      return std::find(excluded->begin(), excluded->end(), cpu) != excluded->end();
    });
  }
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  if (cpus.empty()) return usage_error("--exclude-cpus leaves no CPU to steer to");
  return cpus;
}

Result<void> read_words(const SteerArguments& arguments, SteerOptions& options) {
  using actuator::MoveOrder;
  const auto actuator = choose<SteerActuator>("--actuator", arguments.actuator,
                                              {{"auto", SteerActuator::kAuto},
                                               {"xdp_cpumap", SteerActuator::kXdpCpumap},
                                               {"nic_table", SteerActuator::kNicTable}});
  if (!actuator) return actuator.error();
  const auto mode = choose<SteerXdpMode>("--xdp-mode", arguments.xdp_mode,
                                         {{"auto", SteerXdpMode::kAuto},
                                          {"native", SteerXdpMode::kNative},
                                          {"generic", SteerXdpMode::kGeneric}});
  if (!mode) return mode.error();
  const auto order = choose<MoveOrder>(
      "--order", arguments.order,
      {{"strict", MoveOrder::kStrict}, {"idle-first", MoveOrder::kIdleFirst}, {"fast", MoveOrder::kFast}});
  if (!order) return order.error();
  const auto inner = choose<bool>("--tunnel", arguments.tunnel, {{"outer", false}, {"inner", true}});
  if (!inner) return inner.error();
  options.actuator = *actuator;
  options.xdp_mode = *mode;
  options.order = *order;
  options.inner_tunnel = *inner;
  return {};
}

void read_numbers(const SteerArguments& arguments, SteerOptions& options) {
  options.interval_ns = duration_ns(arguments.interval);
  if (!arguments.duration.empty()) options.duration_ns = duration_ns(arguments.duration);
  options.buckets = arguments.buckets;
  options.queue_packets = arguments.queue_packets;
  options.moves_per_second_max = arguments.moves_per_second_max;
}

// What a card's table cannot do is not silently left undone.
Result<void> check_table_options(const SteerOptions& options) {
  if (options.actuator != SteerActuator::kNicTable) return {};
  if (!options.chooses_cpus && !options.inner_tunnel) return {};
  return usage_error(fmt::format(
      "{} for --actuator xdp_cpumap: nic_table steers to all queues of the card, {}",
      options.chooses_cpus ? "--cpus and --exclude-cpus are" : "--tunnel inner is", "by its own hash"));
}

Result<void> check_interface_name(const std::string& name) {
  if (!base::is_utf8(name))
    return usage_error("the name of that interface is not text (UTF-8): rename it (`ip link set … name …`)");
  if (!may_name_an_interface(name))
    return usage_error(fmt::format("'{}' cannot be the name of a network interface", name));
  return {};
}

}  // namespace

Result<SteerOptions> read_steer_options(const SteerArguments& arguments) {
  if (auto done = check_interface_name(arguments.interface); !done) return done.error();
  if (arguments.dry_run && arguments.restore)
    return usage_error("--restore puts back what a killed process left, --dry-run changes nothing: give one");
  SteerOptions options;
  if (auto done = read_words(arguments, options); !done) return done.error();
  read_numbers(arguments, options);
  auto cpus = read_cpus(arguments);
  if (!cpus) return cpus.error();
  if (auto policy = make_policy(arguments.policy); !policy) return policy.error();
  options.cpus = *cpus;
  options.chooses_cpus = arguments.cpus || arguments.exclude_cpus;
  if (auto done = check_table_options(options); !done) return done.error();
  options.interface = arguments.interface;
  options.policy = arguments.policy;
  options.dry_run = arguments.dry_run;
  options.oneshot = arguments.oneshot;
  options.restore = arguments.restore;
  options.take_over = arguments.take_over;
  options.json = arguments.json;
  return options;
}

void add_steer_options(CLI::App& command, SteerArguments& arguments) {
  command.add_option("interface", arguments.interface, "the network interface, e.g. eth0")
      ->required()
      ->type_name("IF");
  command
      .add_option("--actuator", arguments.actuator,
                  "auto, xdp_cpumap (CPUs) or nic_table (the NIC's receive queues)")
      ->capture_default_str()
      ->type_name("NAME");
  command.add_option("--cpus", arguments.cpus, "CPUs to steer to, e.g. 0-3,6 (default: all that are online)")
      ->type_name("LIST");
  command.add_option("--exclude-cpus", arguments.exclude_cpus, "CPUs to leave alone")->type_name("LIST");
  command.add_option("--interval", arguments.interval, "time between two rounds, 10ms to 1s")
      ->capture_default_str()
      ->check(duration(kIntervalMin_ns, kIntervalMax_ns))
      ->type_name("DURATION");
  command.add_option("--duration", arguments.duration, "end after this long")
      ->check(duration())
      ->type_name("DURATION");
  command.add_option("--policy", arguments.policy, "how buckets are assigned: see `evenkeel plan --help`")
      ->capture_default_str()
      ->type_name("NAME");
  command
      .add_option(
          "--order", arguments.order,
          "a bucket moves: strict, only when none of its packets is in flight; idle-first, the same, but at "
          "once after 250 ms; fast, at once")
      ->capture_default_str()
      ->type_name("NAME");
  command.add_option("--buckets", arguments.buckets, "a power of two")
      ->capture_default_str()
      ->transform(power_of_two(kBucketsMax))
      ->type_name("N");
  command
      .add_option("--queue", arguments.queue_packets,
                  "packets that may wait for a CPU (xdp_cpumap); more are dropped")
      ->capture_default_str()
      ->check(whole_number(1, actuator::kCpuQueueMax))
      ->type_name("N");
  command.add_option("--max-moves-per-second", arguments.moves_per_second_max, "of buckets")
      ->capture_default_str()
      ->check(number_above_0(kMovesPerSecondMax))
      ->type_name("N");
  command.add_option("--tunnel", arguments.tunnel, "which connection of tunnelled packets: outer or inner")
      ->capture_default_str()
      ->type_name("WHICH");
  command.add_option("--xdp-mode", arguments.xdp_mode, "auto, native (in the driver) or generic (behind it)")
      ->capture_default_str()
      ->type_name("NAME");
  command.add_flag("--dry-run", arguments.dry_run, "look at the traffic, print the plan, change nothing");
  command.add_flag("--oneshot", arguments.oneshot,
                   "end when level for a second, or after 10 s with the reason; everything is put back");
  command.add_flag("--restore", arguments.restore,
                   "undo what a steering process that was killed left behind");
  command.add_flag(
      "--take-over", arguments.take_over,
      "steer although an XDP program, RPS or irqbalance is at work; the program is put back at the end");
  command.add_flag("--json", arguments.json, "one JSON object a line: each round, and the report");
}

}  // namespace evenkeel::cli
