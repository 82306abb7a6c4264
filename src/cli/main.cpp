#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>

#include "cli/commands.h"
#include "cli/standard_output.h"
#include "evenkeel/result.h"

namespace evenkeel::cli {

int report_error(const Error& error) {
  std::fprintf(stderr, "evenkeel: %s\n", error.message.c_str());
  return error.kind == ErrorKind::kUsage ? kExitUsage : kExitRuntime;
}

namespace {

std::string names_of_commands(const CLI::App& app) {
  std::string names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names += (names.empty() ? "" : ", ") + command->get_name();
  return names;
}

// CLI11 only says that a subcommand is required; a person wants to know which there are.
bool names_a_command(const CLI::App& app, int argc, char** argv) {
  const std::string_view first = argc > 1 ? argv[1] : "";
  if (first.starts_with('-')) return true;
  const auto is_first = [&](const CLI::App* command) { return command->get_name() == first; };
  if (!app.get_subcommands(is_first).empty()) return true;
  const std::string what =
      first.empty() ? "name a command" : "there is no command '" + std::string(first) + "'";
  report_error(usage_error(what + ": one of " + names_of_commands(app) + " (evenkeel --help tells more)"));
  return false;
}

// Of an option that is not known or missing, CLI11 does not say which there are.
std::string describe_failure(const CLI::App& app, const CLI::Error& error) {
  std::string line = std::string("evenkeel: ") + error.what();
  const auto commands = app.get_subcommands();
  const auto code = static_cast<CLI::ExitCodes>(error.get_exit_code());
  const bool lacks_names = code == CLI::ExitCodes::ExtrasError || code == CLI::ExitCodes::RequiredError;
  if (lacks_names && commands.empty()) line += "; `evenkeel --help` lists the commands";
  if (lacks_names && !commands.empty())
    line += "; `evenkeel " + commands.front()->get_name() + " --help` lists the options";
  return line + "\n";
}

}  // namespace
}  // namespace evenkeel::cli

int main(int argc, char** argv) {
  // A reader that goes away is an error of writing, reported like any other.
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app{"evenkeel keeps the processors of a machine evenly loaded with packets and connections",
               "evenkeel"};
  app.set_version_flag("--version", "evenkeel " EVENKEEL_VERSION);
  app.require_subcommand(1);
  app.failure_message([](const CLI::App* top, const CLI::Error& error) {
    return evenkeel::cli::describe_failure(*top, error);
  });
  int exit_code = evenkeel::cli::kExitDone;
  evenkeel::cli::add_run(app, exit_code);
  evenkeel::cli::add_plan(app, exit_code);
  evenkeel::cli::add_simulate(app, exit_code);
  evenkeel::cli::add_steer(app, exit_code);
  evenkeel::cli::add_explain(app, exit_code);
  if (!evenkeel::cli::names_a_command(app, argc, argv)) return evenkeel::cli::kExitUsage;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    exit_code = code == 0 ? evenkeel::cli::kExitDone : evenkeel::cli::kExitUsage;
  }
  const auto written = evenkeel::cli::flush_standard_output();
  return written || exit_code != evenkeel::cli::kExitDone ? exit_code
                                                          : evenkeel::cli::report_error(written.error());
}
