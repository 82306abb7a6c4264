#include "packet/link.h"

namespace evenkeel::packet {
namespace {

constexpr int kLinkHeadersMax = 8;
constexpr std::uint16_t kLengthMax = 1'500;  // IEEE 802.3: up to here the field is a length, not an EtherType

constexpr std::uint16_t kEtherTypeArp = 0x0806;
constexpr std::uint16_t kEtherTypeRarp = 0x8035;
constexpr std::uint16_t kEtherTypeVlan = 0x8100;
constexpr std::uint16_t kEtherTypeServiceVlan = 0x88a8;
constexpr std::uint16_t kEtherTypeOldQinq = 0x9100;
constexpr std::uint16_t kEtherTypeOlderQinq = 0x9200;
constexpr std::uint16_t kEtherTypeMpls = 0x8847;
constexpr std::uint16_t kEtherTypeMplsMulticast = 0x8848;
constexpr std::uint16_t kEtherTypeFabricPath = 0x8903;
constexpr std::uint16_t kEtherTypePppoeDiscovery = 0x8863;
constexpr std::uint16_t kEtherTypePppoeSession = 0x8864;

constexpr Network none(Reason reason) { return {.reason = reason}; }
constexpr Network found(std::uint8_t version, std::uint32_t offset) {
  return {.ip_version = version, .offset = offset};
}

// What follows a header: an EtherType and where its payload begins; or that the search has ended.
struct Step {
  Network end;  // valid where `done`
  bool done = true;
  std::uint16_t ether_type = 0;
  std::uint32_t offset = 0;
};
Step stop(Network end) { return {.end = end}; }
Step go_on(std::uint16_t ether_type, std::uint32_t offset) {
  return {.end = {}, .done = false, .ether_type = ether_type, .offset = offset};
}

Step behind_vlan(const Frame& frame, std::uint32_t offset) {
  if (!frame.holds(offset, 4)) return stop(none(frame.missing(offset, 4, Reason::kLinkCut)));
  return go_on(frame.big16(offset + 2), offset + 4);
}

Step behind_ethernet(const Frame& frame, std::uint32_t offset) {
  if (!frame.holds(offset, 14)) return stop(none(frame.missing(offset, 14, Reason::kLinkCut)));
  return go_on(frame.big16(offset + 12), offset + 14);
}

// RFC 1042: LLC with a SNAP header of organisation 0 carries an EtherType.
Step behind_llc(const Frame& frame, std::uint32_t offset) {
  constexpr std::uint32_t kSnapPrefix = 0xaaaa'0300;
  if (!frame.holds(offset, 8)) return stop(none(frame.missing(offset, 8, Reason::kLlc)));
  const bool snap = frame.big32(offset) == kSnapPrefix && frame.big16(offset + 4) == 0;
  const std::uint16_t ether_type = frame.big16(offset + 6);
  if (!snap || ether_type <= kLengthMax) return stop(none(Reason::kLlc));
  return go_on(ether_type, offset + 8);
}

constexpr bool is_known(std::uint16_t ether_type) {
  switch (ether_type) {
    case kEtherTypeIpv4:
    case kEtherTypeIpv6:
    case kEtherTypeArp:
    case kEtherTypeVlan:
    case kEtherTypeServiceVlan:
    case kEtherTypeMpls:
    case kEtherTypePppoeSession:
      return true;
    default:
      return false;
  }
}

// RFC 4448: a pseudowire carries Ethernet behind a control word of 4 bytes that begins with 0000. Without a
// control word it cannot be told from IP with certainty; such frames are left alone. The EtherType must be
// one that is known here, for the first 4 bits alone say little.
Step behind_pseudowire(const Frame& frame, std::uint32_t offset) {
  if (!frame.holds(offset, 18)) return stop(none(frame.missing(offset, 18, Reason::kMplsPayload)));
  const Step next = behind_ethernet(frame, offset + 4);
  return is_known(next.ether_type) ? next : stop(none(Reason::kMplsPayload));
}

// RFC 3032: labels of 4 bytes up to the one with the bottom bit. The payload's kind is not written anywhere;
// its first 4 bits are what every router goes by (RFC 4928).
Step behind_mpls(const Frame& frame, std::uint32_t offset) {
  for (int labels = 0; labels < kLinkHeadersMax; ++labels, offset += 4) {
    if (!frame.holds(offset, 4)) return stop(none(frame.missing(offset, 4, Reason::kLinkCut)));
    const bool bottom = (frame.byte(offset + 2) & 1) != 0;
    if (!bottom) continue;
    offset += 4;
    if (!frame.holds(offset, 1)) return stop(none(frame.missing(offset, 1, Reason::kLinkCut)));
    const int nibble = frame.byte(offset) >> 4;
    if (nibble == 4 || nibble == 6) return stop(find_by_version(frame, offset));
    if (nibble == 0) return behind_pseudowire(frame, offset);
    return stop(none(Reason::kMplsPayload));
  }
  return stop(none(Reason::kLinkTooDeep));
}

// RFC 2516: version and type 1, code 0 for data; then a PPP protocol, of one byte where compressed (RFC
// 1661).
Step behind_pppoe(const Frame& frame, std::uint32_t offset) {
  constexpr std::uint16_t kPppIpv4 = 0x0021;
  constexpr std::uint16_t kPppIpv6 = 0x0057;
  if (!frame.holds(offset, 8)) return stop(none(frame.missing(offset, 8, Reason::kLinkCut)));
  if (frame.byte(offset + 1) != 0) return stop(none(Reason::kPppControl));
  const bool compressed = (frame.byte(offset + 6) & 1) != 0;
  const std::uint16_t protocol = compressed ? frame.byte(offset + 6) : frame.big16(offset + 6);
  offset += compressed ? 7 : 8;
  if (protocol == kPppIpv4) return go_on(kEtherTypeIpv4, offset);
  if (protocol == kPppIpv6) return go_on(kEtherTypeIpv6, offset);
  return stop(none(Reason::kPppControl));
}

// Cisco FabricPath: the outer addresses name switches; a tag of 2 bytes, then the whole Ethernet frame.
Step behind_fabric_path(const Frame& frame, std::uint32_t offset) {
  return behind_ethernet(frame, offset + 2);
}

Step behind_ip_announcement(const Frame& frame, std::uint8_t version, std::uint32_t offset) {
  if (!frame.holds(offset, 1)) return stop(none(frame.missing(offset, 1, Reason::kIpCut)));
  if (frame.byte(offset) >> 4 != version) return stop(none(Reason::kIpVersion));
  return stop(found(version, offset));
}

Step step(const Frame& frame, std::uint16_t ether_type, std::uint32_t offset) {
  switch (ether_type) {
    case kEtherTypeIpv4:
      return behind_ip_announcement(frame, 4, offset);
    case kEtherTypeIpv6:
      return behind_ip_announcement(frame, 6, offset);
    case kEtherTypeVlan:
    case kEtherTypeServiceVlan:
    case kEtherTypeOldQinq:
    case kEtherTypeOlderQinq:
      return behind_vlan(frame, offset);
    case kEtherTypeMpls:
    case kEtherTypeMplsMulticast:
      return behind_mpls(frame, offset);
    case kEtherTypePppoeSession:
      return behind_pppoe(frame, offset);
    case kEtherTypeFabricPath:
      return behind_fabric_path(frame, offset);
    case kEtherTypePppoeDiscovery:
      return stop(none(Reason::kPppControl));
    case kEtherTypeArp:
    case kEtherTypeRarp:
      return stop(none(Reason::kArp));
    default:
      return ether_type <= kLengthMax ? behind_llc(frame, offset) : stop(none(Reason::kEtherType));
  }
}

Network find_behind_step(const Frame& frame, Step next) {
  for (int headers = 0; !next.done; ++headers) {
    if (headers > kLinkHeadersMax) return none(Reason::kLinkTooDeep);
    next = step(frame, next.ether_type, next.offset);
  }
  return next.end;
}

// The family is in the byte order of the machine that captured (DLT_NULL) or in network order (DLT_LOOP):
// numbers below 256 tell which. IPv6 has four numbers: Linux 10, NetBSD and OpenBSD 24, FreeBSD 28, macOS 30.
Network find_behind_loopback(const Frame& frame) {
  if (!frame.holds(0, 4)) return none(frame.missing(0, 4, Reason::kLinkCut));
  const std::uint32_t family = frame.byte(0) != 0 ? frame.byte(0) : frame.big32(0);
  switch (family) {
    case 2:
      return find_behind_ether_type(frame, kEtherTypeIpv4, 4);
    case 10:
    case 24:
    case 28:
    case 30:
      return find_behind_ether_type(frame, kEtherTypeIpv6, 4);
    default:
      return none(Reason::kAddressFamily);
  }
}

Network find_behind_cooked(const Frame& frame, std::uint32_t header_size, std::uint32_t protocol_offset) {
  if (!frame.holds(0, header_size)) return none(frame.missing(0, header_size, Reason::kLinkCut));
  return find_behind_ether_type(frame, frame.big16(protocol_offset), header_size);
}

}  // namespace

Network find_behind_ether_type(const Frame& frame, std::uint16_t ether_type, std::uint32_t offset) {
  return find_behind_step(frame, go_on(ether_type, offset));
}

Network find_behind_ethernet(const Frame& frame, std::uint32_t offset) {
  return find_behind_step(frame, behind_ethernet(frame, offset));
}

Network find_by_version(const Frame& frame, std::uint32_t offset) {
  if (!frame.holds(offset, 1)) return none(frame.missing(offset, 1, Reason::kIpCut));
  const int version = frame.byte(offset) >> 4;
  if (version != 4 && version != 6) return none(Reason::kIpVersion);
  return found(static_cast<std::uint8_t>(version), offset);
}

Network find_network(const Frame& frame, LinkType link) {
  switch (link) {
    case LinkType::kEthernet:
      return find_behind_ethernet(frame, 0);
    case LinkType::kRawIp:
      return find_by_version(frame, 0);
    case LinkType::kBsdLoopback:
      return find_behind_loopback(frame);
    case LinkType::kLinuxCooked:
      return find_behind_cooked(frame, 16, 14);
    case LinkType::kLinuxCookedTwo:
      return find_behind_cooked(frame, 20, 0);
  }
  return none(Reason::kEtherType);
}

}  // namespace evenkeel::packet
