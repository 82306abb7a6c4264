// From what a user writes after --input to a source.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "evenkeel/result.h"
#include "evenkeel/source.h"

namespace evenkeel::source {

struct SourceOptions {
  std::uint64_t seed = 1;  // of generators; input i of a run uses its own, made from this one
};

// What make_source() takes, for help texts.
inline constexpr const char* kSpecHelp =
    "FILE, pcap:FILE, - (standard input), generator:PROFILE[,OPTION=N]...";

// `spec`: see kSpecHelp. A file that cannot be read is a runtime error, a wrong spec a usage error.
// `index` is Packet::source of its packets.
Result<std::unique_ptr<Source>> make_source(const std::string& spec, const SourceOptions& options,
                                            std::uint16_t index = 0);

}  // namespace evenkeel::source
