// The capabilities that live interfaces need (capabilities(7)).
//
// Thread: [control].
#pragma once

#include <span>
#include <string>

#include "evenkeel/result.h"

namespace evenkeel::source {

enum class Capability : int { kNetAdmin = 12, kNetRaw = 13, kIpcLock = 14, kPerfmon = 38, kBpf = 39 };

// An error of one line if this process lacks one of them: which, and how to grant them to the program.
Result<void> check_rights(std::span<const Capability> needed, const std::string& what_for);

}  // namespace evenkeel::source
