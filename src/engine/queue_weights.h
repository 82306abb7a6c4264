// Weights of connections, by rule: a connection of weight 4 gets four times the processor time of one of
// weight 1 while both wait.
//
// Thread: read by any after it was made. Cost: linear in the rules, paid when a connection begins to wait,
// not for each packet.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "evenkeel/packet.h"

namespace evenkeel::engine {

inline constexpr std::uint32_t kWeightMax = 1'000;
inline constexpr std::size_t kWeightRulesMax = 256;

// Holds for a connection of which one end lies in the network, one end has the port, and whose protocol is
// this one; what is not said holds for all.
struct WeightRule {
  struct Network {
    std::array<std::uint8_t, 16> address{};  // as in ConnectionKey
    std::uint8_t ip_version = 4;
    std::uint8_t prefix_bits = 0;
  };
  std::optional<Network> network = {};
  std::optional<std::uint16_t> port = {};
  std::optional<std::uint8_t> protocol = {};
  std::uint32_t weight = 1;  // 1 to kWeightMax

  bool holds_for(const ConnectionKey& key) const;
};

class QueueWeights {
 public:
  QueueWeights() = default;
  // The first rule that holds counts; else the weight is 1.
  explicit QueueWeights(std::vector<WeightRule> rules) : rules_(std::move(rules)) {}

  std::uint32_t of(const ConnectionKey& key) const;
  bool empty() const { return rules_.empty(); }

 private:
  std::vector<WeightRule> rules_;
};

}  // namespace evenkeel::engine
