// One run of the flow meter: sources, engine, control loop, threads and output put together, as `evenkeel
// run` does it.
//
// Thread: the caller's becomes the control thread until the run ends.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/elephants.h"
#include "engine/queueing.h"
#include "evenkeel/result.h"
#include "flow/record_writer.h"
#include "observe/progress.h"
#include "observe/run_report.h"
#include "source/live/live_inputs.h"

namespace evenkeel::runtime {

struct MeterRunOptions {
  // As make_source() takes them, or all live interfaces; several are merged by time.
  std::vector<std::string> inputs;
  std::string filter;               // an expression of pcap-filter(7); "": everything
  std::uint32_t snap_length = 512;  // of live interfaces; 0: whole packets
  source::XdpUse xdp_use = source::XdpUse::kTap;
  std::uint32_t workers = 2;
  std::uint32_t buckets = 1024;
  std::string hash = "toeplitz";
  std::string hash_key;  // "": the symmetric key
  std::string policy = "index";
  std::int64_t interval_ns = 100'000'000;
  bool inner_tunnel = false;
  std::int64_t idle_timeout_ns = 60'000'000'000;
  std::int64_t active_timeout_ns = 300'000'000'000;
  std::uint32_t connections_max = 1'000'000;
  std::optional<double> speed;  // nothing: as fast as it goes
  std::optional<std::int64_t> duration_ns;
  engine::QueueingOptions queueing{.discipline = engine::Discipline::kFair};
  engine::ElephantOptions elephants;
  std::optional<std::vector<std::uint32_t>> pin;  // nothing: where there are processors enough; empty: off
  std::vector<double> capacity;                   // by worker, relative; empty: as the CPUs are, if pinned
  std::string flows;                              // path, "-", or "" for none
  flow::RecordFormat format = flow::RecordFormat::kJsonl;
  std::uint64_t seed = 1;
};

struct MeterRunHooks {
  const std::atomic<bool>& interrupted;  // set by a signal: the run then ends as if its inputs had
  std::function<void(const observe::ProgressState&)> progress;  // some times a second
  std::function<void(const std::string&)> tell = {};  // of live interfaces: one went away or came back
};

// Runs to the end of the inputs. An input that ends early by an error is in the report; an error of the
// output (a full disk) is returned after the run has ended.
Result<observe::RunReport> meter_run(const MeterRunOptions& options, const MeterRunHooks& hooks);

}  // namespace evenkeel::runtime
