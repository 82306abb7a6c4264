// Laws of parsing that hold for any bytes. RapidCheck prints the seed that replays a failure.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <memory>

#include "packet/hash.h"
#include "packet/parse.h"
#include "packet_builder.h"

namespace evenkeel::packet {
namespace {

using tests::Bytes;
using tests::TestPacket;

const std::vector<TestPacket>& seeds() {
  static const std::vector<TestPacket> kSeeds = tests::packets_of_every_kind();
  return kSeeds;
}

// A packet of a known kind with a few bytes replaced, cut or snapped anywhere.
TestPacket any_damaged_packet() {
  TestPacket packet = *rc::gen::elementOf(seeds());
  const auto changes = *rc::gen::inRange(0, 6);
  for (int i = 0; i < changes; ++i) {
    const auto at = *rc::gen::inRange<std::size_t>(0, packet.bytes.size());
    packet.bytes[at] = *rc::gen::arbitrary<std::uint8_t>();
  }
  const auto length = *rc::gen::inRange<std::size_t>(0, packet.bytes.size() + 1);
  switch (*rc::gen::inRange(0, 3)) {
    case 0:
      return packet.snapped(length);
    case 1:
      return packet.cut(length);
    default:
      return packet;
  }
}

void expect_fields_in_bounds(const Packet& packet, const ParseResult& result) {
  RC_ASSERT(packet.network_offset < packet.captured_length);
  RC_ASSERT(packet.network_offset + packet.ip_octets <= packet.wire_length);
  RC_ASSERT(packet.transport_offset < packet.captured_length);
  RC_ASSERT(packet.transport_offset == 0 || packet.transport_offset > packet.network_offset);
  RC_ASSERT(packet.payload_offset <= packet.network_offset + packet.ip_octets);
  RC_ASSERT(result.fragments_count <= kDatagramsMax);
  if ((packet.flags & Packet::kTcpHeader) != 0) {
    RC_ASSERT(packet.transport_offset != 0 && packet.transport_offset + 20u <= packet.captured_length);
  }
  RC_ASSERT(((packet.flags & Packet::kFragment) != 0) == (result.fragments_count != 0));
}

// The bytes lie on the heap in exactly their size: AddressSanitizer sees a read beyond them.
void expect_parsed_in_bounds(const TestPacket& test) {
  const std::unique_ptr<std::uint8_t[]> bytes(new std::uint8_t[test.bytes.size()]);
  std::copy(test.bytes.begin(), test.bytes.end(), bytes.get());
  for (const bool inner_tunnel : {false, true}) {
    Packet packet = tests::descriptor_of(test);
    packet.data = bytes.get();
    const ParseResult result = parse(packet, {.inner_tunnel = inner_tunnel});
    if (result.connection()) expect_fields_in_bounds(packet, result);
  }
}

RC_GTEST_PROP(ParseProperties, DamagedPacketsStayInBounds, ()) {
  for (int i = 0; i < 50; ++i) expect_parsed_in_bounds(any_damaged_packet());
}

RC_GTEST_PROP(ParseProperties, NoiseStaysInBounds, ()) {
  TestPacket packet;
  packet.bytes = *rc::gen::arbitrary<Bytes>();
  packet.wire_length = static_cast<std::uint32_t>(packet.bytes.size()) + *rc::gen::inRange(0u, 100u);
  packet.link = static_cast<LinkType>(*rc::gen::inRange(0, 5));
  expect_parsed_in_bounds(packet);
}

// The fast way and the careful one say the same of a packet.
void expect_both_ways_agree(const TestPacket& test) {
  for (const bool inner_tunnel : {false, true}) {
    Packet fast = tests::descriptor_of(test), careful = tests::descriptor_of(test);
    const ParseResult fast_result = parse(fast, {.inner_tunnel = inner_tunnel});
    const ParseResult careful_result = parse_carefully(careful, {.inner_tunnel = inner_tunnel});
    RC_ASSERT(fast_result.reason == careful_result.reason);
    RC_ASSERT(fast_result.fragments_count == careful_result.fragments_count);
    if (!fast_result.connection()) continue;
    RC_ASSERT(fast.key == careful.key);
    RC_ASSERT(fast.flags == careful.flags);
    RC_ASSERT(fast.tcp_flags == careful.tcp_flags);
    RC_ASSERT(fast.ip_octets == careful.ip_octets);
    RC_ASSERT(fast.network_offset == careful.network_offset);
    RC_ASSERT(fast.transport_offset == careful.transport_offset);
    RC_ASSERT(fast.payload_offset == careful.payload_offset);
  }
}

RC_GTEST_PROP(ParseProperties, TheFastWayAgreesWithTheCarefulOneOnDamagedPackets, ()) {
  for (int i = 0; i < 100; ++i) expect_both_ways_agree(any_damaged_packet());
}

RC_GTEST_PROP(ParseProperties, TheFastWayAgreesWithTheCarefulOneOnAnyEndpoints, ()) {
  const auto address = [](bool four) {
    const auto last = std::to_string(*rc::gen::inRange(0, 4));
    return four ? *rc::gen::element<std::string>("10.0.0.", "10.1.0.", "200.0.0.") + last
                : *rc::gen::element<std::string>("2001:db8::", "2001:db8:0:1::", "ff02::") + last;
  };
  const bool four = *rc::gen::arbitrary<bool>();
  const auto port = rc::gen::element<std::uint16_t>(0, 1, 255, 256, 65'535);
  tests::PacketBuilder builder;
  if (*rc::gen::arbitrary<bool>()) builder.vlan(3);
  four ? builder.ipv4(address(true), address(true)) : builder.ipv6(address(false), address(false));
  *rc::gen::arbitrary<bool>() ? builder.tcp(*port, *port, *rc::gen::arbitrary<std::uint8_t>(), 8)
                              : builder.udp(*port, *port);
  expect_both_ways_agree(builder.payload(*rc::gen::inRange<std::size_t>(0, 100)).build());
}

TEST(ParseProperties, EveryKindCutAnywhereStaysInBounds) {
  for (const TestPacket& packet : seeds()) {
    for (std::size_t length = 0; length <= packet.bytes.size(); ++length) {
      expect_parsed_in_bounds(packet.snapped(length));
      expect_parsed_in_bounds(packet.cut(length));
    }
  }
}

// Snapping never changes what is said of a packet, as long as something can be said.
TEST(ParseProperties, WhatIsKnownOfASnappedPacketIsWhatIsKnownOfTheWholeOne) {
  for (const TestPacket& test : seeds()) {
    Packet whole = tests::descriptor_of(test);
    const ParseResult expected = parse(whole, {});
    for (std::size_t length = 0; length <= test.bytes.size(); ++length) {
      const TestPacket snapped = test.snapped(length);
      Packet packet = tests::descriptor_of(snapped);
      const ParseResult result = parse(packet, {});
      if (!result.connection()) {
        ASSERT_TRUE(result.reason == Reason::kSnapped || result.reason == expected.reason)
            << snapped.description;
        continue;
      }
      ASSERT_EQ(packet.key, whole.key) << snapped.description;
      ASSERT_EQ(packet.ip_octets, whole.ip_octets) << snapped.description;
      ASSERT_EQ(result.fragments_count, expected.fragments_count) << snapped.description;
    }
  }
}

template <typename Integer>
Integer any() {
  return *rc::gen::arbitrary<Integer>();
}

// An address, often equal to or close to another one.
std::string any_address(bool four) {
  if (four)
    return "10.0." + std::to_string(any<std::uint8_t>() % 3) + "." + std::to_string(any<std::uint8_t>());
  return "2001:db8:" + std::to_string(any<std::uint8_t>() % 3) + "::" + std::to_string(any<std::uint8_t>());
}

RC_GTEST_PROP(ParseProperties, BothDirectionsHaveTheSameKeyAndBucket, ()) {
  static const Hasher kSymmetric = *Hasher::make("toeplitz", "symmetric");
  static const Hasher kChecksum = *Hasher::make("crc32c", "");
  const bool four = any<bool>();
  const std::string source = any_address(four), destination = any_address(four);
  const auto from = any<std::uint16_t>(), to = any<std::uint16_t>();
  const auto build = [four](const std::string& a, const std::string& b, std::uint16_t p, std::uint16_t q) {
    tests::PacketBuilder builder;
    four ? builder.ipv4(a, b) : builder.ipv6(a, b);
    return builder.tcp(p, q).build();
  };
  const TestPacket there_bytes = build(source, destination, from, to);
  const TestPacket back_bytes = build(destination, source, to, from);
  Packet there = tests::descriptor_of(there_bytes), back = tests::descriptor_of(back_bytes);
  RC_ASSERT(parse(there, {}).connection() && parse(back, {}).connection());
  RC_ASSERT(there.key == back.key);
  const bool same_endpoints = source == destination && from == to;
  RC_ASSERT((there.reversed() != back.reversed()) != same_endpoints);
  if (same_endpoints) RC_ASSERT(!there.reversed());
  for (const Hasher* hasher : {&kSymmetric, &kChecksum}) {
    RC_ASSERT(hasher->hash_one(there.key, there.reversed()) == hasher->hash_one(back.key, back.reversed()));
  }
}

}  // namespace
}  // namespace evenkeel::packet
