// `evenkeel explain` on captures.
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/packet_builder.h"

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

// What `explain --json` finds in a capture, by name and in its order.
std::vector<std::string> findings_in(const Bytes& capture, int& code) {
  const std::string path =
      std::filesystem::temp_directory_path() / ("evenkeel-explain-" + std::to_string(getpid()) + ".pcap");
  write_file(path, capture);
  const std::string output = output_of("(" EVENKEEL_BINARY " explain --json " + path + " 2>/dev/null)", code);
  std::filesystem::remove(path);
  std::vector<std::string> names;
  const auto result = nlohmann::json::parse(output, nullptr, false);
  if (!result.is_object()) return names;
  for (const auto& finding : result["findings"]) names.push_back(finding["name"]);
  return names;
}

TEST(ExplainCommandTest, ATunnelOfManyConnectionsIsNamedAsOneAndNotAsAnElephant) {
  std::vector<TestPacket> packets;
  for (std::uint16_t i = 0; i < 400; ++i) {
    packets.push_back(PacketBuilder()
                          .ipv4("10.0.0.1", "10.0.0.2")
                          .udp(2152, 2152)
                          .gtp_user(7)
                          .ipv4("192.168.0.1", "192.168.0.2")
                          .tcp(static_cast<std::uint16_t>(1'000 + i % 40), 80)
                          .build());
  }
  int code = 0;
  EXPECT_EQ(findings_in(pcap_file(packets), code), std::vector<std::string>{"tunnel"});
}

TEST(ExplainCommandTest, FragmentsOfFewConnectionsAreNamedAsFragmentsAndNotAsAnElephant) {
  std::vector<TestPacket> packets;
  for (std::uint16_t i = 0; i < 400; ++i) {
    const TestPacket whole = PacketBuilder()
                                 .ipv4("10.0.0.1", "10.0.0.2")
                                 .udp(static_cast<std::uint16_t>(1'000 + i % 4), 80)
                                 .payload(2'000)
                                 .build();
    for (TestPacket& part : fragments_of(whole, 1'400, i)) packets.push_back(std::move(part));
  }
  int code = 0;
  EXPECT_EQ(findings_in(pcap_file(packets), code), std::vector<std::string>{"fragments"});
}

TEST(ExplainCommandTest, ACaptureThatBreaksOffIsExplainedSoFar) {
  std::vector<TestPacket> packets;
  for (int i = 0; i < 400; ++i)
    packets.push_back(PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").udp(1'000, 80).payload(50).build());
  Bytes capture = pcap_file(packets);
  capture.resize(capture.size() - 20);
  int code = 0;
  EXPECT_EQ(findings_in(capture, code), std::vector<std::string>{"elephant"});
  EXPECT_EQ(code, 1);
}

// A connection with 45 % of the packets among many small ones.
std::vector<TestPacket> one_large_connection() {
  std::vector<TestPacket> packets;
  for (std::uint16_t i = 0; i < 400; ++i) {
    const auto port = static_cast<std::uint16_t>(i % 20 < 9 ? 5'000 : 1'000 + i);
    packets.push_back(PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").udp(port, 80).payload(50).build());
  }
  return packets;
}

TEST(ExplainCommandTest, ACaptureIsJudgedForTheCpusThatAreTold) {
  const std::string path = std::filesystem::temp_directory_path() /
                           ("evenkeel-explain-cpus-" + std::to_string(getpid()) + ".pcap");
  write_file(path, pcap_file(one_large_connection()));
  int code = 0;
  const std::string on_two = output_of(EVENKEEL_BINARY " explain " + path, code);
  EXPECT_NE(on_two.find("uneven on 2 CPUs (--cpus N"), std::string::npos) << on_two;
  const std::string on_four = output_of(EVENKEEL_BINARY " explain --cpus 4 " + path, code);
  EXPECT_NE(on_four.find("10.0.0.1:5000"), std::string::npos) << on_four;
  (void)output_of(EVENKEEL_BINARY " explain " + path + " --capture " + path, code);
  EXPECT_EQ(code, 2) << "two captures";
  std::filesystem::remove(path);
}

TEST(ExplainCommandTest, AnEncryptedTunnelIsATunnelWithoutPorts) {
  std::vector<TestPacket> packets;
  for (int i = 0; i < 200; ++i)
    packets.push_back(PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").protocol(50).payload(200).build());
  int code = 0;
  EXPECT_EQ(findings_in(pcap_file(packets), code), std::vector<std::string>{"tunnel"});
}

TEST(ExplainCommandTest, TooFewPacketsAreSaidToBeTooFew) {
  const std::string path =
      std::filesystem::temp_directory_path() / ("evenkeel-explain-few-" + std::to_string(getpid()) + ".pcap");
  const std::vector<TestPacket> packets = {PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).build()};
  write_file(path, pcap_file(packets));
  int code = 0;
  const std::string output = output_of(EVENKEEL_BINARY " explain " + path, code);
  EXPECT_NE(output.find("too few"), std::string::npos) << output;
  EXPECT_EQ(output.find("nothing was found"), std::string::npos) << output;
  std::filesystem::remove(path);
}

TEST(ExplainCommandTest, WhatIsNeitherInterfaceNorCaptureIsOneLine) {
  int code = 0;
  const std::string output = output_of(EVENKEEL_BINARY " explain no-such-thing", code);
  EXPECT_EQ(code, 1);
  EXPECT_EQ(output.find('\n'), output.size() - 1) << output;
}

}  // namespace
}  // namespace evenkeel::tests
