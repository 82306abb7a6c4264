// IP headers and the ports behind them. Internal to src/packet.
#pragma once

#include "packet/frame.h"

namespace evenkeel::packet {

inline constexpr std::uint8_t kProtocolHopByHop = 0;
inline constexpr std::uint8_t kProtocolIcmp = 1;
inline constexpr std::uint8_t kProtocolIpv4 = 4;  // IP-in-IP
inline constexpr std::uint8_t kProtocolTcp = 6;
inline constexpr std::uint8_t kProtocolUdp = 17;
inline constexpr std::uint8_t kProtocolIpv6 = 41;  // 6in4
inline constexpr std::uint8_t kProtocolRouting = 43;
inline constexpr std::uint8_t kProtocolFragment = 44;
inline constexpr std::uint8_t kProtocolGre = 47;
inline constexpr std::uint8_t kProtocolAuthentication = 51;
inline constexpr std::uint8_t kProtocolIcmpv6 = 58;
inline constexpr std::uint8_t kProtocolDestinationOptions = 60;
inline constexpr std::uint8_t kProtocolSctp = 132;

// What was read of one IP datagram. Offsets are those of the packet; 0: not there, or not captured.
struct Datagram {
  Frame frame{};  // ends where the datagram ends
  std::uint8_t ip_version = 0;
  std::uint8_t protocol = 0;
  bool fragment = false;
  bool later_fragment = false;
  bool tcp_header = false;
  std::uint8_t tcp_flags = 0;
  std::uint8_t fragment_protocol = 0;
  std::uint32_t identification = 0;
  std::uint32_t ip_octets = 0;
  std::uint32_t network_offset = 0;
  std::uint32_t transport_offset = 0;
  std::uint32_t payload_offset = 0;
  std::uint32_t ports = 0;  // source, destination: 4 bytes as they stand in the packet

  const std::uint8_t* source_address() const {
    return frame.data + network_offset + (ip_version == 4 ? 12 : 8);
  }
};

// Reads the headers of the datagram at `network`. Not kNone: `datagram` is of no use.
Reason read_datagram(const Frame& frame, const Network& network, Datagram& datagram);

}  // namespace evenkeel::packet
