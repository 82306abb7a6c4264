// A packet as a handler sees it, and the connection that it belongs to.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace evenkeel {

// Both directions of a 5-tuple, in one canonical form: endpoint `low` is the smaller of the two (address,
// then port), so that both directions of a connection have the same key. IPv4 addresses stand in the first 4
// bytes, the rest is zero. All fields are in network byte order. 40 bytes without padding: compared and
// hashed as bytes.
struct ConnectionKey {
  std::array<std::uint8_t, 16> low_address{};
  std::array<std::uint8_t, 16> high_address{};
  std::array<std::uint8_t, 2> low_port{};
  std::array<std::uint8_t, 2> high_port{};
  std::uint8_t protocol = 0;    // IP protocol number of the transport
  std::uint8_t ip_version = 0;  // 4 or 6
  std::uint16_t reserved = 0;   // zero

  friend bool operator==(const ConnectionKey&, const ConnectionKey&) = default;
};
static_assert(sizeof(ConnectionKey) == 40);

}  // namespace evenkeel
