#include "packet/parse.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <memory>

#include "packet_builder.h"

namespace evenkeel::packet {
namespace {

using tests::PacketBuilder;
using tests::TestPacket;

constexpr ParseOptions kOuter{.inner_tunnel = false};
constexpr ParseOptions kInner{.inner_tunnel = true};

// Parses a copy on the heap of exactly the captured size, so that AddressSanitizer sees any read beyond it.
struct Parsed {
  Packet packet;
  ParseResult result;
  std::unique_ptr<std::uint8_t[]> bytes;

  explicit Parsed(const TestPacket& test, const ParseOptions& options = kOuter)
      : packet(tests::descriptor_of(test)), bytes(new std::uint8_t[test.bytes.size()]) {
    std::copy(test.bytes.begin(), test.bytes.end(), bytes.get());
    packet.data = bytes.get();
    result = parse(packet, options);
  }
};

std::string address_text(const std::array<std::uint8_t, 16>& address, int version) {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(version == 4 ? AF_INET : AF_INET6, address.data(), text, sizeof text);
  return text;
}

int port_of(const std::array<std::uint8_t, 2>& port) { return port[0] << 8 | port[1]; }

// "source port > destination port protocol", in the packet's own direction.
std::string connection_text(const Packet& packet) {
  const ConnectionKey& key = packet.key;
  std::string low =
      address_text(key.low_address, key.ip_version) + " " + std::to_string(port_of(key.low_port));
  std::string high =
      address_text(key.high_address, key.ip_version) + " " + std::to_string(port_of(key.high_port));
  if (packet.reversed()) std::swap(low, high);
  return low + " > " + high + " " + std::to_string(key.protocol);
}

std::string connection_of(const TestPacket& test, const ParseOptions& options = kOuter) {
  const Parsed parsed(test, options);
  if (!parsed.result.connection()) return std::string(name_of(parsed.result.reason));
  return connection_text(parsed.packet);
}

PacketBuilder& tcp_in_ipv4(PacketBuilder& builder) {
  return builder.ipv4("10.0.0.1", "10.0.0.2").tcp(1000, 80).payload(100);
}
PacketBuilder& tcp_in_ipv6(PacketBuilder& builder) {
  return builder.ipv6("2001:db8::1", "2001:db8::2").tcp(1000, 80).payload(100);
}
constexpr const char* kTcpInIpv4 = "10.0.0.1 1000 > 10.0.0.2 80 6";
constexpr const char* kTcpInIpv6 = "2001:db8::1 1000 > 2001:db8::2 80 6";

TEST(Parse, FindsTheConnectionBehindEveryLinkType) {
  for (const LinkType link : {LinkType::kEthernet, LinkType::kRawIp, LinkType::kBsdLoopback,
                              LinkType::kLinuxCooked, LinkType::kLinuxCookedTwo}) {
    PacketBuilder four(link), six(link);
    const TestPacket packet = tcp_in_ipv4(four).build();
    EXPECT_EQ(connection_of(packet), kTcpInIpv4) << packet.description;
    EXPECT_EQ(connection_of(tcp_in_ipv6(six).build()), kTcpInIpv6) << packet.description;
  }
}

TEST(Parse, FindsTheConnectionBehindEveryLinkHeader) {
  std::vector<PacketBuilder> builders;
  builders.push_back(PacketBuilder().vlan(7));
  builders.push_back(PacketBuilder().vlan(7, 0x88a8).vlan(8));
  builders.push_back(PacketBuilder().vlan(7, 0x9100).vlan(8));
  builders.push_back(PacketBuilder().mpls({1}));
  builders.push_back(PacketBuilder().mpls({1, 2, 3}));
  builders.push_back(PacketBuilder().vlan(7).mpls({1, 2}));
  builders.push_back(PacketBuilder().mpls({1, 2}).pseudowire().ethernet());
  builders.push_back(PacketBuilder().mpls({1, 2}).pseudowire().ethernet().vlan(3));
  builders.push_back(PacketBuilder().pppoe());
  builders.push_back(PacketBuilder().vlan(7).pppoe());
  builders.push_back(PacketBuilder().llc_snap());
  builders.push_back(PacketBuilder().fabric_path().ethernet());
  builders.push_back(PacketBuilder(LinkType::kLinuxCooked).vlan(9));
  for (const PacketBuilder& builder : builders) {
    PacketBuilder four = builder, six = builder;
    const TestPacket packet = tcp_in_ipv4(four).build();
    EXPECT_EQ(connection_of(packet), kTcpInIpv4) << packet.description;
    EXPECT_EQ(connection_of(tcp_in_ipv6(six).build()), kTcpInIpv6) << packet.description;
  }
}

TEST(Parse, FillsOffsetsFlagsAndOctets) {
  const Parsed parsed(PacketBuilder()
                          .vlan(1)
                          .ipv4("10.0.0.9", "10.0.0.2", {.options_size = 8})
                          .tcp(1, 2, 0x12, 12)
                          .payload(5)
                          .build());
  ASSERT_TRUE(parsed.result.connection());
  EXPECT_EQ(parsed.packet.network_offset, 18);
  EXPECT_EQ(parsed.packet.transport_offset, 18 + 28);
  EXPECT_EQ(parsed.packet.payload_offset, 18 + 28 + 32);
  EXPECT_EQ(parsed.packet.ip_octets, 28u + 32 + 5);
  EXPECT_EQ(parsed.packet.tcp_flags, 0x12);
  EXPECT_EQ(parsed.packet.flags, Packet::kReversed | Packet::kTcpHeader);
}

TEST(Parse, EveryFieldIsSetAnewInAReusedDescriptor) {
  const TestPacket tcp =
      PacketBuilder().ipv6("2001:db8::9", "2001:db8::2").tcp(9, 2, 0xff).payload(5).build();
  const TestPacket icmp = PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").icmp(8).build();
  const Parsed fresh(icmp);
  Packet reused = tests::descriptor_of(tcp);
  parse(reused, kOuter);
  reused.data = icmp.bytes.data();
  reused.captured_length = reused.wire_length = static_cast<std::uint32_t>(icmp.bytes.size());
  parse(reused, kOuter);
  EXPECT_EQ(reused.key, fresh.packet.key);
  EXPECT_EQ(reused.flags, fresh.packet.flags);
  EXPECT_EQ(reused.tcp_flags, 0);
  EXPECT_EQ(reused.ip_octets, 28u);
  EXPECT_EQ(reused.payload_offset, fresh.packet.payload_offset);
}

TEST(Parse, FollowsIpv6ExtensionHeadersToTheTransport) {
  const TestPacket packet = PacketBuilder()
                                .ipv6("2001:db8::1", "2001:db8::2")
                                .hop_by_hop()
                                .destination_options(16)
                                .routing()
                                .authentication()
                                .fragment(5, 0, false)
                                .tcp(1000, 80)
                                .build();
  EXPECT_EQ(connection_of(packet), kTcpInIpv6);
  EXPECT_EQ(Parsed(packet).result.fragments_count, 0) << "an atomic fragment is whole";
}

TEST(Parse, FollowsAnAuthenticationHeaderInIpv4) {
  EXPECT_EQ(
      connection_of(PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").authentication().tcp(1000, 80).build()),
      kTcpInIpv4);
}

TEST(Parse, GivesUpAfterEightExtensionHeadersAndEightLinkHeaders) {
  PacketBuilder eight, nine, vlans, many_vlans;
  eight.ipv6("2001:db8::1", "2001:db8::2");
  nine.ipv6("2001:db8::1", "2001:db8::2");
  for (int i = 0; i < 8; ++i)
    eight.destination_options(), nine.destination_options(), vlans.vlan(1), many_vlans.vlan(1);
  EXPECT_EQ(connection_of(eight.tcp(1000, 80).build()), kTcpInIpv6);
  EXPECT_EQ(connection_of(nine.destination_options().tcp(1000, 80).build()), "extensions_too_many");
  EXPECT_EQ(connection_of(tcp_in_ipv4(vlans).build()), kTcpInIpv4);
  EXPECT_EQ(connection_of(tcp_in_ipv4(many_vlans.vlan(1)).build()), "link_too_deep");
}

TEST(Parse, TakesPortsFromTcpUdpAndSctpAndNoneFromOthers) {
  const auto ip = [] { return PacketBuilder().ipv4("10.0.0.1", "10.0.0.2"); };
  EXPECT_EQ(connection_of(ip().udp(5, 6).build()), "10.0.0.1 5 > 10.0.0.2 6 17");
  EXPECT_EQ(connection_of(ip().sctp(5, 6).build()), "10.0.0.1 5 > 10.0.0.2 6 132");
  EXPECT_EQ(connection_of(ip().icmp(8, 0, 77).build()), "10.0.0.1 0 > 10.0.0.2 0 1");
  EXPECT_EQ(connection_of(ip().icmp(3, 1).build()), "10.0.0.1 0 > 10.0.0.2 0 1");
  EXPECT_EQ(connection_of(ip().protocol(50).payload(40).build()), "10.0.0.1 0 > 10.0.0.2 0 50");
  EXPECT_EQ(connection_of(PacketBuilder().ipv6("::1", "::2").icmpv6(128).build()), "::1 0 > ::2 0 58");
  EXPECT_EQ(connection_of(PacketBuilder().ipv6("::1", "::2").protocol(59).build()), "::1 0 > ::2 0 59");
}

TEST(Parse, BothDirectionsHaveOneKeyAndOppositeFlags) {
  const Parsed there(PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").tcp(1000, 80).build());
  const Parsed back(PacketBuilder().ipv4("10.0.0.2", "10.0.0.1").tcp(80, 1000).build());
  EXPECT_EQ(there.packet.key, back.packet.key);
  EXPECT_FALSE(there.packet.reversed());
  EXPECT_TRUE(back.packet.reversed());
}

TEST(Parse, EqualAddressesAreOrderedByPortAndEqualEndpointsAreForward) {
  const Parsed there(PacketBuilder().ipv4("10.0.0.1", "10.0.0.1").udp(256, 255).build());
  const Parsed back(PacketBuilder().ipv4("10.0.0.1", "10.0.0.1").udp(255, 256).build());
  const Parsed same(PacketBuilder().ipv4("10.0.0.1", "10.0.0.1").udp(7, 7).build());
  EXPECT_EQ(there.packet.key, back.packet.key);
  EXPECT_TRUE(there.packet.reversed());
  EXPECT_FALSE(back.packet.reversed());
  EXPECT_FALSE(same.packet.reversed());
}

TEST(Parse, FollowsEveryTunnelInwardsOnlyWhereAsked) {
  const auto outer = [] { return PacketBuilder().ipv4("192.0.2.1", "192.0.2.2"); };
  std::vector<std::pair<PacketBuilder, std::string>> tunnels;
  tunnels.emplace_back(outer(), "192.0.2.1 0 > 192.0.2.2 0 4");
  tunnels.emplace_back(outer().gre(), "192.0.2.1 0 > 192.0.2.2 0 47");
  tunnels.emplace_back(outer().gre({.checksum = true, .key = true, .sequence = true}),
                       "192.0.2.1 0 > 192.0.2.2 0 47");
  tunnels.emplace_back(outer().gre().ethernet().vlan(4), "192.0.2.1 0 > 192.0.2.2 0 47");
  tunnels.emplace_back(outer().nvgre(5).ethernet(), "192.0.2.1 0 > 192.0.2.2 0 47");
  tunnels.emplace_back(outer().udp(999, 4789).vxlan(5).ethernet(), "192.0.2.1 999 > 192.0.2.2 4789 17");
  tunnels.emplace_back(outer().udp(999, 6081).geneve(5, 12).ethernet(), "192.0.2.1 999 > 192.0.2.2 6081 17");
  tunnels.emplace_back(outer().udp(999, 6081).geneve(5), "192.0.2.1 999 > 192.0.2.2 6081 17");
  tunnels.emplace_back(outer().udp(2152, 2152).gtp_user(5), "192.0.2.1 2152 > 192.0.2.2 2152 17");
  tunnels.emplace_back(outer().udp(2152, 999).gtp_user(5, true), "192.0.2.1 2152 > 192.0.2.2 999 17");
  tunnels.emplace_back(outer().udp(999, 2152).gtp_user(5, false, 2), "192.0.2.1 999 > 192.0.2.2 2152 17");
  tunnels.emplace_back(outer().udp(2152, 2152).gtp_user(5).ipv4("10.9.9.9", "10.9.9.8").gre(),
                       "192.0.2.1 2152 > 192.0.2.2 2152 17");
  for (const auto& [tunnel, outer_connection] : tunnels) {
    PacketBuilder four = tunnel, six = tunnel;
    const TestPacket packet = tcp_in_ipv4(four).build();
    EXPECT_EQ(connection_of(packet, kInner), kTcpInIpv4) << packet.description;
    EXPECT_EQ(connection_of(packet, kOuter), outer_connection) << packet.description;
    EXPECT_EQ(Parsed(packet, kInner).packet.ip_octets, 140u) << packet.description;
    // 6in4 is a protocol of its own; the others carry either.
    EXPECT_EQ(connection_of(tcp_in_ipv6(six).build(), kInner), kTcpInIpv6) << packet.description;
  }
}

TEST(Parse, WhereTheInsideOfATunnelCannotBeReadTheTunnelStands) {
  const auto vxlan = [] {
    return PacketBuilder().ipv4("192.0.2.1", "192.0.2.2").udp(999, 4789).vxlan(1).ethernet();
  };
  const std::string outer = "192.0.2.1 999 > 192.0.2.2 4789 17";
  EXPECT_EQ(connection_of(vxlan().ether_type(0x0806).payload(28).build(), kInner), outer);
  EXPECT_EQ(
      connection_of(vxlan().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2).build().snapped(14 + 28 + 8 + 14 + 22),
                    kInner),
      outer);
  EXPECT_EQ(
      connection_of(PacketBuilder().ipv4("192.0.2.1", "192.0.2.2").udp(999, 4789).payload(3).build(), kInner),
      outer);
}

TEST(Parse, NestedTunnelsAreFollowedFourDeep) {
  PacketBuilder builder;
  for (int i = 0; i < 6; ++i) builder.ipv4("10.0.0." + std::to_string(i), "10.0.1.0");
  EXPECT_EQ(connection_of(builder.udp(1, 2).build(), kInner), "10.0.0.4 0 > 10.0.1.0 0 4");
}

TEST(Parse, ASnappedPacketKeepsTheLengthOfTheWire) {
  const TestPacket whole =
      PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").tcp(1000, 80, 0x18).payload(1000).build();
  for (std::size_t snap = 14 + 20 + 4; snap < whole.bytes.size(); ++snap) {
    const Parsed parsed(whole.snapped(snap));
    ASSERT_TRUE(parsed.result.connection()) << snap;
    EXPECT_EQ(parsed.packet.ip_octets, 1040u);
    EXPECT_EQ(connection_text(parsed.packet), kTcpInIpv4);
    EXPECT_EQ(parsed.packet.tcp_flags, snap >= 14 + 20 + 14 ? 0x18 : 0);
    EXPECT_EQ((parsed.packet.flags & Packet::kTcpHeader) != 0, snap >= 14 + 20 + 20);
  }
}

TEST(Parse, TellsAShortCaptureFromAShortPacket) {
  const TestPacket whole = PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").tcp(1000, 80).build();
  for (const std::size_t length : {0u, 13u, 14u, 33u, 34u, 37u}) {
    EXPECT_EQ(connection_of(whole.snapped(length)), "snapped") << length;
  }
  EXPECT_EQ(connection_of(whole.cut(0)), "link_cut");
  EXPECT_EQ(connection_of(whole.cut(13)), "link_cut");
  EXPECT_EQ(connection_of(whole.cut(14)), "ip_cut");
  EXPECT_EQ(connection_of(whole.cut(33)), "ip_cut");
  EXPECT_EQ(connection_of(whole.cut(37)), "transport_cut");
}

TEST(Parse, OctetsAreTheStatedLengthButNeverMoreThanTheWireHad) {
  TestPacket packet = PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(10).build();
  packet.bytes.resize(60);  // padding of a short Ethernet frame
  packet.wire_length = 60;
  EXPECT_EQ(Parsed(packet).packet.ip_octets, 38u);
  packet.bytes[14 + 2] = 0xff;
  EXPECT_EQ(Parsed(packet).packet.ip_octets, 46u) << "a stated length beyond the wire";
}

TEST(Parse, ATotalLengthOfZeroMeansTheWholeFrame) {
  TestPacket four = PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2).payload(100).build();
  four.bytes[14 + 2] = four.bytes[14 + 3] = 0;
  EXPECT_EQ(Parsed(four.snapped(60)).packet.ip_octets, 140u);
  TestPacket six = PacketBuilder().ipv6("::1", "::2").tcp(1, 2).payload(100).build();
  six.bytes[14 + 4] = six.bytes[14 + 5] = 0;
  EXPECT_EQ(Parsed(six.snapped(80)).packet.ip_octets, 160u);
}

TEST(Parse, NamesWhatIsNotIp) {
  EXPECT_EQ(connection_of(PacketBuilder().ether_type(0x0806).payload(28).build()), "arp");
  EXPECT_EQ(connection_of(PacketBuilder().ether_type(0x88cc).payload(28).build()), "ether_type");
  EXPECT_EQ(connection_of(PacketBuilder().ether_type(38).payload(38).build()), "llc");
  EXPECT_EQ(connection_of(PacketBuilder().ether_type(0x8863).payload(38).build()), "ppp_control");
  EXPECT_EQ(connection_of(PacketBuilder().mpls({1}).payload(38, 0x10).build()), "mpls_payload");
  EXPECT_EQ(connection_of(PacketBuilder().mpls({1}).payload(38, 0x00).build()), "mpls_payload");
  EXPECT_EQ(connection_of(PacketBuilder(LinkType::kRawIp).payload(38, 0x50).build()), "ip_version");
  TestPacket loopback = PacketBuilder(LinkType::kBsdLoopback).ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).build();
  loopback.bytes[0] = 23;
  EXPECT_EQ(connection_of(loopback), "address_family");
}

TEST(Parse, LoopbackFamiliesAreReadInEitherByteOrder) {
  TestPacket packet =
      PacketBuilder(LinkType::kBsdLoopback).ipv4("10.0.0.1", "10.0.0.2").tcp(1000, 80).build();
  std::reverse(packet.bytes.begin(), packet.bytes.begin() + 4);
  EXPECT_EQ(connection_of(packet), kTcpInIpv4);
}

TEST(Parse, NamesBrokenIpHeaders) {
  const TestPacket good = PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2).build();
  TestPacket packet = good;
  packet.bytes[14] = 0x44;
  EXPECT_EQ(connection_of(packet), "ip_header_length");
  packet = good;
  packet.bytes[14] = 0x65;
  EXPECT_EQ(connection_of(packet), "ip_version");
  packet = good;
  packet.bytes[14 + 3] = 19;
  EXPECT_EQ(connection_of(packet), "ip_total_length");
  packet.bytes[14 + 3] = 22;
  EXPECT_EQ(connection_of(packet), "transport_cut") << "the datagram ends before the ports";
}

TEST(Parse, FragmentsTellTheirDatagramAndTheirPart) {
  for (const bool four : {true, false}) {
    PacketBuilder builder;
    four ? tcp_in_ipv4(builder) : tcp_in_ipv6(builder);
    const auto fragments = tests::fragments_of(builder.build(), 48, 0x1234);
    ASSERT_EQ(fragments.size(), 3u);
    for (std::size_t i = 0; i < fragments.size(); ++i) {
      const Parsed parsed(fragments[i]);
      ASSERT_TRUE(parsed.result.connection());
      ASSERT_EQ(parsed.result.fragments_count, 1);
      EXPECT_EQ(parsed.result.fragments[0].identification, 0x1234u);
      EXPECT_EQ(parsed.result.fragments[0].protocol, 6);
      EXPECT_EQ(parsed.result.fragments[0].ip_version, four ? 4 : 6);
      EXPECT_TRUE((parsed.packet.flags & Packet::kFragment) != 0);
      EXPECT_EQ((parsed.packet.flags & Packet::kLaterFragment) != 0, i > 0);
      EXPECT_EQ(port_of(parsed.packet.key.low_port), i == 0 ? 1000 : 0);
    }
  }
}

TEST(Parse, AFragmentOfATunnelledDatagramNamesBothDatagrams) {
  const TestPacket inside =
      PacketBuilder(LinkType::kRawIp).ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(200).build();
  const auto inner_fragments = tests::fragments_of(inside, 104, 7);
  const TestPacket tunnelled =
      PacketBuilder().ipv4("192.0.2.1", "192.0.2.2").protocol(4).payload(inner_fragments[1].bytes).build();
  const auto outer_fragments = tests::fragments_of(tunnelled, 64, 9);
  const Parsed first(outer_fragments[0], kInner), later(outer_fragments[1], kInner);
  ASSERT_EQ(first.result.fragments_count, 2);
  EXPECT_EQ(first.result.fragments[0].identification, 9u);
  EXPECT_EQ(first.result.fragments[1].identification, 7u);
  EXPECT_TRUE((first.packet.flags & Packet::kLaterFragment) != 0) << "of the inner datagram";
  ASSERT_EQ(later.result.fragments_count, 1);
  EXPECT_EQ(later.result.fragments[0].identification, 9u);
}

TEST(Parse, EveryReasonHasItsOwnNameAndAText) {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < kReasons; ++i) {
    names.push_back(name_of(static_cast<Reason>(i)));
    EXPECT_FALSE(text_of(static_cast<Reason>(i)).empty());
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

TEST(Parse, EveryReasonHasItsRowInTheDocumentation) {
  std::ifstream file(EVENKEEL_SOURCE_DIR "/docs/packets.md");
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  for (std::size_t i = 1; i < kReasons; ++i) {
    const auto reason = static_cast<Reason>(i);
    const char* const verdict = verdict_of(reason) == Verdict::kMalformed ? "malformed" : "unclassified";
    EXPECT_THAT(page, testing::HasSubstr("| `" + std::string(name_of(reason)) + "` | " + verdict + " | " +
                                         std::string(text_of(reason)) + " |"));
  }
}

}  // namespace
}  // namespace evenkeel::packet
