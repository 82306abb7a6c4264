// SIGINT, SIGTERM and SIGHUP as a flag that commands look at: the first signal ends a command in good order,
// a second one ends the process.
//
// Thread: [any].
#pragma once

#include <atomic>

namespace evenkeel::cli {

// From now on the two signals set the flag, which is not set yet. Called again, it catches one more signal.
void catch_signals();

const std::atomic<bool>& interrupted();

}  // namespace evenkeel::cli
