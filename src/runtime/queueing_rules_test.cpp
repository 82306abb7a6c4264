#include "runtime/queueing_rules.h"

#include <gtest/gtest.h>

namespace evenkeel::runtime {
namespace {

std::string message(std::string_view text) {
  const auto rules = parse_queueing_rules(text, "rules.toml");
  if (rules.ok()) return "accepted";
  EXPECT_EQ(rules.error().kind, ErrorKind::kUsage);
  return rules.error().message;
}

TEST(QueueingRules, ReadsEveryPartOfARule) {
  const auto weights = parse_queueing_rules(
      "[[rule]]\nnetwork = \"2001:db8::/32\"\nprotocol = \"udp\"\nport = 53\nweight = 4\n"
      "[[rule]]\nprotocol = 6\nweight = 2\n",
      "rules.toml");
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  ConnectionKey key;
  key.ip_version = 6;
  key.protocol = 17;
  key.high_address = {0x20, 0x01, 0x0d, 0xb8, 1};
  key.low_port = {0, 53};
  EXPECT_EQ(weights->of(key), 4u);
  key.protocol = 6;
  EXPECT_EQ(weights->of(key), 2u);
  key.protocol = 1;
  EXPECT_EQ(weights->of(key), 1u);
}

TEST(QueueingRules, AnEmptyFileGivesEveryConnectionTheSame) {
  EXPECT_TRUE(parse_queueing_rules("# none yet\n", "rules.toml")->empty());
}

TEST(QueueingRules, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(message("[[rule]]\nport = 443\n"), "rules.toml, line 1: a rule needs a weight, as in weight = 4");
  EXPECT_EQ(message("[[rule]]\nweight = 0\n"),
            "rules.toml, line 2: weight takes a whole number from 1 to 1000");
  EXPECT_EQ(message("[[rule]]\nweight = 1\nport = 65536\n"),
            "rules.toml, line 3: port takes a whole number from 0 to 65535");
  EXPECT_EQ(
      message("[[rule]]\nweight = 1\nnetwork = \"10.0.0.0/33\"\n"),
      "rules.toml, line 3: network takes an address or ADDRESS/BITS, as in 10.1.0.0/16, not '10.0.0.0/33'");
  EXPECT_EQ(message("[[rule]]\nweight = 1\nprotocol = \"quic\"\n"),
            "rules.toml, line 3: protocol takes \"tcp\", \"udp\", \"icmp\" or a number from 0 to 255");
  EXPECT_EQ(message("[[rule]]\nweight = 1\nspeed = 3\n"),
            "rules.toml, line 3: a rule has network, port, protocol and weight, not 'speed'");
  EXPECT_EQ(message("quantum = 3\n"), "rules.toml, line 1: only [[rule]] sections are known, not 'quantum'");
  EXPECT_TRUE(message("[[rule\n").starts_with("rules.toml, line 1: "));
}

// Found by a fuzzer: the TOML library took the first for impossible, and quoted a line's end of the last.
TEST(QueueingRules, WhatIsNoTomlIsAUsageErrorOfOneLine) {
  for (const char* const text :
       {"[[[rule]]\nweight = 4\n", "[[[", "[[", "[", "[[rule]]\n[[[rule]]\n", "[[rule]]\nweight = t\n"}) {
    const auto rules = parse_queueing_rules(text, "rules.toml");
    ASSERT_FALSE(rules.ok()) << text;
    EXPECT_EQ(rules.error().kind, ErrorKind::kUsage);
    EXPECT_EQ(rules.error().message.find('\n'), std::string::npos) << rules.error().message;
  }
}

TEST(QueueingRules, BytesThatAreNoAsciiMayStandInCommentsOnly) {
  EXPECT_TRUE(parse_queueing_rules("\xef\xbb\xbf# f\xc3\xbcr die Gro\xc3\x9f"
                                   "en\n[[rule]]\nweight = 4\n",
                                   "rules.toml")
                  .ok());
  for (const char* const text :
       {"\x92\xd2\x92n=1\n", "\xc3\xbc = 1\n", "[[rule]]\nnetwork = \"\xff\"\nweight = 1\n"})
    EXPECT_FALSE(parse_queueing_rules(text, "rules.toml").ok()) << text;
}

TEST(QueueingRules, AFileThatIsNotThereIsARuntimeError) {
  const auto rules = read_queueing_rules("/nonexistent/rules.toml");
  ASSERT_FALSE(rules.ok());
  EXPECT_EQ(rules.error().kind, ErrorKind::kRuntime);
}

}  // namespace
}  // namespace evenkeel::runtime
