// Fuzzer of options: command lines of run, plan, simulate and steer down to what the command would be told,
// without doing it; options of the library as text; specifications of built-in traffic; queueing rules.
// Whatever is refused is refused by one line, and never by another exception than CLI11's own.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "cli/plan_options.h"
#include "cli/run_options.h"
#include "cli/simulate_options.h"
#include "cli/steer_options.h"
#include "fuzz/support.h"
#include "library/engine_options.h"
#include "library/option_text.h"
#include "runtime/queueing_rules.h"
#include "source/make_source.h"

namespace evenkeel::fuzz {
namespace {

// False where CLI11 refuses the line.
bool parsed(CLI::App& app, Input& input) {
  std::vector<std::string> words;
  while (!input.empty()) words.emplace_back(input.line());
  std::reverse(words.begin(), words.end());  // as CLI11 takes them
  try {
    app.parse(words);
    return true;
  } catch (const CLI::ParseError&) {
    return false;
  }
}

template <typename T>
void check_result(const Result<T>& result) {
  if (!result) check_error(result.error());
}

void run_line(Input& input) {
  CLI::App app;
  cli::RunArguments arguments;
  cli::add_run_options(app, arguments);
  if (!parsed(app, input)) return;
  // Whose text is fuzzed below; a name here would be one of this machine's files.
  arguments.queueing_rules.clear();
  check_result(cli::read_run_options(arguments));
}

void plan_line(Input& input) {
  CLI::App app;
  cli::PlanArguments arguments;
  cli::add_plan_options(app, arguments);
  parsed(app, input);
}

void simulate_line(Input& input) {
  CLI::App app;
  cli::SimulateArguments arguments;
  cli::add_simulate_options(app, arguments);
  if (!parsed(app, input)) return;
  arguments.inputs.clear();  // they would be read
  check_result(cli::read_simulate_options(arguments));
}

void steer_line(Input& input) {
  CLI::App app;
  cli::SteerArguments arguments;
  cli::add_steer_options(app, arguments);
  if (parsed(app, input)) check_result(cli::read_steer_options(arguments));
}

// Pairs of lines: name and value.
void library_options(Input& input) {
  Options options;
  while (!input.empty()) {
    const std::string_view name = input.line();
    check_result(library::set_option(options, name, input.line()));
  }
  const auto checked = library::check_options(options);
  check_result(checked);
  options.queueing_rules.clear();
  if (checked.ok() && options.queueing != "weighted") check_result(library::run_options(options));
}

void generator(Input& input) {
  const std::string spec = "generator:" + std::string(input.line());
  auto source = source::make_source(spec, {});
  if (!source) return check_error(source.error());
  std::array<Packet*, 64> burst;
  std::size_t count = 0;
  (*source)->receive(burst, count);
  for (std::size_t i = 0; i < count; ++i) burst[i]->block->release(1);
}

void queueing_rules(Input& input) { check_result(runtime::parse_queueing_rules(input.rest(), "rules")); }

constexpr std::array kSubjects = {run_line,        plan_line, simulate_line, steer_line,
                                  library_options, generator, queueing_rules};

}  // namespace
}  // namespace evenkeel::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace evenkeel::fuzz;
  Input input(data, size);
  kSubjects[input.byte() % kSubjects.size()](input);
  return 0;
}
