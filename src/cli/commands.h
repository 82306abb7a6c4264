// The commands of the program, one file each. A command adds itself and its options to the application; its
// callback sets the exit code: 0 done, 1 the world did not allow it, 2 the caller asked for something that
// cannot be.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace evenkeel {
struct Error;
}

namespace evenkeel::cli {

inline constexpr int kExitDone = 0;
inline constexpr int kExitRuntime = 1;
inline constexpr int kExitUsage = 2;

// Prints "evenkeel: MESSAGE" on stderr and returns the exit code that fits.
int report_error(const Error& error);

void add_run(CLI::App& app, int& exit_code);
void add_plan(CLI::App& app, int& exit_code);
void add_simulate(CLI::App& app, int& exit_code);
void add_steer(CLI::App& app, int& exit_code);
void add_explain(CLI::App& app, int& exit_code);

}  // namespace evenkeel::cli
