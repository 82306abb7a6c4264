// From the bytes of a packet to its connection: reads link, network and transport headers and fills the
// [dispatcher] fields of a Packet. What is parsed, and what each reason means: docs/packets.md.
//
// Invariants: no byte beyond captured_length is read; a packet that is cut, by the wire or by the capture's
// snap length, is judged by what is there; the same bytes give the same result, whatever came before.
// Malformed means that the connection cannot be told; what a receiving host would refuse for another reason
// (a checksum, a length that is too long) is none of the meter's business.
//
// Thread: [any]. Cost: no allocation; about 75 instructions for plain Ethernet, IPv4, TCP or UDP
// (plain.h), some 400 for others. Sources: RFC 791, 8200 (IP), 9293, 768, 9260 (transport), IEEE 802.1Q,
// RFC 3032, 4385 (MPLS), 2516 (PPPoE), libpcap's list of link types; tunnels: src/packet/tunnel.h.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "evenkeel/packet.h"

namespace evenkeel::packet {

enum class Verdict : std::uint8_t {
  kConnection,    // the fields of the packet are filled
  kMalformed,     // with a reason: the connection cannot be told
  kUnclassified,  // with a reason: not IP
};

// Every reason, once: enumerator, verdict, name in reports, what it means.
#define EVENKEEL_PARSE_REASONS(X)                                                                           \
  X(kNone, kConnection, "none", "a connection was found")                                                   \
  X(kLinkCut, kMalformed, "link_cut", "the frame ends inside its link headers")                             \
  X(kLinkTooDeep, kMalformed, "link_too_deep", "more than 8 stacked VLAN, MPLS and PPPoE headers")          \
  X(kIpVersion, kMalformed, "ip_version", "announced as IP, but its version field says otherwise")          \
  X(kIpCut, kMalformed, "ip_cut", "the frame ends inside the IP header")                                    \
  X(kIpHeaderLength, kMalformed, "ip_header_length", "IPv4 header length below 20 bytes")                   \
  X(kIpTotalLength, kMalformed, "ip_total_length", "IPv4 total length below the header's own")              \
  X(kExtensionCut, kMalformed, "extension_cut", "the datagram ends inside an extension header")             \
  X(kExtensionsTooMany, kMalformed, "extensions_too_many", "more than 8 IPv6 extension headers")            \
  X(kTransportCut, kMalformed, "transport_cut", "the datagram ends before the ports")                       \
  X(kSnapped, kMalformed, "snapped", "the capture kept too little of the packet to tell its connection")    \
  X(kArp, kUnclassified, "arp", "address resolution (ARP, RARP)")                                           \
  X(kEtherType, kUnclassified, "ether_type", "another EtherType than IP")                                   \
  X(kLlc, kUnclassified, "llc", "an IEEE 802.2 LLC frame that does not carry IP (spanning tree, IS-IS, …)") \
  X(kPppControl, kUnclassified, "ppp_control", "PPPoE discovery, or a PPP frame that does not carry IP")    \
  X(kMplsPayload, kUnclassified, "mpls_payload", "MPLS with a payload that is neither IP nor Ethernet")     \
  X(kAddressFamily, kUnclassified, "address_family", "loopback frame of another address family than IP")

enum class Reason : std::uint8_t {
#define EVENKEEL_X(enumerator, verdict, name, text) enumerator,
  EVENKEEL_PARSE_REASONS(EVENKEEL_X)
#undef EVENKEEL_X
};

#define EVENKEEL_X(enumerator, verdict, name, text) +1
inline constexpr std::size_t kReasons = 0 EVENKEEL_PARSE_REASONS(EVENKEEL_X);
#undef EVENKEEL_X

Verdict verdict_of(Reason reason);
std::string_view name_of(Reason reason);  // for reports: "link_cut"
std::string_view text_of(Reason reason);  // for people: what it means

// Tunnels inside tunnels are followed this deep; the connection of the last level is taken then.
inline constexpr std::size_t kTunnelsMax = 4;
inline constexpr std::size_t kDatagramsMax = kTunnelsMax + 1;

// One fragmented datagram that a packet is part of. Its identity is (source, destination, identification,
// and for IPv4 the protocol); the addresses stand in the packet's bytes at network_offset.
struct Fragment {
  std::uint32_t identification;
  std::uint16_t network_offset;
  std::uint8_t protocol;  // as the IPv4 header or the IPv6 fragment header has it
  std::uint8_t ip_version;
};

struct ParseResult {
  Reason reason = Reason::kNone;
  // Of how many fragmented datagrams, one inside the other, the packet is part. In all but the last it is the
  // first part; whether it is in the last one too, the packet's flag kLaterFragment tells. Not 0: give the
  // packet to the FragmentTracker.
  std::uint8_t fragments_count = 0;
  Fragment fragments[kDatagramsMax];  // outermost first; only the first fragments_count are written

  ParseResult() {}  // leaves fragments as they are: most packets have none
  explicit ParseResult(Reason r) : reason(r) {}
  Verdict verdict() const { return verdict_of(reason); }
  bool connection() const { return reason == Reason::kNone; }
};

struct ParseOptions {
  // Meter the connection inside GRE, NVGRE, VXLAN, GENEVE, GTP-U, IP-in-IP and 6in4. Where the inside cannot
  // be read (not IP, cut), the connection of the tunnel itself stands.
  bool inner_tunnel = false;
};

// Fills all [dispatcher] fields but now_ns, hash and bucket. A later fragment has its addresses, but neither
// ports nor, for IPv6, a certain protocol, until the FragmentTracker gave it those of its first part. Where
// the verdict is not kConnection, the fields are of no use.
ParseResult parse(Packet& packet, const ParseOptions& options);

// The way of any packet. parse() takes a faster one for the most common packets (plain.h), and both say the
// same of every packet that both take: a test compares them.
ParseResult parse_carefully(Packet& packet, const ParseOptions& options);

}  // namespace evenkeel::packet
