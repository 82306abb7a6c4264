// `evenkeel run`: a run of the flow meter, the report out.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/output_file.h"
#include "cli/commands.h"
#include "cli/run_options.h"
#include "cli/signals.h"
#include "observe/page.h"
#include "observe/picture.h"
#include "observe/progress.h"
#include "observe/report_json.h"
#include "observe/report_table.h"
#include "runtime/meter_run.h"

namespace evenkeel::cli {

namespace {

// The page; or, for a name that asks for it, the picture alone, to be put into another document.
std::string page_or_picture(const std::string& path, const observe::RunReport& report) {
  return path.ends_with(".svg") ? observe::summary_picture(report) : observe::report_page(report);
}

// Reports are written when a run is over; that they can be is found out before it.
// Whether writing both would leave only one. A device or a pipe may be named as often as one likes.
bool same_file(const std::string& a, const std::string& b) {
  std::error_code error;
  if (std::filesystem::exists(a, error)) {
    if (!std::filesystem::is_regular_file(a, error)) return false;
    return std::filesystem::equivalent(a, b, error);
  }
  return a == b;
}

// An output that is also an input, or another output, would destroy it.
Result<void> check_files_are_distinct(const RunArguments& arguments) {
  std::vector<std::string> taken;
  for (const std::string& input : arguments.inputs) {
    const std::string path = input.starts_with("pcap:") ? input.substr(5) : input;
    taken.push_back(path == "-" ? "/dev/stdin" : path);
  }
  if (arguments.report_path == "-" && arguments.html_path == "-")
    return usage_error("--report and --html cannot both be standard output");
  for (const std::string& output : {arguments.flows, arguments.report_path, arguments.html_path}) {
    if (output.empty() || output == "-") continue;
    for (const std::string& other : taken) {
      if (same_file(output, other))
        return usage_error(fmt::format("{} is named twice: writing it would destroy what it holds", output));
    }
    taken.push_back(output);
  }
  return {};
}

Result<void> check_outputs(const RunArguments& arguments) {
  if (auto done = check_files_are_distinct(arguments); !done) return done;
  for (const std::string& path : {arguments.report_path, arguments.html_path}) {
    if (path.empty()) continue;
    if (auto done = base::check_writable(path); !done) return done;
  }
  return {};
}

Result<void> write_report(const RunArguments& arguments, const observe::RunReport& report) {
  if (!arguments.report_path.empty()) {
    if (auto done = base::write_file(arguments.report_path, observe::report_json(report)); !done) return done;
  }
  if (!arguments.html_path.empty()) {
    if (auto done = base::write_file(arguments.html_path, page_or_picture(arguments.html_path, report));
        !done)
      return done;
  }
  if (arguments.json) return base::write_file("-", observe::report_json(report));
  // Records on standard output are for a program: the table then goes where people look.
  const int descriptor = arguments.flows == "-" ? STDERR_FILENO : STDOUT_FILENO;
  std::string table = observe::report_table(report, observe::wants_colour(descriptor));
  if (!arguments.html_path.empty()) table += fmt::format("\npage: {}\n", arguments.html_path);
  if (descriptor == STDOUT_FILENO) return base::write_file("-", table);
  std::fputs(table.c_str(), stderr);
  return {};
}

// An input that ended early has been reported with what came before; it still makes the run a failed one.
int exit_code_of(const observe::RunReport& report) {
  int code = kExitDone;
  for (const auto& input : report.inputs) {
    if (!input.error.empty()) code = report_error(runtime_error(input.error));
  }
  return code;
}

int run(const RunArguments& arguments) {
  const auto options = read_run_options(arguments);
  if (!options) return report_error(options.error());
  if (const auto writable = check_outputs(arguments); !writable) return report_error(writable.error());
  catch_signals();
  observe::Progress progress;
  const runtime::MeterRunHooks hooks{
      .interrupted = interrupted(),
      .progress = [&](const observe::ProgressState& state) { progress.update(state); },
      .tell =
          [&](const std::string& message) {
            progress.clear();
            std::fprintf(stderr, "evenkeel: %s\n", message.c_str());
          }};
  auto report = runtime::meter_run(*options, hooks);
  progress.clear();
  if (!report) return report_error(report.error());
  report->version = EVENKEEL_VERSION;
  if (arguments.queueing != report->queueing.discipline && arguments.queueing == "weighted")
    hooks.tell("--queueing weighted had no effect: captures without --speed wait, and pass in their order");
  if (const auto written = write_report(arguments, *report); !written) return report_error(written.error());
  return exit_code_of(*report);
}

}  // namespace

void add_run(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App* command =
      app.add_subcommand("run", "meter packets of captures, live interfaces, or built-in traffic");
  add_run_options(*command, *arguments);
  command->callback([arguments, &exit_code] { exit_code = run(*arguments); });
}

}  // namespace evenkeel::cli
