// Link headers: from the first byte of a frame to its IP header. Internal to src/packet.
#pragma once

#include "packet/frame.h"

namespace evenkeel::packet {

inline constexpr std::uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr std::uint16_t kEtherTypeIpv6 = 0x86dd;
inline constexpr std::uint16_t kEtherTypeTransparentEthernet = 0x6558;  // in GRE and GENEVE

// Behind the first header of a capture of this link type.
Network find_network(const Frame& frame, LinkType link);

// Behind an Ethernet header at `offset`.
Network find_behind_ethernet(const Frame& frame, std::uint32_t offset);

// The payload at `offset` is of this EtherType.
Network find_behind_ether_type(const Frame& frame, std::uint16_t ether_type, std::uint32_t offset);

// IP at `offset`, of the version that its first 4 bits tell.
Network find_by_version(const Frame& frame, std::uint32_t offset);

}  // namespace evenkeel::packet
