// One run of the flow meter, as `evenkeel run` does it: a run with the flow meter as handler, its inputs and
// its output.
//
// Thread: the caller's becomes the control thread until the run ends.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "evenkeel/result.h"
#include "flow/record_writer.h"
#include "observe/progress.h"
#include "observe/run_report.h"
#include "runtime/run.h"
#include "source/live/live_inputs.h"

namespace evenkeel::runtime {

struct MeterRunOptions : RunOptions {
  // As make_source() takes them, or all live interfaces; several are merged by time.
  std::vector<std::string> inputs;
  std::string filter;               // an expression of pcap-filter(7); "": everything
  std::uint32_t snap_length = 512;  // of live interfaces; 0: whole packets
  source::XdpUse xdp_use = source::XdpUse::kTap;
  std::int64_t active_timeout_ns = 300'000'000'000;
  std::optional<std::int64_t> duration_ns;
  std::string flows;  // path, "-", or "" for none
  flow::RecordFormat format = flow::RecordFormat::kJsonl;
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
