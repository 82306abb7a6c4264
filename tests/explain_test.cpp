// `evenkeel explain` on captures.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace evenkeel::tests {
namespace {

std::string output_of(const std::string& command, int& code) {
  FILE* const pipe = popen((command + " 2>&1").c_str(), "r");
  std::string output;
  char piece[4096];
  for (std::size_t size = 0; (size = std::fread(piece, 1, sizeof piece, pipe)) > 0;)
    output.append(piece, size);
  code = WEXITSTATUS(pclose(pipe));
  return output;
}

TEST(ExplainCommandTest, EveryRealCaptureIsExplainedInSentencesWithShares) {
  const std::filesystem::path captures = EVENKEEL_SHARED_DIR "/traces/captures";
  if (!std::filesystem::exists(captures)) GTEST_SKIP() << "no captures at " << captures;
  int explained = 0;
  for (const auto& entry : std::filesystem::directory_iterator(captures)) {
    if (entry.file_size() > (8u << 20) || !entry.path().filename().string().ends_with("pcap")) continue;
    int code = 0;
    const std::string output = output_of(EVENKEEL_BINARY " explain --json " + entry.path().string(), code);
    EXPECT_EQ(code, 0) << entry.path() << output;
    const auto result = nlohmann::json::parse(output, nullptr, false);
    ASSERT_TRUE(result.is_object()) << entry.path() << output;
    EXPECT_TRUE(result["findings"].is_array());
    ++explained;
  }
  EXPECT_GT(explained, 3);
}

TEST(ExplainCommandTest, WhatIsNeitherInterfaceNorCaptureIsOneLine) {
  int code = 0;
  const std::string output = output_of(EVENKEEL_BINARY " explain no-such-thing", code);
  EXPECT_EQ(code, 1);
  EXPECT_EQ(output.find('\n'), output.size() - 1) << output;
}

}  // namespace
}  // namespace evenkeel::tests
