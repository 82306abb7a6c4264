// One end of a connection: an address and a port.
//
// Thread: [any]. Values.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "evenkeel/api.h"
#include "evenkeel/packet.h"

namespace evenkeel {

struct Endpoint {
  std::array<std::uint8_t, 16> address{};  // network byte order; IPv4 in the first 4 bytes, the rest zero
  std::uint16_t port = 0;                  // 0 for protocols without ports
  std::uint8_t ip_version = 4;

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

inline Endpoint low_end(const ConnectionKey& key) {
  return {key.low_address, static_cast<std::uint16_t>(key.low_port[0] << 8 | key.low_port[1]),
          key.ip_version};
}
inline Endpoint high_end(const ConnectionKey& key) {
  return {key.high_address, static_cast<std::uint16_t>(key.high_port[0] << 8 | key.high_port[1]),
          key.ip_version};
}

inline Endpoint source_of(const Packet& packet) {
  return packet.reversed() ? high_end(packet.key) : low_end(packet.key);
}
inline Endpoint destination_of(const Packet& packet) {
  return packet.reversed() ? low_end(packet.key) : high_end(packet.key);
}

// "192.0.2.1:443", "[2001:db8::1]:443". Allocates.
EVENKEEL_API std::string to_string(const Endpoint& endpoint);
// The address alone: "192.0.2.1", "2001:db8::1". Allocates.
EVENKEEL_API std::string address_text(const Endpoint& endpoint);

}  // namespace evenkeel
