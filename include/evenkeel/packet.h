// A packet as the engine and a handler see it, and the connection that it belongs to.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "evenkeel/ids.h"

namespace evenkeel {

class PacketBlock;

// Both directions of a 5-tuple, in one canonical form: endpoint `low` is the smaller of the two (address,
// then port, as bytes), so that both directions of a connection have the same key. IPv4 addresses stand in
// the first 4 bytes, the rest is zero. All fields are in network byte order. 40 bytes without padding:
// compared and hashed as bytes.
struct ConnectionKey {
  std::array<std::uint8_t, 16> low_address{};
  std::array<std::uint8_t, 16> high_address{};
  std::array<std::uint8_t, 2> low_port{};  // 0 for protocols without ports; ICMP: see docs/flow-records.md
  std::array<std::uint8_t, 2> high_port{};
  std::uint8_t protocol = 0;    // IP protocol number of the transport
  std::uint8_t ip_version = 0;  // 4 or 6
  std::uint16_t reserved = 0;   // zero

  friend bool operator==(const ConnectionKey&, const ConnectionKey&) = default;
};
static_assert(sizeof(ConnectionKey) == 40);

// What the bytes of a packet begin with.
enum class LinkType : std::uint8_t {
  kEthernet,
  kRawIp,
  kBsdLoopback,     // 4 bytes of address family, in either byte order (DLT_NULL, DLT_LOOP)
  kLinuxCooked,     // SLL, 16 bytes
  kLinuxCookedTwo,  // SLL2, 20 bytes
};

// Of Packet::tcp_flags (RFC 9293, 3.1).
namespace tcp {
inline constexpr std::uint8_t kFin = 0x01;
inline constexpr std::uint8_t kSyn = 0x02;
inline constexpr std::uint8_t kRst = 0x04;
inline constexpr std::uint8_t kPsh = 0x08;
inline constexpr std::uint8_t kAck = 0x10;
}  // namespace tcp

// A packet on its way from a source through a dispatcher to a worker. The descriptor and the bytes that it
// points to belong to a PacketBlock of the source, and stay as they are until the packet is released to it.
//
// The source fills the fields marked [source]; the dispatcher those marked [dispatcher]; after that it is
// read-only but for `next` and `queued_ticks`, which belong to the queueing model of the worker that holds
// the packet.
struct alignas(64) Packet {
  enum Flag : std::uint8_t {
    kReversed = 1,       // goes from the key's high endpoint to its low one
    kTcpHeader = 2,      // transport_offset points to at least the 20 fixed bytes of a TCP header
    kFragment = 4,       // part of a fragmented datagram (the first one too)
    kLaterFragment = 8,  // ... and not its first part: no transport header
  };

  ConnectionKey key;           // [dispatcher]
  std::int64_t time_ns = 0;    // [source] since 1970, as captured
  std::int64_t now_ns = 0;     // [dispatcher] greatest time_ns at this source so far: never runs back
  std::uint32_t hash = 0;      // [dispatcher] of addresses and ports; [source] where hardware gave it
  std::uint16_t bucket = 0;    // [dispatcher]
  std::uint8_t flags = 0;      // [dispatcher] of Flag
  std::uint8_t tcp_flags = 0;  // [dispatcher] byte 13 of the TCP header, or 0

  const std::uint8_t* data = nullptr;  // [source]
  std::uint32_t captured_length = 0;   // [source] bytes at data
  std::uint32_t wire_length = 0;       // [source] bytes on the wire, at least captured_length
  std::uint64_t sequence = 0;    // [source] position at the source, from 0: an independent witness of order
  PacketBlock* block = nullptr;  // [source] to which it is released
  Packet* next = nullptr;        // [worker] link in a queue
  std::uint32_t ip_octets = 0;   // [dispatcher] total length of the metered IP datagram, header included
  std::uint16_t network_offset = 0;     // [dispatcher] of the metered IP header in data
  std::uint16_t transport_offset = 0;   // [dispatcher] 0 where there is none in the captured bytes
  std::uint16_t payload_offset = 0;     // [dispatcher] behind the transport header, which may be behind
                                        // captured_length where not all was captured; 0 where unknown
  std::uint16_t source = 0;             // [source] which of the run's inputs
  LinkType link = LinkType::kEthernet;  // [source]
  std::uint64_t queued_ticks = 0;       // [worker] when it entered the queue, by the worker's clock

  std::span<const std::uint8_t> bytes() const { return {data, captured_length}; }
  bool reversed() const { return (flags & kReversed) != 0; }
};
static_assert(sizeof(Packet) == 128, "two cache lines");

}  // namespace evenkeel
