// The inputs of a run as a user names them: captures and built-in traffic, which come through one source, or
// live interfaces, of which the workers receive themselves. One or the other.
//
// Thread: [control].
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "evenkeel/result.h"
#include "evenkeel/source.h"
#include "source/live/live_inputs.h"

namespace evenkeel::runtime {

struct RunOptions;

struct InputOptions {
  std::vector<std::string> specs;                // as make_source() takes them, or all live interfaces
  std::string filter;                            // an expression of pcap-filter(7); "": everything
  std::optional<std::int64_t> duration_ns = {};  // of packet time; of live interfaces RunOptions has it
  std::uint32_t snap_length = 512;               // of live interfaces; 0: whole packets
  source::XdpUse xdp_use = source::XdpUse::kTap;
  std::function<void(const std::string&)> tell = {};  // of live interfaces: one went away or came back
};

// One of the two is there.
struct RunInputs {
  std::unique_ptr<Source> source;
  std::unique_ptr<source::LiveInputs> live;

  std::vector<Source*> sources() const { return live ? live->sources() : std::vector<Source*>{source.get()}; }
};

// A usage error for inputs that do not go together or with the run's options; a runtime error for what cannot
// be opened.
Result<RunInputs> open_inputs(const InputOptions& inputs, const RunOptions& run);

}  // namespace evenkeel::runtime
