#include "packet/tunnel.h"

#include "packet/link.h"

namespace evenkeel::packet {
namespace {

constexpr std::uint16_t kPortVxlan = 4789;
constexpr std::uint16_t kPortVxlanLinux = 8472;  // what Linux used before the number was assigned
constexpr std::uint16_t kPortGeneve = 6081;
constexpr std::uint16_t kPortGtpUser = 2152;

constexpr Network kNotATunnel = {.reason = Reason::kEtherType};

Network find_behind_protocol_type(const Frame& frame, std::uint16_t type, std::uint32_t offset) {
  if (type == kEtherTypeTransparentEthernet) return find_behind_ethernet(frame, offset);
  return find_behind_ether_type(frame, type, offset);
}

// Version 0 without source routes; version 1 is PPTP's. Checksum, key (NVGRE: the tenant) and sequence number
// take 4 bytes each.
Network find_in_gre(const Frame& frame, std::uint32_t offset) {
  constexpr std::uint16_t kChecksum = 0x8000, kRouting = 0x4000, kKey = 0x2000, kSequence = 0x1000;
  constexpr std::uint16_t kVersion = 7;
  if (!frame.holds(offset, 4)) return kNotATunnel;
  const std::uint16_t flags = frame.big16(offset);
  if ((flags & (kRouting | kVersion)) != 0) return kNotATunnel;
  const std::uint16_t type = frame.big16(offset + 2);
  offset += 4;
  for (const std::uint16_t field : {kChecksum, kKey, kSequence}) offset += (flags & field) != 0 ? 4 : 0;
  return find_behind_protocol_type(frame, type, offset);
}

Network find_in_vxlan(const Frame& frame, std::uint32_t offset) {
  constexpr std::uint8_t kNetworkPresent = 8;
  if (!frame.holds(offset, 8) || (frame.byte(offset) & kNetworkPresent) == 0) return kNotATunnel;
  return find_behind_ethernet(frame, offset + 8);
}

Network find_in_geneve(const Frame& frame, std::uint32_t offset) {
  if (!frame.holds(offset, 8) || frame.byte(offset) >> 6 != 0) return kNotATunnel;
  const std::uint32_t options = (frame.byte(offset) & 63) * 4u;
  return find_behind_protocol_type(frame, frame.big16(offset + 2), offset + 8 + options);
}

// Extension headers of GTP-U: length in 4-byte words, ..., type of the next one. 0 where they do not end.
std::uint32_t behind_gtp_extensions(const Frame& frame, std::uint32_t offset, std::uint8_t type) {
  constexpr int kExtensionsMax = 8;
  for (int extensions = 0; type != 0; ++extensions) {
    if (extensions == kExtensionsMax || !frame.holds(offset, 1)) return 0;
    const std::uint32_t size = frame.byte(offset) * 4u;
    if (size == 0 || !frame.holds(offset, size)) return 0;
    type = frame.byte(offset + size - 1);
    offset += size;
  }
  return offset;
}

// Version 1, user data (G-PDU). With any of the flags for extension, sequence or N-PDU number, 4 more bytes,
// the last of which is the type of the first extension where that flag is set.
Network find_in_gtp(const Frame& frame, std::uint32_t offset) {
  constexpr std::uint8_t kVersionAndType = 0xf0, kVersionOneUser = 0x30, kOptional = 7, kExtension = 4;
  constexpr std::uint8_t kUserData = 255;
  if (!frame.holds(offset, 8)) return kNotATunnel;
  const std::uint8_t flags = frame.byte(offset);
  if ((flags & kVersionAndType) != kVersionOneUser || frame.byte(offset + 1) != kUserData) return kNotATunnel;
  std::uint32_t inside = offset + 8;
  if ((flags & kOptional) != 0) {
    if (!frame.holds(inside, 4)) return kNotATunnel;
    const std::uint8_t type = (flags & kExtension) != 0 ? frame.byte(inside + 3) : std::uint8_t{0};
    inside = behind_gtp_extensions(frame, inside + 4, type);
  }
  return inside == 0 ? kNotATunnel : find_by_version(frame, inside);
}

Network find_in_udp(const Datagram& outer) {
  const Frame& frame = outer.frame;
  const std::uint16_t source_port = frame.big16(outer.transport_offset);
  const std::uint16_t destination_port = frame.big16(outer.transport_offset + 2);
  const std::uint32_t inside = outer.transport_offset + 8;
  switch (destination_port) {
    case kPortVxlan:
    case kPortVxlanLinux:
      return find_in_vxlan(frame, inside);
    case kPortGeneve:
      return find_in_geneve(frame, inside);
    case kPortGtpUser:
      return find_in_gtp(frame, inside);
    default:
      return source_port == kPortGtpUser ? find_in_gtp(frame, inside) : kNotATunnel;
  }
}

Network find_inner(const Datagram& outer) {
  switch (outer.protocol) {
    case kProtocolIpv4:
      return find_behind_ether_type(outer.frame, kEtherTypeIpv4, outer.transport_offset);
    case kProtocolIpv6:
      return find_behind_ether_type(outer.frame, kEtherTypeIpv6, outer.transport_offset);
    case kProtocolGre:
      return find_in_gre(outer.frame, outer.transport_offset);
    case kProtocolUdp:
      return find_in_udp(outer);
    default:
      return kNotATunnel;
  }
}

}  // namespace

bool read_inner(const Datagram& outer, Datagram& inner) {
  if (outer.later_fragment || outer.transport_offset == 0) return false;
  const Network network = find_inner(outer);
  return network.reason == Reason::kNone && read_datagram(outer.frame, network, inner) == Reason::kNone;
}

}  // namespace evenkeel::packet
