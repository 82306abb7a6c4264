#include "packet/datagram.h"

namespace evenkeel::packet {
namespace {

constexpr std::uint32_t kIpv4HeaderMin = 20;
constexpr std::uint32_t kIpv6Header = 40;
constexpr int kExtensionsMax = 8;

// The size that the datagram states of itself, within what was on the wire. Captures taken before the
// network card cuts large sends to size (TSO, "BIG TCP", jumbograms of RFC 2675) state 0: then all of the
// frame is the datagram. Padding of short Ethernet frames is cut off here.
void set_extent(const Frame& frame, std::uint32_t stated, Datagram& datagram) {
  const std::uint32_t available = frame.wire - datagram.network_offset;
  datagram.ip_octets = stated == 0 || stated > available ? available : stated;
  datagram.frame = frame.ended_at(datagram.network_offset + datagram.ip_octets);
}

// Where the payload begins, if its header is all there.
void read_tcp(Datagram& datagram) {
  constexpr std::uint32_t kHeaderMin = 20;
  constexpr std::uint32_t kFlagsAt = 13;
  const Frame& frame = datagram.frame;
  const std::uint32_t at = datagram.transport_offset;
  if (frame.holds(at, kFlagsAt + 1)) datagram.tcp_flags = frame.byte(at + kFlagsAt);
  if (!frame.holds(at, kHeaderMin)) return;
  datagram.tcp_header = true;
  const std::uint32_t size = (frame.byte(at + 12) >> 4) * 4u;
  if (size >= kHeaderMin && at + size <= frame.wire) datagram.payload_offset = at + size;
}

// How long the header of a protocol with ports is, where that is fixed.
constexpr std::uint32_t fixed_header_size(std::uint8_t protocol) {
  return protocol == kProtocolUdp ? 8 : 12;  // SCTP
}

constexpr bool has_ports(std::uint8_t protocol) {
  return protocol == kProtocolTcp || protocol == kProtocolUdp || protocol == kProtocolSctp;
}

Reason read_transport(std::uint32_t offset, Datagram& datagram) {
  const Frame& frame = datagram.frame;
  datagram.transport_offset = offset < frame.captured && offset <= Frame::kOffsetMax ? offset : 0;
  if (!has_ports(datagram.protocol)) return Reason::kNone;
  if (!frame.holds(offset, 4)) return frame.missing(offset, 4, Reason::kTransportCut);
  std::memcpy(&datagram.ports, frame.data + offset, sizeof datagram.ports);
  if (datagram.protocol == kProtocolTcp) {
    read_tcp(datagram);
  } else if (const std::uint32_t size = fixed_header_size(datagram.protocol); offset + size <= frame.wire) {
    datagram.payload_offset = offset + size;
  }
  return Reason::kNone;
}

// RFC 4302: an authentication header states its length in 4-byte words less 2; all other extension headers
// (RFC 8200) in 8-byte words less 1.
constexpr std::uint32_t extension_size(std::uint8_t kind, std::uint8_t length) {
  return kind == kProtocolAuthentication ? (length + 2u) * 4 : (length + 1u) * 8;
}

constexpr bool is_extension(std::uint8_t protocol) {
  return protocol == kProtocolHopByHop || protocol == kProtocolRouting || protocol == kProtocolFragment ||
         protocol == kProtocolAuthentication || protocol == kProtocolDestinationOptions;
}

// A fragment header with offset 0 and no more parts ("atomic", RFC 6946) is no fragment.
void read_fragment_header(std::uint32_t offset, Datagram& datagram) {
  const std::uint16_t field = datagram.frame.big16(offset + 2);
  const bool later = (field & 0xfff8) != 0;
  const bool more = (field & 1) != 0;
  datagram.fragment = later || more;
  datagram.later_fragment = later;
  datagram.fragment_protocol = datagram.protocol;
  datagram.identification = datagram.frame.big32(offset + 4);
}

// From the first header behind the IPv6 header to the transport. Stops at a later fragment: what follows it
// is a piece of data.
Reason read_behind_extensions(std::uint32_t offset, Datagram& datagram) {
  const Frame& frame = datagram.frame;
  for (int extensions = 0; is_extension(datagram.protocol); ++extensions) {
    if (extensions == kExtensionsMax) return Reason::kExtensionsTooMany;
    if (!frame.holds(offset, 8)) return frame.missing(offset, 8, Reason::kExtensionCut);
    const std::uint8_t kind = datagram.protocol;
    datagram.protocol = frame.byte(offset);
    if (kind == kProtocolFragment) {
      read_fragment_header(offset, datagram);
      if (datagram.later_fragment) return Reason::kNone;
      offset += 8;
    } else {
      offset += extension_size(kind, frame.byte(offset + 1));
    }
  }
  return read_transport(offset, datagram);
}

Reason read_ipv6(const Frame& frame, Datagram& datagram) {
  const std::uint32_t at = datagram.network_offset;
  if (!frame.holds(at, kIpv6Header)) return frame.missing(at, kIpv6Header, Reason::kIpCut);
  const std::uint32_t payload = frame.big16(at + 4);
  set_extent(frame, payload == 0 ? 0 : kIpv6Header + payload, datagram);
  datagram.protocol = frame.byte(at + 6);
  return read_behind_extensions(at + kIpv6Header, datagram);
}

// An authentication header may stand before the transport in IPv4 too.
Reason read_behind_authentication(std::uint32_t offset, Datagram& datagram) {
  const Frame& frame = datagram.frame;
  if (!frame.holds(offset, 8)) return frame.missing(offset, 8, Reason::kExtensionCut);
  datagram.protocol = frame.byte(offset);
  return read_transport(offset + extension_size(kProtocolAuthentication, frame.byte(offset + 1)), datagram);
}

Reason read_behind_ipv4(std::uint32_t offset, Datagram& datagram) {
  const std::uint16_t field = datagram.frame.big16(datagram.network_offset + 6);
  datagram.later_fragment = (field & 0x1fff) != 0;
  datagram.fragment = datagram.later_fragment || (field & 0x2000) != 0;
  datagram.fragment_protocol = datagram.protocol;
  datagram.identification = datagram.frame.big16(datagram.network_offset + 4);
  if (datagram.later_fragment) return Reason::kNone;
  if (datagram.protocol == kProtocolAuthentication) return read_behind_authentication(offset, datagram);
  return read_transport(offset, datagram);
}

Reason read_ipv4(const Frame& frame, Datagram& datagram) {
  const std::uint32_t at = datagram.network_offset;
  if (!frame.holds(at, kIpv4HeaderMin)) return frame.missing(at, kIpv4HeaderMin, Reason::kIpCut);
  const std::uint32_t header = (frame.byte(at) & 15) * 4u;
  if (header < kIpv4HeaderMin) return Reason::kIpHeaderLength;
  const std::uint32_t stated = frame.big16(at + 2);
  if (stated != 0 && stated < header) return Reason::kIpTotalLength;
  if (at + header > frame.wire) return Reason::kIpCut;
  set_extent(frame, stated, datagram);
  datagram.protocol = frame.byte(at + 9);
  return read_behind_ipv4(at + header, datagram);
}

}  // namespace

Reason read_datagram(const Frame& frame, const Network& network, Datagram& datagram) {
  datagram = Datagram{};
  datagram.ip_version = network.ip_version;
  datagram.network_offset = network.offset;
  return network.ip_version == 4 ? read_ipv4(frame, datagram) : read_ipv6(frame, datagram);
}

}  // namespace evenkeel::packet
