// docs/run.md against the program.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

namespace evenkeel {
namespace {

std::string output_of(const std::string& command) {
  std::string output;
  std::FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  std::array<char, 4096> buffer;
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe))
    output.append(buffer.data(), count);
  pclose(pipe);
  return output;
}

// The options that stand at the beginning of a line: "--input" in "  -i,--input SPEC" and in "| `--input`,
// `-i` SPEC |".
std::set<std::string> options_in(const std::string& text, const std::string& line_start) {
  std::set<std::string> options;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    const std::size_t dashes = line.find("--");
    if (!line.starts_with(line_start) || dashes == std::string::npos || dashes > 7) continue;
    options.insert(
        line.substr(dashes, line.find_first_not_of("abcdefghijklmnopqrstuvwxyz-", dashes) - dashes));
  }
  return options;
}

TEST(RunOptions, AreThoseOfTheDocumentation) {
  std::ifstream in(EVENKEEL_SOURCE_DIR "/docs/run.md");
  const std::string page{std::istreambuf_iterator<char>(in), {}};
  std::set<std::string> offered = options_in(output_of(EVENKEEL_BINARY " run --help"), "  -");
  EXPECT_EQ(offered.erase("--help"), 1u);
  EXPECT_GT(offered.size(), 15u);
  EXPECT_EQ(options_in(page, "| `-"), offered);
}

}  // namespace
}  // namespace evenkeel
