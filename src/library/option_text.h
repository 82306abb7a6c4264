// Options as text, by the names that `evenkeel run` gives them: for the C API.
//
// Thread: [any].
#pragma once

#include <string_view>

#include "evenkeel/options.h"
#include "evenkeel/result.h"

namespace evenkeel::library {

// "input" adds one; each other name sets its option. A usage error for a name that is not there (listing
// those that are), and for a text that does not fit or is out of range, naming the option. What options can
// be only together, and names of hashes, policies and the like, are checked when an engine is made.
Result<void> set_option(Options& options, std::string_view name, std::string_view text);

}  // namespace evenkeel::library
