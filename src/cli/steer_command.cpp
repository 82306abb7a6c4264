// `evenkeel steer`: its options stand in steer_options.cpp, what it does in steer_session.cpp.

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/commands.h"
#include "cli/steer_options.h"

namespace evenkeel::cli {
namespace {

int run(const SteerArguments& arguments) {
  const auto options = read_steer_options(arguments);
  if (!options) return report_error(options.error());
#ifdef EVENKEEL_HAS_BPF
  if (options->restore) return steer_restore(*options);
  return options->dry_run ? steer_dry_run(*options) : steer(*options);
#else
  return report_error(runtime_error(
      "this build leaves out what needs kernel programs: `./dev setup bpf && ./dev build` puts it in"));
#endif
}

}  // namespace

void add_steer(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<SteerArguments>();
  CLI::App* command =
      app.add_subcommand("steer", "balance the kernel's receive work of an interface over CPUs");
  add_steer_options(*command, *arguments);
  command->callback([arguments, &exit_code] { exit_code = run(*arguments); });
}

}  // namespace evenkeel::cli
