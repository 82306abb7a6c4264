// `evenkeel simulate`: what would happen on N processors? No root, no hardware.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/output_file.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/simulate_options.h"
#include "observe/text.h"
#include "sim/simulate/report.h"
#include "sim/simulate/simulation.h"

namespace evenkeel::cli {
namespace {

// For who watches: what has been simulated, and below it a line that is written over, a few times a second.
class ProgressLine {
 public:
  ProgressLine() = default;
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine() { std::fputs(kErase, stderr); }

  void tell(const sim::ProgressNews& news) {
    const std::int64_t now_ns = base::monotonic_nanoseconds();
    std::string text;
    if (news.ended != nullptr) text += kErase + ended_line(*news.ended);
    if (news.ended != nullptr || now_ns >= next_ns_) {
      next_ns_ = now_ns + kEach_ns;
      text += kErase + present_line(news, static_cast<double>(now_ns - start_ns_) / 1e9);
    }
    std::fputs(text.c_str(), stderr);
  }

 private:
  static constexpr const char* kErase = "\r\033[K";
  static constexpr std::int64_t kEach_ns = 250 * base::kNanosecondsPerMillisecond;

  static std::string ended_line(const sim::Outcome& outcome) {
    return fmt::format("{} processors, {}: {} packets simulated in {:.1f} s\n",
                       observe::count_text(outcome.processors), outcome.policy,
                       observe::count_text(outcome.packets), outcome.simulate_seconds);
  }
  static std::string present_line(const sim::ProgressNews& news, double seconds) {
    const double done = static_cast<double>(news.packets) / 1e6;
    if (news.packets_expected == 0)
      return fmt::format("{} machines, {:.1f} million packets so far", news.machines, done);
    const double all = std::max(static_cast<double>(news.packets_expected) / 1e6, done);
    std::string text = fmt::format("{} of {} machines, {:.1f} of {:.1f} million packets", news.machines,
                                   news.machines_expected, done, all);
    if (done == 0) return text;
    const double left = seconds * (all - done) / done;
    return text + fmt::format(", about {} left",
                              left < 60 ? fmt::format("{:.0f} s", left) : observe::duration_text(left));
  }

  const std::int64_t start_ns_ = base::monotonic_nanoseconds();
  std::int64_t next_ns_ = start_ns_ + kEach_ns;
};

// Nothing is told but to a terminal.
Result<sim::Simulation> run_watched(const sim::SimulationOptions& options) {
  if (isatty(STDERR_FILENO) == 0) return sim::run_simulation(options, {});
  ProgressLine line;
  return sim::run_simulation(options, [&](const sim::ProgressNews& news) { line.tell(news); });
}

Result<void> simulate(const SimulateArguments& arguments) {
  if (arguments.json && arguments.html_path == "-")
    return usage_error("--json and --html - exclude each other: both go to standard output");
  if (!arguments.html_path.empty()) {
    if (auto done = base::check_writable(arguments.html_path); !done) return done;
  }
  auto options = read_simulate_options(arguments);
  if (!options) return options.error();
  auto simulation = run_watched(*options);
  if (!simulation) return simulation.error();
  const sim::ReportOptions report{.plan_times = arguments.plan_times};
  if (!arguments.html_path.empty()) {
    if (auto done = base::write_file(arguments.html_path, sim::simulation_page(*simulation, report)); !done)
      return done;
    if (arguments.html_path == "-") return {};
  }
  return base::write_file("-", arguments.json ? sim::simulation_json(*simulation, report)
                                              : sim::simulation_table(*simulation, report));
}

}  // namespace

void add_simulate(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<SimulateArguments>();
  CLI::App* command =
      app.add_subcommand("simulate", "Say what would happen on 1 to 1,024 processors, in virtual time");
  add_simulate_options(*command, *arguments);
  command->callback([arguments, &exit_code] {
    if (auto result = simulate(*arguments); !result) exit_code = report_error(result.error());
  });
}

}  // namespace evenkeel::cli
