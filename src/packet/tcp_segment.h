// What a TCP header says of the order of bytes (RFC 9293, 3.1 and 3.4).
#pragma once

#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "evenkeel/packet.h"

namespace evenkeel::packet {

namespace tcp {
inline constexpr std::uint8_t kFin = 0x01;
inline constexpr std::uint8_t kSyn = 0x02;
inline constexpr std::uint8_t kRst = 0x04;
inline constexpr std::uint8_t kAck = 0x10;
}  // namespace tcp

struct TcpSegment {
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgment = 0;  // of use with the flag ACK alone
  std::uint32_t length = 0;          // in sequence numbers: bytes of data; SYN and FIN count one each

  std::uint32_t end() const { return sequence + length; }
};

// Sequence numbers wrap around: a comes after b if it is less than 2^31 ahead.
inline bool comes_after(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) > 0; }

// Requires the flag kTcpHeader. Where the header's options are cut off, its data counts as none. Cost: reads
// the packet's bytes, about ten instructions.
inline TcpSegment tcp_segment(const Packet& packet) {
  DCHECK((packet.flags & Packet::kTcpHeader) != 0);
  const std::uint8_t* const header = packet.data + packet.transport_offset;
  TcpSegment segment;
  std::uint64_t numbers;
  std::memcpy(&numbers, header + 4, sizeof numbers);
  numbers = __builtin_bswap64(numbers);
  segment.sequence = static_cast<std::uint32_t>(numbers >> 32);
  segment.acknowledgment = static_cast<std::uint32_t>(numbers);
  // A payload offset is within the datagram.
  if (packet.payload_offset != 0)
    segment.length = packet.ip_octets + packet.network_offset - packet.payload_offset;
  segment.length += (packet.tcp_flags & tcp::kFin) + ((packet.tcp_flags & tcp::kSyn) >> 1);
  return segment;
}

}  // namespace evenkeel::packet
