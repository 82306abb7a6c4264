// `evenkeel plan`: its options stand in plan_options.cpp, what it says in plan.cpp.

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/commands.h"
#include "cli/plan.h"
#include "cli/standard_output.h"

namespace evenkeel::cli {

void add_plan(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<PlanArguments>();
  CLI::App* command = app.add_subcommand("plan", "Say which buckets a policy would move, and why");
  add_plan_options(*command, *arguments);
  command->callback([arguments, &exit_code] {
    const auto text = plan(*arguments);
    if (text)
      write_standard_output(*text);
    else
      exit_code = report_error(text.error());
  });
}

}  // namespace evenkeel::cli
