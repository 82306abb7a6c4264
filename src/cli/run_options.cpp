#include "cli/run_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <limits>
#include <sstream>

#include "base/parse_text.h"
#include "base/units.h"
#include "cli/option_values.h"
#include "evenkeel/ids.h"
#include "runtime/queue_limits.h"
#include "runtime/queueing_rules.h"
#include "source/make_source.h"

namespace evenkeel::cli {

namespace {

// The default input: built-in traffic, as much as takes a few seconds.
constexpr const char* kEndlessInput = "generator:backup";
constexpr const char* kDefaultInput = "generator:backup,packets=20000000";

constexpr std::uint32_t kQueueLimitMax = 1'000'000;
constexpr std::uint64_t kElephantBytesMax = 1'000'000'000'000'000;

void add_queue_limits(CLI::App& command, RunArguments& arguments) {
  const engine::QueueLimits defaults;
  const auto add = [&](const char* name, std::optional<std::uint32_t>& value, const char* help,
                       std::uint32_t packets) {
    command.add_option(name, value, help)
        ->default_str(fmt::format("{}", packets))
        ->transform(whole_number(1, kQueueLimitMax))
        ->type_name("N");
  };
  add("--queue-limit-worker", arguments.queue_limit_worker, "packets that may wait at a worker",
      defaults.worker_packets);
  add("--queue-limit-bucket", arguments.queue_limit_bucket,
      "packets of a bucket that may wait (default: half of the worker's)", defaults.bucket_packets);
  add("--queue-limit-connection", arguments.queue_limit_connection,
      "packets of a connection that may wait (default: a quarter of the worker's)",
      defaults.connection_packets);
}

// From what on a connection is named in the report.
void add_elephants(CLI::App& command, RunArguments& arguments) {
  command
      .add_option("--elephant-bytes", arguments.elephant_bytes,
                  "a connection with so many bytes within the window is named in the report, e.g. 200M")
      ->default_str("1G")
      ->transform(count(1, kElephantBytesMax))
      ->type_name("N");
  command
      .add_option("--elephant-window", arguments.elephant_window, "packet time for these bytes, and shares")
      ->capture_default_str()
      ->check(duration(base::kNanosecondsPerMillisecond))
      ->type_name("DURATION");
  command
      .add_option("--elephant-share", arguments.elephant_share,
                  "a connection with more of its worker's time is named, too: a fraction")
      ->capture_default_str()
      ->check(number(0, 1))
      ->type_name("X");
}

}  // namespace

void add_run_options(CLI::App& command, RunArguments& arguments) {
  command
      .add_option("-i,--input", arguments.inputs,
                  fmt::format("where packets come from: {}; several are merged by time", source::kSpecHelp))
      ->default_str(kDefaultInput)
      ->type_name("SPEC");
  command
      .add_option("--filter", arguments.filter,
                  "take only packets that match, as in 'tcp port 443' (pcap-filter(7))")
      ->type_name("EXPRESSION");
  command.add_option("--snaplen", arguments.snap_length, "bytes kept of each live packet; 0: all")
      ->capture_default_str()
      ->transform(whole_number(0, std::numeric_limits<std::uint32_t>::max()))
      ->type_name("BYTES");
  command
      .add_option("--xdp-mode", arguments.xdp_mode,
                  "tap: the kernel gets every packet too; consume: af_xdp may take them from it")
      ->capture_default_str()
      ->type_name("NAME");
  command.add_option("-w,--workers", arguments.workers, "worker threads")
      ->capture_default_str()
      ->transform(whole_number(1, kProcessorsMax))
      ->type_name("N");
  command.add_option("--buckets", arguments.buckets, "buckets, a power of two from 1 to 65536")
      ->capture_default_str()
      ->transform(power_of_two(kBucketsMax))
      ->type_name("N");
  command.add_option("--hash", arguments.hash, "hash function: toeplitz or crc32c")
      ->capture_default_str()
      ->type_name("NAME");
  command
      .add_option("--hash-key", arguments.hash_key,
                  "key of toeplitz: symmetric, standard, or 80 or 104 hexadecimal digits")
      ->default_str("symmetric")
      ->type_name("KEY");
  command.add_option("--policy", arguments.policy, "how buckets are assigned: see `evenkeel plan --help`")
      ->capture_default_str()
      ->type_name("NAME");
  command.add_option("--interval", arguments.interval, "time between two rebalances")
      ->capture_default_str()
      ->check(duration())
      ->type_name("DURATION");
  command
      .add_option("--queueing", arguments.queueing,
                  "order of packets that wait: fair, fifo, or weighted by --queueing-rules")
      ->capture_default_str()
      ->type_name("NAME");
  command
      .add_option("--quantum", arguments.quantum,
                  "processor time that a connection may use at a time while others wait")
      ->capture_default_str()
      ->check(duration())
      ->type_name("DURATION");
  command
      .add_option("--queueing-rules", arguments.queueing_rules, "weights of connections, as TOML: see docs")
      ->type_name("FILE");
  add_queue_limits(command, arguments);
  add_elephants(command, arguments);
  command
      .add_option("--pin", arguments.pin,
                  "CPUs for the workers, e.g. 0,2-3; off; auto: where every thread can have its own")
      ->capture_default_str()
      ->type_name("CPUS");
  command
      .add_option("--capacity", arguments.capacity,
                  "relative capacity of each worker, e.g. 1,1,0.5; auto: as their CPUs are, where pinned")
      ->capture_default_str()
      ->type_name("LIST");
  command.add_option("--tunnel", arguments.tunnel, "which connection of tunnelled packets: outer or inner")
      ->capture_default_str()
      ->type_name("WHICH");
  command
      .add_option("--idle-timeout", arguments.idle_timeout,
                  "a connection ends after this long without a packet")
      ->capture_default_str()
      ->check(duration())
      ->type_name("DURATION");
  command
      .add_option("--half-open-timeout", arguments.half_open_timeout,
                  "the same while TCP's handshake is not complete")
      ->capture_default_str()
      ->check(duration())
      ->type_name("DURATION");
  command
      .add_option("--active-timeout", arguments.active_timeout,
                  "a longer connection gets a record each such time")
      ->capture_default_str()
      ->check(duration())
      ->type_name("DURATION");
  command
      .add_option("--connections-max", arguments.connections_max,
                  "connections kept at once; beyond, the longest idle of a few is evicted")
      ->capture_default_str()
      ->transform(whole_number(1, kConnectionsMax))
      ->type_name("N");
  command.add_option("--speed", arguments.speed, "replay at X times the recorded speed, or max")
      ->capture_default_str()
      ->type_name("X|max");
  command.add_option("--duration", arguments.duration, "end after this much packet time; live: real time")
      ->check(duration())
      ->type_name("DURATION");
  command.add_option("--flows", arguments.flows, "write flow records to FILE, or - for standard output")
      ->check(path_or_stream("output"))
      ->type_name("FILE");
  command.add_option("--format", arguments.format, "of flow records: jsonl or csv")
      ->capture_default_str()
      ->type_name("NAME");
  command.add_option("--report", arguments.report_path, "write the report as JSON to FILE")
      ->check(path_or_stream("output"))
      ->type_name("FILE");
  command
      .add_option("--html", arguments.html_path,
                  "write the report as one page with pictures to FILE; FILE.svg: the picture alone")
      ->check(path_or_stream("output"))
      ->type_name("FILE");
  command.add_flag("--json", arguments.json, "print the report as JSON instead of a table");
  command.add_option("--seed", arguments.seed, "of generated traffic")
      ->capture_default_str()
      ->transform(whole_number(0, std::numeric_limits<std::uint64_t>::max()))
      ->type_name("N");
}

namespace {

void read_durations(const RunArguments& arguments, runtime::MeterRunOptions& options) {
  options.interval_ns = duration_ns(arguments.interval);
  options.queueing.quantum_ns = duration_ns(arguments.quantum);
  options.idle_timeout_ns = duration_ns(arguments.idle_timeout);
  options.half_open_timeout_ns = duration_ns(arguments.half_open_timeout);
  options.active_timeout_ns = duration_ns(arguments.active_timeout);
  if (!arguments.duration.empty()) options.duration_ns = duration_ns(arguments.duration);
  options.elephants = {.window_bytes = arguments.elephant_bytes,
                       .window_ns = duration_ns(arguments.elephant_window),
                       .worker_share = arguments.elephant_share};
}

Result<void> read_speed(const std::string& text, std::optional<double>& speed) {
  if (text == "max") return {};
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || *end != '\0' || !(value > 0) || value > 1e9)
    return usage_error(fmt::format("--speed takes a number above 0, or max, not '{}'", text));
  speed = value;
  return {};
}

Result<void> read_pin(const std::string& text, std::optional<std::vector<std::uint32_t>>& pin) {
  if (text == "auto") return {};
  pin.emplace();
  if (text == "off") return {};
  auto cpus = base::parse_cpu_list(text);
  if (!cpus) return usage_error(fmt::format("--pin: {}, or off, or auto", cpus.error().message));
  pin = *cpus;
  std::sort(cpus->begin(), cpus->end());
  if (const auto twice = std::adjacent_find(cpus->begin(), cpus->end()); twice != cpus->end())
    return usage_error(fmt::format("--pin: CPU {} is named twice in '{}': name each once", *twice, text));
  return {};
}

Result<void> read_queue_limits(const RunArguments& arguments, engine::QueueLimits& limits) {
  const auto read = runtime::queue_limits(
      {arguments.queue_limit_worker, arguments.queue_limit_bucket, arguments.queue_limit_connection},
      {"--queue-limit-worker", "--queue-limit-bucket", "--queue-limit-connection"});
  if (!read) return read.error();
  limits = *read;
  return {};
}

Result<void> read_queueing(const RunArguments& arguments, engine::QueueingOptions& queueing) {
  const auto* name =
      std::find(std::begin(engine::kDisciplineNames), std::end(engine::kDisciplineNames), arguments.queueing);
  if (name == std::end(engine::kDisciplineNames))
    return usage_error(fmt::format("--queueing takes fair, fifo or weighted, not '{}'", arguments.queueing));
  queueing.discipline = static_cast<engine::Discipline>(name - std::begin(engine::kDisciplineNames));
  if (auto done = read_queue_limits(arguments, queueing.limits); !done) return done;
  const bool weighted = queueing.discipline == engine::Discipline::kWeighted;
  if (weighted != !arguments.queueing_rules.empty())
    return usage_error("--queueing weighted and --queueing-rules FILE go together");
  if (!weighted) return {};
  auto weights = runtime::read_queueing_rules(arguments.queueing_rules);
  if (!weights) return weights.error();
  queueing.weights = std::move(*weights);
  return {};
}

Result<void> read_capacity(const RunArguments& arguments, std::vector<double>& capacity) {
  if (arguments.capacity == "auto") return {};
  std::istringstream list(arguments.capacity);
  for (std::string item; std::getline(list, item, ',');) {
    char* end = nullptr;
    const double value = std::strtod(item.c_str(), &end);
    if (end == item.c_str() || *end != '\0' || !(value >= kCapacityMin && value <= kCapacityMax))
      return usage_error(
          fmt::format("--capacity takes numbers from {} to {}, as in 1,1,0.5, or auto, not '{}'",
                      kCapacityMin, kCapacityMax, arguments.capacity));
    capacity.push_back(value);
  }
  if (capacity.size() != arguments.workers)
    return usage_error(fmt::format("--capacity takes a number for each of {} workers, not {}",
                                   arguments.workers, capacity.size()));
  return {};
}

}  // namespace

Result<runtime::MeterRunOptions> read_run_options(const RunArguments& arguments) {
  runtime::MeterRunOptions options;
  read_durations(arguments, options);
  if (auto done = read_queueing(arguments, options.queueing); !done) return done.error();
  if (auto done = read_speed(arguments.speed, options.speed); !done) return done.error();
  if (auto done = read_pin(arguments.pin, options.pin); !done) return done.error();
  if (auto done = read_capacity(arguments, options.capacity); !done) return done.error();
  if (arguments.tunnel != "outer" && arguments.tunnel != "inner")
    return usage_error(fmt::format("--tunnel takes outer or inner, not '{}'", arguments.tunnel));
  if (arguments.xdp_mode != "tap" && arguments.xdp_mode != "consume")
    return usage_error(fmt::format("--xdp-mode takes tap or consume, not '{}'", arguments.xdp_mode));
  options.xdp_use = arguments.xdp_mode == "tap" ? source::XdpUse::kTap : source::XdpUse::kConsume;
  options.filter = arguments.filter;
  options.snap_length = arguments.snap_length;
  const auto format = flow::parse_record_format(arguments.format);
  if (!format) return format.error();
  if (arguments.json && arguments.flows == "-" && *format == flow::RecordFormat::kCsv)
    return usage_error(
        "--json would put the report behind the CSV records on standard output; --report FILE keeps them "
        "apart");
  options.inputs = arguments.inputs;
  // With a duration, the built-in traffic goes on until then.
  if (options.inputs.empty()) options.inputs.push_back(options.duration_ns ? kEndlessInput : kDefaultInput);
  options.workers = arguments.workers;
  options.buckets = arguments.buckets;
  options.hash = arguments.hash;
  options.hash_key = arguments.hash_key;
  options.policy = arguments.policy;
  options.inner_tunnel = arguments.tunnel == "inner";
  options.connections_max = arguments.connections_max;
  options.flows = arguments.flows;
  options.format = *format;
  options.seed = arguments.seed;
  return options;
}

}  // namespace evenkeel::cli
