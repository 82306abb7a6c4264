// The options of `evenkeel run`: from the command line to what a run is told. Nothing runs here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "evenkeel/result.h"
#include "runtime/meter_run.h"

namespace CLI {
class App;
}

namespace evenkeel::cli {

// As written on the command line.
struct RunArguments {
  std::vector<std::string> inputs;
  std::uint32_t workers = 2;
  std::uint32_t buckets = 1024;
  std::string hash = "toeplitz";
  std::string hash_key;
  std::string policy = "index";
  std::string interval = "100ms";
  std::string queueing = "fair";
  std::string quantum = "50us";
  std::string queueing_rules;
  std::optional<std::uint32_t> queue_limit_worker, queue_limit_bucket, queue_limit_connection;
  std::uint64_t elephant_bytes = engine::ElephantOptions{}.window_bytes;
  std::string elephant_window = "10s";
  double elephant_share = engine::ElephantOptions{}.worker_share;
  std::string pin = "auto";
  std::string capacity = "auto";
  std::string tunnel = "outer";
  std::string idle_timeout = "60s";
  std::string half_open_timeout = "30s";
  std::string active_timeout = "300s";
  std::uint32_t connections_max = 1'000'000;
  std::string filter;
  std::uint32_t snap_length = 512;
  std::string xdp_mode = "tap";
  std::string speed = "max";
  std::string duration;
  std::string flows;
  std::string format = "jsonl";
  std::string report_path;
  std::string html_path;
  bool json = false;
  std::uint64_t seed = 1;
};

// The command's options; what is written goes to `arguments`.
void add_run_options(CLI::App& command, RunArguments& arguments);

// A usage error for what cannot be; a runtime error where the rules of the queueing cannot be read.
Result<runtime::MeterRunOptions> read_run_options(const RunArguments& arguments);

}  // namespace evenkeel::cli
