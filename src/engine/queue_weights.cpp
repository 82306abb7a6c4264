#include "engine/queue_weights.h"

#include <algorithm>
#include <cstring>
#include <span>

namespace evenkeel::engine {

namespace {

bool lies_in(const std::array<std::uint8_t, 16>& address, const WeightRule::Network& network) {
  const std::size_t whole_bytes = network.prefix_bits / 8;
  if (std::memcmp(address.data(), network.address.data(), whole_bytes) != 0) return false;
  const unsigned rest = network.prefix_bits % 8;
  if (rest == 0) return true;
  const unsigned differing = address[whole_bytes] ^ network.address[whole_bytes];
  return differing >> (8 - rest) == 0;
}

bool is_port(const std::array<std::uint8_t, 2>& bytes, std::uint16_t port) {
  return (bytes[0] << 8 | bytes[1]) == port;
}

}  // namespace

bool WeightRule::holds_for(const ConnectionKey& key) const {
  if (protocol && *protocol != key.protocol) return false;
  if (port && !is_port(key.low_port, *port) && !is_port(key.high_port, *port)) return false;
  if (!network) return true;
  return network->ip_version == key.ip_version &&
         (lies_in(key.low_address, *network) || lies_in(key.high_address, *network));
}

std::uint32_t QueueWeights::of(const ConnectionKey& key) const {
  const auto rule = std::find_if(rules_.begin(), rules_.end(),
                                 [&](const WeightRule& candidate) { return candidate.holds_for(key); });
  return rule == rules_.end() ? 1 : rule->weight;
}

}  // namespace evenkeel::engine
