#include "engine/queue_weights.h"

#include <gtest/gtest.h>

namespace evenkeel::engine {
namespace {

ConnectionKey key(std::uint8_t last_byte, std::uint8_t port, std::uint8_t protocol) {
  ConnectionKey result;
  result.low_address = {10, 0, 0, last_byte};
  result.high_address = {192, 168, 1, 1};
  result.low_port = {0, port};
  result.high_port = {0xc0, 0};
  result.protocol = protocol;
  result.ip_version = 4;
  return result;
}

TEST(QueueWeights, TheFirstRuleThatHoldsCounts) {
  std::vector<WeightRule> rules(3);
  rules[0] = {.network = WeightRule::Network{{10, 0, 0, 64}, 4, 26}, .port = 80, .weight = 5};
  rules[1] = {.protocol = 17, .weight = 3};
  rules[2] = {.network = WeightRule::Network{{10}, 4, 8}, .weight = 2};
  const QueueWeights weights(rules);
  EXPECT_EQ(weights.of(key(64, 80, 17)), 5u);
  EXPECT_EQ(weights.of(key(127, 80, 6)), 5u);
  EXPECT_EQ(weights.of(key(128, 80, 17)), 3u) << "outside the /26";
  EXPECT_EQ(weights.of(key(64, 81, 6)), 2u) << "another port";
  ConnectionKey other = key(1, 80, 6);
  other.low_address = {11};
  EXPECT_EQ(weights.of(other), 1u) << "no rule";
  other = key(64, 80, 6);
  other.ip_version = 6;
  EXPECT_EQ(weights.of(other), 1u) << "the same bytes in IPv6";
}

TEST(QueueWeights, EitherEndMayLieInTheNetworkAndHaveThePort) {
  const QueueWeights weights(
      {{.network = WeightRule::Network{{192, 168}, 4, 16}, .port = 0xc000, .weight = 7}});
  EXPECT_EQ(weights.of(key(1, 80, 6)), 7u);
}

TEST(QueueWeights, APrefixOfZeroBitsIsEveryAddressOfItsVersion) {
  const QueueWeights weights({{.network = WeightRule::Network{{}, 4, 0}, .weight = 9}});
  EXPECT_EQ(weights.of(key(1, 1, 1)), 9u);
}

}  // namespace
}  // namespace evenkeel::engine
