// What the two ends of a generated connection say, packet by packet: the TCP handshake, a request, a response
// acknowledged every second segment, and the close; or a UDP exchange; or a half-open connection. A state
// machine of a few counters, so that hundreds of thousands of connections cost a cache line each.
#pragma once

#include <array>
#include <cstdint>

#include "base/units.h"

namespace evenkeel::source {

enum class Phase : std::uint8_t {
  kSyn,
  kSynAck,
  kHandshakeAck,
  kRequest,
  kResponse,
  kServerFin,
  kClientFin,
  kLastAck,
  kDone,
};

// One connection of the generator: its addresses, and where its conversation stands.
struct alignas(base::kCacheLine) Conversation {
  enum Trait : std::uint8_t {
    kIpv6 = 1,
    kUdp = 2,
    kHalfOpen = 4,  // TCP that ends after the server's SYN ACK
  };

  // IPv4 addresses stand in the first 4 bytes. All in network byte order.
  std::array<std::uint8_t, 16> client_address{};
  std::array<std::uint8_t, 16> server_address{};
  std::array<std::uint8_t, 2> client_port{};
  std::array<std::uint8_t, 2> server_port{};
  std::uint32_t client_sequence = 0;  // TCP: of the next byte that the client sends
  std::uint32_t server_sequence = 0;
  std::uint32_t request_bytes = 0;   // yet to be sent
  std::uint32_t response_bytes = 0;  // yet to be sent
  std::uint16_t address_sum = 0;     // Internet sum of both addresses, for checksums
  std::uint16_t identification = 0;  // IPv4: of the next packet
  Phase phase = Phase::kSyn;
  std::uint8_t traits = 0;
  std::uint8_t unacknowledged = 0;  // segments since the other end last spoke

  bool is(Trait trait) const { return (traits & trait) != 0; }
  bool done() const { return phase == Phase::kDone; }
};
static_assert(sizeof(Conversation) == base::kCacheLine, "picking a connection costs one cache miss");

// The next packet of a conversation.
struct Utterance {
  bool from_server = false;
  std::uint8_t tcp_flags = 0;
  std::uint32_t payload_bytes = 0;
  std::uint32_t sequence = 0;         // TCP: of the sender
  std::uint32_t acknowledgement = 0;  // TCP: what the sender expects next
};

// Says the next packet. Not for a conversation that is done.
Utterance advance(Conversation& conversation);

}  // namespace evenkeel::source
