// The facts of a live interface, for `evenkeel explain`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "control/explain.h"
#include "evenkeel/result.h"

namespace evenkeel::cli {

struct Looked {
  control::InterfaceFacts interface;
  control::TrafficFacts traffic;
};

// Looks at the interface, and for so long at its traffic (nothing: not at all); changes nothing. A runtime
// error where there is none of that name, or where this build leaves live interfaces out.
Result<Looked> look_at_interface(const std::string& name, std::optional<std::int64_t> duration_ns);

}  // namespace evenkeel::cli
