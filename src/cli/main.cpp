#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/commands.h"
#include "evenkeel/result.h"

namespace evenkeel::cli {

int report_error(const Error& error) {
  std::fprintf(stderr, "evenkeel: %s\n", error.message.c_str());
  return error.kind == ErrorKind::kUsage ? kExitUsage : kExitRuntime;
}

}  // namespace evenkeel::cli

int main(int argc, char** argv) {
  CLI::App app{"evenkeel keeps the processors of a machine evenly loaded with packets and connections",
               "evenkeel"};
  app.set_version_flag("--version", "evenkeel " EVENKEEL_VERSION);
  app.require_subcommand(1);
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return std::string("evenkeel: ") + error.what() + "\n";
  });
  int exit_code = evenkeel::cli::kExitDone;
  evenkeel::cli::add_run(app, exit_code);
  evenkeel::cli::add_plan(app, exit_code);
  evenkeel::cli::add_steer(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : evenkeel::cli::kExitUsage;
  }
  return exit_code;
}
