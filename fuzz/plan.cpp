// Fuzzer of what `evenkeel plan` reads: loads as CSV or JSON, rounds, assignments, with any policy. What is
// said must be numbers; what is refused, one line.
#include <CLI/CLI.hpp>
#include <array>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "cli/plan.h"
#include "fuzz/support.h"

namespace evenkeel::fuzz {
namespace {

// No number that is none in what is printed.
void check_said(const std::string& said, bool json) {
  if (json) {
    CHECK(said.find("null") == std::string::npos);  // what JSON has for it
  } else {
    for (const char* wrong : {"nan", "inf"}) CHECK(said.find(wrong) == std::string::npos);
  }
}

// Six bytes of options; up to a NUL, the assignment where there is one; then the loads.
void run(const std::uint8_t* data, std::size_t size) {
  static MemoryFile loads, assignment;
  constexpr std::array<const char*, 5> kPolicies = {"index", "static", "proportional", "rsspp", "lpt"};
  Input input(data, size);
  const std::uint8_t choice = input.byte();
  cli::PlanArguments arguments;
  arguments.json = (choice & 1) != 0;
  arguments.quality = (choice & 2) != 0;
  ((choice & 4) != 0 ? arguments.rounds : arguments.loads) = loads.path();
  arguments.processors = input.byte() % 17;
  arguments.policies = {kPolicies[input.byte() % kPolicies.size()]};
  if (const std::uint8_t moves = input.byte(); moves != 0) arguments.moves_max = moves - 1u;
  if (const std::uint8_t pinned = input.byte(); pinned != 0) arguments.pinned = {pinned - 1u};
  if (const std::uint8_t excluded = input.byte(); excluded != 0) arguments.excluded = {excluded - 1u};
  if ((choice & 8) != 0) arguments.capacity = {1, 0.5, 1e-3, 1e6};
  if ((choice & 16) != 0) arguments.utilization = 1e3;
  std::string_view rest = input.rest();
  if ((choice & 32) != 0) {
    const std::size_t end = std::min(rest.find('\0'), rest.size());
    assignment.fill(rest.substr(0, end));
    arguments.assignment = assignment.path();
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  loads.fill(rest);
  const auto said = cli::plan(arguments);
  if (said)
    check_said(*said, arguments.json);
  else
    check_error(said.error());
}

}  // namespace
}  // namespace evenkeel::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  evenkeel::fuzz::run(data, size);
  return 0;
}
