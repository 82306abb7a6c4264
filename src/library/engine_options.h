// From an author's options to those of a run, checked.
//
// Thread: [any]. Pure, but for the file of queueing rules.
#pragma once

#include "evenkeel/options.h"
#include "evenkeel/result.h"
#include "runtime/run.h"

namespace evenkeel::library {

// A usage error for what is out of range.
Result<void> check_options(const Options& options);

// Of options that were checked. What only the run itself can find wrong (names of policies and hashes, CPUs),
// it does.
Result<runtime::RunOptions> run_options(const Options& options);

}  // namespace evenkeel::library
