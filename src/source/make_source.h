// From what a user writes after --input to a source.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "evenkeel/result.h"
#include "evenkeel/source.h"
#include "source/timed_source.h"

namespace evenkeel::source {

struct SourceOptions {
  std::uint64_t seed = 1;  // of generators; input i of a run uses its own, made from this one
  // Ends when this much packet time has passed. A generator whose number of packets is not given goes on
  // until then. Above 0.
  std::optional<std::int64_t> duration_ns;
  // Packets come in real time, this many times as fast as they were captured. Nothing: as fast as they can be
  // taken. Above 0.
  std::optional<double> speed;
  PacedSource::Clock clock = monotonic_clock_ns;  // for speed
  std::string filter;                             // an expression of pcap-filter(7); "": everything
};

// What make_source() takes, for help texts.
inline constexpr const char* kSpecHelp =
    "FILE, pcap:FILE, - (standard input), generator:PROFILE[,OPTION=N]..., af_packet:INTERFACE, "
    "af_xdp:INTERFACE";

// The source of a run: one input, or several merged by packet time; Packet::source is the input's place in
// `specs`. A file that cannot be read is a runtime error, a wrong spec (see kSpecHelp) a usage error.
Result<std::unique_ptr<Source>> make_source(std::span<const std::string> specs, const SourceOptions& options);

inline Result<std::unique_ptr<Source>> make_source(const std::string& spec, const SourceOptions& options) {
  return make_source({&spec, 1}, options);
}

}  // namespace evenkeel::source
