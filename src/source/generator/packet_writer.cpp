#include "source/generator/packet_writer.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace evenkeel::source {
namespace {

constexpr std::size_t kEthernetBytes = 14;
constexpr std::size_t kIpv4Bytes = 20;
constexpr std::size_t kIpv6Bytes = 40;
constexpr std::size_t kTcpBytes = 20;
constexpr std::size_t kUdpBytes = 8;
constexpr std::uint32_t kFrameBytesMin = 60;  // without the check sequence
constexpr std::uint8_t kProtocolTcp = 6;
constexpr std::uint8_t kProtocolUdp = 17;
constexpr std::uint8_t kHopLimit = 64;
constexpr std::uint16_t kWindow = 0xfaf0;

constexpr void put16(std::uint8_t* to, std::uint32_t value) {
  to[0] = static_cast<std::uint8_t>(value >> 8);
  to[1] = static_cast<std::uint8_t>(value);
}

constexpr void put32(std::uint8_t* to, std::uint32_t value) {
  put16(to, value >> 16);
  put16(to + 2, value);
}

constexpr std::uint32_t get16(const std::uint8_t* from) {
  return static_cast<std::uint32_t>(from[0] << 8 | from[1]);
}

constexpr std::uint32_t halves(std::uint32_t value) { return (value >> 16) + (value & 0xffff); }

constexpr std::uint16_t fold(std::uint32_t sum) { return static_cast<std::uint16_t>(halves(halves(sum))); }

using Frame = std::array<std::uint8_t, kSnapBytes>;

// Index of a template: traits (kIpv6, kUdp), and 4 for packets from the server.
constexpr std::size_t kFromServer = 4;

constexpr void put_ipv4(std::uint8_t* ip, std::uint8_t protocol) {
  ip[0] = 0x45;
  ip[6] = 0x40;  // do not fragment
  ip[8] = kHopLimit;
  ip[9] = protocol;
}

constexpr void put_ipv6(std::uint8_t* ip, std::uint8_t protocol) {
  ip[0] = 0x60;
  ip[6] = protocol;
  ip[7] = kHopLimit;
}

// All that is the same in the frames of one kind.
constexpr Frame make_template(std::size_t kind) {
  Frame frame{};
  const bool from_server = (kind & kFromServer) != 0;
  const bool ipv6 = (kind & Conversation::kIpv6) != 0;
  const bool udp = (kind & Conversation::kUdp) != 0;
  frame[0] = frame[6] = 0x02;  // locally administered addresses: 1 is the clients' side, 2 the servers'
  frame[5] = from_server ? 1 : 2;
  frame[11] = from_server ? 2 : 1;
  put16(&frame[12], ipv6 ? 0x86dd : 0x0800);
  const std::uint8_t protocol = udp ? kProtocolUdp : kProtocolTcp;
  std::uint8_t* const ip = &frame[kEthernetBytes];
  if (ipv6) {
    put_ipv6(ip, protocol);
  } else {
    put_ipv4(ip, protocol);
  }
  if (!udp) {
    std::uint8_t* const tcp = ip + (ipv6 ? kIpv6Bytes : kIpv4Bytes);
    tcp[12] = kTcpBytes / 4 << 4;
    put16(tcp + 14, kWindow);
  }
  return frame;
}

constexpr std::array<Frame, 8> kTemplates = [] {
  std::array<Frame, 8> templates{};
  for (std::size_t kind = 0; kind < templates.size(); ++kind) templates[kind] = make_template(kind);
  return templates;
}();

// Fills in the network header; `ip_payload` is what follows it. Returns where the transport header begins.
std::uint8_t* write_network(Conversation& c, bool from_server, std::uint32_t ip_payload, std::uint8_t* ip) {
  const auto& source = from_server ? c.server_address : c.client_address;
  const auto& destination = from_server ? c.client_address : c.server_address;
  if (c.is(Conversation::kIpv6)) {
    put16(ip + 4, ip_payload);
    std::memcpy(ip + 8, source.data(), 16);
    std::memcpy(ip + 24, destination.data(), 16);
    return ip + kIpv6Bytes;
  }
  const std::uint32_t total = static_cast<std::uint32_t>(kIpv4Bytes) + ip_payload;
  const std::uint32_t identification = c.identification++;
  put16(ip + 2, total);
  put16(ip + 4, identification);
  const std::uint32_t constant = 0x4500u + 0x4000u + (kHopLimit << 8 | ip[9]);
  put16(ip + 10, static_cast<std::uint16_t>(~fold(constant + total + identification + c.address_sum)));
  std::memcpy(ip + 12, source.data(), 4);
  std::memcpy(ip + 16, destination.data(), 4);
  return ip + kIpv4Bytes;
}

void write_tcp(const Utterance& utterance, std::uint32_t sum, std::uint8_t* tcp) {
  put32(tcp + 4, utterance.sequence);
  put32(tcp + 8, utterance.acknowledgement);
  tcp[13] = utterance.tcp_flags;
  sum += halves(utterance.sequence) + halves(utterance.acknowledgement) + get16(tcp + 12) + kWindow;
  put16(tcp + 16, static_cast<std::uint16_t>(~fold(sum)));
}

void write_udp(std::uint32_t length, std::uint32_t sum, std::uint8_t* udp) {
  put16(udp + 4, length);
  const auto checksum = static_cast<std::uint16_t>(~fold(sum + length));
  put16(udp + 6, checksum == 0 ? 0xffff : checksum);  // RFC 768: 0 would mean none
}

}  // namespace

std::uint32_t write_frame(Conversation& c, const Utterance& utterance, std::uint8_t* to) {
  const bool from_server = utterance.from_server;
  const bool udp = c.is(Conversation::kUdp);
  const std::size_t kind =
      (c.traits & (Conversation::kIpv6 | Conversation::kUdp)) + (from_server ? kFromServer : 0);
  std::memcpy(to, kTemplates[kind].data(), kSnapBytes);
  const std::uint32_t length =
      utterance.payload_bytes + static_cast<std::uint32_t>(udp ? kUdpBytes : kTcpBytes);
  std::uint8_t* const transport = write_network(c, from_server, length, to + kEthernetBytes);
  std::memcpy(transport, (from_server ? c.server_port : c.client_port).data(), 2);
  std::memcpy(transport + 2, (from_server ? c.client_port : c.server_port).data(), 2);
  // Of the pseudo header and the ports.
  const std::uint32_t sum =
      c.address_sum + length + (udp ? kProtocolUdp : kProtocolTcp) + get16(transport) + get16(transport + 2);
  if (udp) {
    write_udp(length, sum, transport);
  } else {
    write_tcp(utterance, sum, transport);
  }
  return std::max(kFrameBytesMin, static_cast<std::uint32_t>(transport - to) + length);
}

std::uint16_t address_sum(const Conversation& c) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < c.client_address.size(); i += 2) {
    sum += get16(&c.client_address[i]) + get16(&c.server_address[i]);
  }
  return fold(sum);
}

}  // namespace evenkeel::source
