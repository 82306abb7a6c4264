// The fast way through parsing for the packets that most traffic consists of: Ethernet with at most one VLAN
// tag, IPv4 without options or IPv6 without extension headers, TCP or UDP, whole headers, no fragment.
//
// In a header, so that the dispatcher's loop has it without a call. Internal to src/packet and the
// dispatcher; all others use parse().
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "packet/datagram.h"
#include "packet/link.h"
#include "packet/parse.h"

namespace evenkeel::packet {
namespace plain {

constexpr std::uint16_t kEtherTypeVlan = 0x8100;

constexpr std::uint32_t kEthernetHeader = 14;
constexpr std::uint32_t kVlanTag = 4;
constexpr std::uint32_t kIpv4Header = 20;
constexpr std::uint32_t kIpv6Header = 40;
constexpr std::uint32_t kTcpHeaderMin = 20;
constexpr std::uint8_t kVersionFourNoOptions = 0x45;
constexpr std::uint32_t kUdpHeader = 8;

template <typename Word>
Word load(const std::uint8_t* from) {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

constexpr std::uint64_t from_network(std::uint64_t word) {
  return std::endian::native == std::endian::little ? __builtin_bswap64(word) : word;
}
constexpr std::uint32_t from_network(std::uint32_t word) {
  return std::endian::native == std::endian::little ? __builtin_bswap32(word) : word;
}

// The last 8 bytes of a key: ports, protocol, version, and zeros.
inline std::uint64_t key_tail(std::uint32_t ports, std::uint8_t protocol, std::uint8_t ip_version) {
  if constexpr (std::endian::native == std::endian::little) {
    return ports | std::uint64_t{protocol} << 32 | std::uint64_t{ip_version} << 40;
  } else {
    return std::uint64_t{ports} << 32 | std::uint64_t{protocol} << 24 | std::uint64_t{ip_version} << 16;
  }
}

// The word whose first 4 bytes are these, the others zero.
constexpr std::uint64_t first_half(std::uint32_t bytes) {
  return std::endian::native == std::endian::little ? bytes : std::uint64_t{bytes} << 32;
}

// Which endpoint is the lower one is as good as random, so nothing branches on it. The key is written in
// words as wide as those that it will be read in: a wide load that follows narrow stores waits until these
// have left the store buffer.
struct KeyWords {
  std::uint64_t low[2];
  std::uint64_t high[2];
  std::uint64_t tail;
};
static_assert(sizeof(KeyWords) == sizeof(ConnectionKey));

inline void store(const KeyWords& words, ConnectionKey& key) {
  auto* const bytes = reinterpret_cast<std::uint8_t*>(&key);
  std::memcpy(bytes, &words.low[0], 8);
  std::memcpy(bytes + 8, &words.low[1], 8);
  std::memcpy(bytes + 16, &words.high[0], 8);
  std::memcpy(bytes + 24, &words.high[1], 8);
  std::memcpy(bytes + 32, &words.tail, 8);
}

// Both addresses are compared at once: (source, destination) is greater than (destination, source) exactly
// where source is greater than destination.
inline bool fill_ipv4_key(const std::uint8_t* addresses, std::uint32_t ports, std::uint8_t protocol,
                          ConnectionKey& key) {
  const auto pair = load<std::uint64_t>(addresses);
  const std::uint64_t numbers = from_network(pair);
  const std::uint64_t swapped = std::rotl(numbers, 32);
  bool reversed = numbers > swapped;
  if (numbers == swapped) [[unlikely]] {
    reversed = from_network(ports) > std::rotl(from_network(ports), 16);
  }
  const std::uint64_t ordered = std::rotl(pair, static_cast<int>(reversed) * 32);
  const std::uint32_t own_ports = std::rotl(ports, static_cast<int>(reversed) * 16);
  const auto lower_half = static_cast<std::uint32_t>(ordered);
  const auto upper_half = static_cast<std::uint32_t>(ordered >> 32);
  constexpr bool kLittle = std::endian::native == std::endian::little;
  store({{first_half(kLittle ? lower_half : upper_half), 0},
         {first_half(kLittle ? upper_half : lower_half), 0},
         key_tail(own_ports, protocol, 4)},
        key);
  return reversed;
}

inline bool fill_ipv6_key(const std::uint8_t* addresses, std::uint32_t ports, std::uint8_t protocol,
                          ConnectionKey& key) {
  using Address = unsigned __int128;
  const auto address_at = [](const std::uint8_t* from) {
    return Address{from_network(load<std::uint64_t>(from))} << 64 |
           from_network(load<std::uint64_t>(from + 8));
  };
  const Address source = address_at(addresses), destination = address_at(addresses + 16);
  const std::uint32_t port_numbers = from_network(ports);
  const bool ports_reversed = port_numbers >> 16 > (port_numbers & 0xffff);
  const bool reversed = (source > destination) | ((source == destination) & ports_reversed);
  const std::uint8_t* const low = addresses + (reversed ? 16 : 0);
  const std::uint8_t* const high = addresses + (reversed ? 0 : 16);
  const std::uint32_t own_ports = std::rotl(ports, static_cast<int>(reversed) * 16);
  store({{load<std::uint64_t>(low), load<std::uint64_t>(low + 8)},
         {load<std::uint64_t>(high), load<std::uint64_t>(high + 8)},
         key_tail(own_ports, protocol, 6)},
        key);
  return reversed;
}

// Where the headers of a packet of this kind stand.
struct Plain {
  std::uint32_t network_offset;
  std::uint32_t transport_offset;
  std::uint32_t ip_octets;
  std::uint32_t end() const { return network_offset + ip_octets; }
};

// Whether the transport's fixed header is captured and inside the datagram, and the datagram inside the
// frame.
inline bool holds_headers(const Packet& packet, const Plain& plain, std::uint32_t header_size) {
  const std::uint32_t header_end = plain.transport_offset + header_size;
  return header_end <= packet.captured_length && header_end <= plain.end() &&
         plain.end() <= packet.wire_length;
}

inline void fill_offsets(const Plain& plain, std::uint32_t payload_offset, Packet& packet) {
  packet.ip_octets = plain.ip_octets;
  packet.network_offset = static_cast<std::uint16_t>(plain.network_offset);
  packet.transport_offset = static_cast<std::uint16_t>(plain.transport_offset);
  packet.payload_offset = static_cast<std::uint16_t>(payload_offset);
}

// Inlined, here and below: else what it is told of the packet goes through memory.
[[gnu::always_inline]] inline void fill_tcp(const Plain& plain, const std::uint8_t* header, bool reversed,
                                            Packet& packet) {
  static_assert(Packet::kReversed == 1);
  const std::uint32_t size = header[12] >> 2 & 0x3cu;  // its upper half, in words of 4 bytes
  const bool plausible = size >= kTcpHeaderMin && plain.transport_offset + size <= plain.end();
  fill_offsets(plain, plausible ? plain.transport_offset + size : 0, packet);
  packet.flags = static_cast<std::uint8_t>(Packet::kTcpHeader | static_cast<std::uint8_t>(reversed));
  packet.tcp_flags = header[13];
}

[[gnu::always_inline]] inline void fill_udp(const Plain& plain, bool reversed, Packet& packet) {
  fill_offsets(plain, plain.transport_offset + kUdpHeader, packet);
  packet.flags = static_cast<std::uint8_t>(reversed);
  packet.tcp_flags = 0;
}

// Fills everything where the transport is one of the two, and all there. UDP may be a tunnel.
template <typename FillKey>
[[gnu::always_inline]] inline bool fill_transport(const Plain& plain, const std::uint8_t* header,
                                                  std::uint8_t protocol, const ParseOptions& options,
                                                  Packet& packet, const FillKey& fill_key) {
  if (protocol == kProtocolTcp && holds_headers(packet, plain, kTcpHeaderMin)) [[likely]] {
    fill_tcp(plain, header, fill_key(load<std::uint32_t>(header)), packet);
    return true;
  }
  if (protocol == kProtocolUdp && !options.inner_tunnel && holds_headers(packet, plain, kUdpHeader)) {
    fill_udp(plain, fill_key(load<std::uint32_t>(header)), packet);
    return true;
  }
  return false;
}

// Behind a header that is IPv4 without options, of which 20 bytes are captured.
[[gnu::always_inline]] inline bool parse_ipv4(Packet& packet, const ParseOptions& options,
                                              const std::uint8_t* header, std::uint32_t offset) {
  const bool fragment = (load_big16(header + 6) & 0x3fff) != 0;
  if (fragment) [[unlikely]]
    return false;
  const Plain plain{offset, offset + kIpv4Header, load_big16(header + 2)};
  const std::uint8_t protocol = header[9];
  return fill_transport(plain, header + kIpv4Header, protocol, options, packet, [&](std::uint32_t ports) {
    return fill_ipv4_key(header + 12, ports, protocol, packet.key);
  });
}

inline bool parse_ipv6(Packet& packet, const ParseOptions& options, const std::uint8_t* header,
                       std::uint32_t offset) {
  if (packet.captured_length < offset + kIpv6Header || header[0] >> 4 != 6) return false;
  const Plain plain{offset, offset + kIpv6Header, kIpv6Header + load_big16(header + 4)};
  const std::uint8_t protocol = header[6];
  return fill_transport(plain, header + kIpv6Header, protocol, options, packet, [&](std::uint32_t ports) {
    return fill_ipv6_key(header + 8, ports, protocol, packet.key);
  });
}

// With a VLAN tag, or IPv6.
[[gnu::noinline]] inline bool parse_less_plain(Packet& packet, const ParseOptions& options) {
  const std::uint8_t* const data = packet.data;
  std::uint32_t offset = kEthernetHeader;
  std::uint16_t ether_type = load_big16(data + 12);
  if (ether_type == kEtherTypeVlan) {
    ether_type = load_big16(data + 16);
    offset += kVlanTag;
  }
  if (ether_type == kEtherTypeIpv6) return parse_ipv6(packet, options, data + offset, offset);
  return ether_type == kEtherTypeIpv4 && data[offset] == kVersionFourNoOptions &&
         parse_ipv4(packet, options, data + offset, offset);
}

}  // namespace plain

// Fills what parse() fills and says true, or false where the packet is for parse_carefully().
[[gnu::always_inline]] inline bool parse_plain(Packet& packet, const ParseOptions& options) {
  constexpr std::uint32_t kEnough = plain::kEthernetHeader + plain::kVlanTag + plain::kIpv4Header;
  if (packet.link != LinkType::kEthernet || packet.captured_length < kEnough) [[unlikely]]
    return false;
  // The EtherType and the first byte behind it at once.
  const std::uint32_t type_and_version =
      plain::from_network(plain::load<std::uint32_t>(packet.data + 12)) >> 8;
  if (type_and_version == (std::uint32_t{kEtherTypeIpv4} << 8 | plain::kVersionFourNoOptions)) [[likely]]
    return plain::parse_ipv4(packet, options, packet.data + plain::kEthernetHeader, plain::kEthernetHeader);
  return plain::parse_less_plain(packet, options);
}

}  // namespace evenkeel::packet
