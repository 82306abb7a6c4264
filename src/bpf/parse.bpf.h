// The connection of a packet, as src/packet tells it, for kernel programs: the same bytes give the same
// verdict, addresses and ports (src/bpf/parse_test.cpp runs both on the same packets).
//
// Before including, a program defines
//   EVENKEEL_CONTEXT         struct xdp_md, or struct __sk_buff
//   EVENKEEL_CONTEXT_IS_XDP  in the first case
// Programs over struct xdp_md read the packet directly; those over __sk_buff through bpf_skb_load_bytes.
//
// The steps are global functions: the verifier (from 5.12 on) checks each once instead of on every path.
// A function returns 0 to go on, else an evenkeel_verdict.
#pragma once

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/constants.h"

enum evenkeel_verdict {
  kVerdictConnection = 0,
  kVerdictMalformed = 1,     // a bucket cannot be told
  kVerdictUnclassified = 2,  // not IP
};

enum {
  kLinkHeadersMax = 8,
  kExtensionsMax = 8,
  kTunnelsMax = 4,
  kOffsetMax = 65535 - 256,

  kEtherTypeLengthMax = 1500,
  kEtherTypeIpv4 = 0x0800,
  kEtherTypeArp = 0x0806,
  kEtherTypeTransparentEthernet = 0x6558,
  kEtherTypeVlan = 0x8100,
  kEtherTypeIpv6 = 0x86dd,
  kEtherTypeMpls = 0x8847,
  kEtherTypeMplsMulticast = 0x8848,
  kEtherTypePppoeSession = 0x8864,
  kEtherTypeFabricPath = 0x8903,
  kEtherTypeServiceVlan = 0x88a8,
  kEtherTypeOldQinq = 0x9100,
  kEtherTypeOlderQinq = 0x9200,

  kProtocolHopByHop = 0,
  kProtocolIpv4 = 4,
  kProtocolTcp = 6,
  kProtocolUdp = 17,
  kProtocolIpv6 = 41,
  kProtocolRouting = 43,
  kProtocolFragment = 44,
  kProtocolGre = 47,
  kProtocolAuthentication = 51,
  kProtocolDestinationOptions = 60,
  kProtocolSctp = 132,

  kPortGtpUser = 2152,
  kPortVxlan = 4789,
  kPortGeneve = 6081,
  kPortVxlanLinux = 8472,
};

// What is known of a packet so far, and where to read on.
struct evenkeel_packet {
  __u32 tuple[kTupleWords];  // source, destination, ports in network order; the rest is zero
  __u32 offset;              // where to read on
  __u32 end;                 // offset behind the frame, or behind the datagram inside it
  __u32 network_offset;
  __u16 ether_type;
  __u8 ip_version;
  __u8 protocol;
  __u8 fragment;        // part of a fragmented datagram (its first part too)
  __u8 later_fragment;  // ... and not the first part: ports are zero
  __u8 ports_found;
  __u8 reserved;
};

// Copies `size` (a constant) bytes at `offset`; 0 where the frame or datagram ends before. The comparison
// with the constant bounds the offset for the verifier; the barrier keeps the compiler from folding the two.
static __always_inline int evenkeel_load(EVENKEEL_CONTEXT* context, const struct evenkeel_packet* packet,
                                         __u32 offset, void* to, const __u32 size) {
  if (offset > kOffsetMax || offset + size > packet->end) return 0;
#ifdef EVENKEEL_CONTEXT_IS_XDP
  void* const begin = (void*)(long)context->data;
  void* const end = (void*)(long)context->data_end;
  __u64 bounded = offset;
  asm volatile("" : "+r"(bounded));
  if (bounded > kOffsetMax) return 0;
  const void* const from = begin + bounded;
  if (from + size > end) return 0;
  __builtin_memcpy(to, from, size);
  return 1;
#else
  return bpf_skb_load_bytes(context, offset, to, size) == 0;
#endif
}

static __always_inline __u32 evenkeel_frame_length(EVENKEEL_CONTEXT* context) {
#ifdef EVENKEEL_CONTEXT_IS_XDP
  return (__u32)(context->data_end - context->data);
#else
  return context->len;
#endif
}

// Takes the Ethernet header at offset.
static __always_inline int evenkeel_behind_ethernet(EVENKEEL_CONTEXT* context,
                                                    struct evenkeel_packet* packet) {
  __u16 type = 0;
  if (!evenkeel_load(context, packet, packet->offset + 12, &type, 2)) return kVerdictMalformed;
  packet->offset += 14;
  packet->ether_type = bpf_ntohs(type);
  return 0;
}

// A pseudowire's control word, which begins with 0000, with Ethernet of a known type behind it (RFC 4448).
static __always_inline int evenkeel_behind_pseudowire(EVENKEEL_CONTEXT* context,
                                                      struct evenkeel_packet* packet) {
  __u16 type = 0;
  if (!evenkeel_load(context, packet, packet->offset + 4 + 12, &type, 2)) return kVerdictUnclassified;
  switch (bpf_ntohs(type)) {
    case kEtherTypeIpv4:
    case kEtherTypeIpv6:
    case kEtherTypeArp:
    case kEtherTypeVlan:
    case kEtherTypeServiceVlan:
    case kEtherTypeMpls:
    case kEtherTypePppoeSession:
      packet->offset += 4 + 14;
      packet->ether_type = bpf_ntohs(type);
      return 0;
    default:
      return kVerdictUnclassified;
  }
}

// Behind MPLS labels: an IP header, or a pseudowire (RFC 3032, 4928).
__noinline int evenkeel_behind_mpls(EVENKEEL_CONTEXT* context, struct evenkeel_packet* packet) {
  if (!packet) return kVerdictMalformed;
  __u8 label[4] = {};
  for (int labels = 0; labels < kLinkHeadersMax && (label[2] & 1) == 0; ++labels) {
    if (!evenkeel_load(context, packet, packet->offset, label, 4)) return kVerdictMalformed;
    packet->offset += 4;
  }
  if ((label[2] & 1) == 0) return kVerdictMalformed;
  __u8 first = 0;
  if (!evenkeel_load(context, packet, packet->offset, &first, 1)) return kVerdictMalformed;
  if (first >> 4 == 0) return evenkeel_behind_pseudowire(context, packet);
  if (first >> 4 != 4 && first >> 4 != 6) return kVerdictUnclassified;
  packet->ip_version = first >> 4;
  return 0;
}

// RFC 2516, 1661.
__noinline int evenkeel_behind_pppoe(EVENKEEL_CONTEXT* context, struct evenkeel_packet* packet) {
  if (!packet) return kVerdictMalformed;
  __u8 header[8] = {};
  if (!evenkeel_load(context, packet, packet->offset, header, 8)) return kVerdictMalformed;
  if (header[1] != 0) return kVerdictUnclassified;
  const int compressed = (header[6] & 1) != 0;
  const __u16 protocol = compressed ? header[6] : (__u16)(header[6] << 8 | header[7]);
  packet->offset += compressed ? 7 : 8;
  if (protocol != 0x0021 && protocol != 0x0057) return kVerdictUnclassified;
  packet->ether_type = protocol == 0x0021 ? kEtherTypeIpv4 : kEtherTypeIpv6;
  return 0;
}

// RFC 1042: LLC with a SNAP header of organisation 0.
__noinline int evenkeel_behind_llc(EVENKEEL_CONTEXT* context, struct evenkeel_packet* packet) {
  if (!packet) return kVerdictMalformed;
  __u8 header[8] = {};
  if (!evenkeel_load(context, packet, packet->offset, header, 8)) return kVerdictUnclassified;
  const int snap = header[0] == 0xaa && header[1] == 0xaa && header[2] == 3 && header[3] == 0 &&
                   header[4] == 0 && header[5] == 0;
  const __u16 type = (__u16)(header[6] << 8 | header[7]);
  if (!snap || type <= kEtherTypeLengthMax) return kVerdictUnclassified;
  packet->offset += 8;
  packet->ether_type = type;
  return 0;
}

// One header of the payload `ether_type` at `offset`. Sets ip_version where it is IP.
static __always_inline int evenkeel_link_step(EVENKEEL_CONTEXT* context, struct evenkeel_packet* packet) {
  __u8 first = 0;
  __u16 type = 0;
  switch (packet->ether_type) {
    case kEtherTypeIpv4:
    case kEtherTypeIpv6:
      if (!evenkeel_load(context, packet, packet->offset, &first, 1)) return kVerdictMalformed;
      packet->ip_version = packet->ether_type == kEtherTypeIpv4 ? 4 : 6;
      return first >> 4 == packet->ip_version ? 0 : kVerdictMalformed;
    case kEtherTypeVlan:
    case kEtherTypeServiceVlan:
    case kEtherTypeOldQinq:
    case kEtherTypeOlderQinq:
      // The whole header must be there, though only its second half is read.
      if (!evenkeel_load(context, packet, packet->offset + 2, &type, 2)) return kVerdictMalformed;
      packet->offset += 4;
      packet->ether_type = bpf_ntohs(type);
      return 0;
    case kEtherTypeMpls:
    case kEtherTypeMplsMulticast:
      return evenkeel_behind_mpls(context, packet);
    case kEtherTypePppoeSession:
      return evenkeel_behind_pppoe(context, packet);
    case kEtherTypeFabricPath:
      packet->offset += 2;
      return evenkeel_behind_ethernet(context, packet);
    default:
      if (packet->ether_type > kEtherTypeLengthMax) return kVerdictUnclassified;
      return evenkeel_behind_llc(context, packet);
  }
}

// From `offset` and `ether_type` to an IP header: ip_version is set and offset stands on it.
__noinline int evenkeel_find_network(EVENKEEL_CONTEXT* context, struct evenkeel_packet* packet) {
  if (!packet) return kVerdictMalformed;
  packet->ip_version = 0;
  for (int headers = 0; headers <= kLinkHeadersMax; ++headers) {
    const int verdict = evenkeel_link_step(context, packet);
    if (verdict != 0) return verdict;
    if (packet->ip_version != 0) return 0;
  }
  return kVerdictMalformed;
}

// The size that a datagram states of itself ends it, where that is not beyond the frame. 0: all of the frame.
static __always_inline void evenkeel_set_extent(struct evenkeel_packet* packet, __u32 stated) {
  const __u32 available = packet->end - packet->network_offset;
  if (stated != 0 && stated < available) packet->end = packet->network_offset + stated;
}

// Ports of TCP, UDP and SCTP at offset.
static __always_inline int evenkeel_read_ports(EVENKEEL_CONTEXT* context, struct evenkeel_packet* packet,
                                               __u32 word) {
  const __u8 protocol = packet->protocol;
  if (protocol != kProtocolTcp && protocol != kProtocolUdp && protocol != kProtocolSctp) return 0;
  __u32 ports = 0;
  if (!evenkeel_load(context, packet, packet->offset, &ports, 4)) return kVerdictMalformed;
  if (word == 2) packet->tuple[2] = ports;
  if (word == 8) packet->tuple[8] = ports;
  packet->ports_found = 1;
  return 0;
}

static __always_inline __u32 evenkeel_extension_size(__u8 kind, __u8 length) {
  return kind == kProtocolAuthentication ? (length + 2u) * 4 : (length + 1u) * 8;
}

__noinline int evenkeel_read_ipv4(EVENKEEL_CONTEXT* context, struct evenkeel_packet* packet) {
  if (!packet) return kVerdictMalformed;
  __u8 header[20] = {};
  if (!evenkeel_load(context, packet, packet->offset, header, 20)) return kVerdictMalformed;
  const __u32 size = (header[0] & 15) * 4u;
  const __u32 stated = (__u32)header[2] << 8 | header[3];
  if (size < 20 || (stated != 0 && stated < size)) return kVerdictMalformed;
  if (packet->offset + size > packet->end) return kVerdictMalformed;
  packet->network_offset = packet->offset;
  evenkeel_set_extent(packet, stated);
  __builtin_memset(packet->tuple, 0, sizeof(packet->tuple));
  __builtin_memcpy(packet->tuple, header + 12, 8);
  packet->protocol = header[9];
  packet->ports_found = 0;
  packet->later_fragment = ((header[6] & 0x1f) | header[7]) != 0;
  packet->fragment |= packet->later_fragment | ((header[6] & 0x20) != 0);
  packet->offset += size;
  if (packet->later_fragment) return 0;
  if (packet->protocol == kProtocolAuthentication) {
    __u8 extension[8] = {};
    if (!evenkeel_load(context, packet, packet->offset, extension, 8)) return kVerdictMalformed;
    packet->protocol = extension[0];
    packet->offset += evenkeel_extension_size(kProtocolAuthentication, extension[1]);
  }
  return evenkeel_read_ports(context, packet, 2);
}

static __always_inline int evenkeel_is_extension(__u8 protocol) {
  return protocol == kProtocolHopByHop || protocol == kProtocolRouting || protocol == kProtocolFragment ||
         protocol == kProtocolAuthentication || protocol == kProtocolDestinationOptions;
}

// RFC 8200. Stops at a later fragment; one with offset 0 and no more parts (RFC 6946) is no fragment.
__noinline int evenkeel_read_ipv6(EVENKEEL_CONTEXT* context, struct evenkeel_packet* packet) {
  if (!packet) return kVerdictMalformed;
  __u8 header[40] = {};
  if (!evenkeel_load(context, packet, packet->offset, header, 40)) return kVerdictMalformed;
  packet->network_offset = packet->offset;
  const __u32 payload = (__u32)header[4] << 8 | header[5];
  evenkeel_set_extent(packet, payload == 0 ? 0 : 40 + payload);
  __builtin_memcpy(packet->tuple, header + 8, 32);
  packet->tuple[8] = 0;
  packet->protocol = header[6];
  packet->ports_found = 0;
  packet->later_fragment = 0;
  packet->offset += 40;
  const __u8 outer_fragment = packet->fragment;
  for (int extensions = 0; extensions < kExtensionsMax; ++extensions) {
    if (!evenkeel_is_extension(packet->protocol)) break;
    __u8 extension[8] = {};
    if (!evenkeel_load(context, packet, packet->offset, extension, 8)) return kVerdictMalformed;
    const __u8 kind = packet->protocol;
    packet->protocol = extension[0];
    if (kind != kProtocolFragment) {
      packet->offset += evenkeel_extension_size(kind, extension[1]);
      continue;
    }
    packet->later_fragment = (extension[2] | (extension[3] & 0xf8)) != 0;
    packet->fragment = outer_fragment | packet->later_fragment | (extension[3] & 1);
    if (packet->later_fragment) return 0;
    packet->offset += 8;
  }
  if (evenkeel_is_extension(packet->protocol)) return kVerdictMalformed;
  return evenkeel_read_ports(context, packet, 8);
}

static __always_inline int evenkeel_read_datagram(EVENKEEL_CONTEXT* context, struct evenkeel_packet* packet) {
  return packet->ip_version == 4 ? evenkeel_read_ipv4(context, packet) : evenkeel_read_ipv6(context, packet);
}

// Behind the header of GRE at offset (RFC 2784, 2890, 7637); 0: not one that can be followed.
static __always_inline int evenkeel_enter_gre(EVENKEEL_CONTEXT* context, struct evenkeel_packet* packet) {
  __u16 header[2] = {};
  if (!evenkeel_load(context, packet, packet->offset, header, 4)) return 0;
  const __u16 flags = bpf_ntohs(header[0]);
  if ((flags & (0x4000 | 7)) != 0) return 0;
  packet->ether_type = bpf_ntohs(header[1]);
  packet->offset += 4;
  if ((flags & 0x8000) != 0) packet->offset += 4;
  if ((flags & 0x2000) != 0) packet->offset += 4;
  if ((flags & 0x1000) != 0) packet->offset += 4;
  return packet->ether_type != kEtherTypeTransparentEthernet ||
         evenkeel_behind_ethernet(context, packet) == 0;
}

static __always_inline int evenkeel_enter_vxlan(EVENKEEL_CONTEXT* context, struct evenkeel_packet* packet) {
  __u8 header[8] = {};
  if (!evenkeel_load(context, packet, packet->offset, header, 8) || (header[0] & 8) == 0) return 0;
  packet->offset += 8;
  return evenkeel_behind_ethernet(context, packet) == 0;
}

static __always_inline int evenkeel_enter_geneve(EVENKEEL_CONTEXT* context, struct evenkeel_packet* packet) {
  __u8 header[8] = {};
  if (!evenkeel_load(context, packet, packet->offset, header, 8) || header[0] >> 6 != 0) return 0;
  packet->ether_type = (__u16)(header[2] << 8 | header[3]);
  packet->offset += 8 + (header[0] & 63) * 4u;
  return packet->ether_type != kEtherTypeTransparentEthernet ||
         evenkeel_behind_ethernet(context, packet) == 0;
}

// Extension headers of GTP-U: length in 4-byte words, ..., type of the next one.
__noinline int evenkeel_behind_gtp_extensions(EVENKEEL_CONTEXT* context, struct evenkeel_packet* packet,
                                              __u32 type) {
  if (!packet) return 0;
  for (int extensions = 0; extensions < 8 && type != 0; ++extensions) {
    __u8 words = 0;
    __u8 next = 0;
    if (!evenkeel_load(context, packet, packet->offset, &words, 1) || words == 0) return 0;
    packet->offset += words * 4u;
    if (!evenkeel_load(context, packet, packet->offset - 1, &next, 1)) return 0;
    type = next;
  }
  return type == 0;
}

// GTP-U version 1, user data (3GPP TS 29.281).
static __always_inline int evenkeel_enter_gtp(EVENKEEL_CONTEXT* context, struct evenkeel_packet* packet) {
  __u8 header[8] = {};
  if (!evenkeel_load(context, packet, packet->offset, header, 8)) return 0;
  if ((header[0] & 0xf0) != 0x30 || header[1] != 255) return 0;
  packet->offset += 8;
  if ((header[0] & 7) != 0) {
    __u8 optional[4] = {};
    if (!evenkeel_load(context, packet, packet->offset, optional, 4)) return 0;
    packet->offset += 4;
    const __u32 type = (header[0] & 4) != 0 ? optional[3] : 0;
    if (type != 0 && !evenkeel_behind_gtp_extensions(context, packet, type)) return 0;
  }
  __u8 first = 0;
  if (!evenkeel_load(context, packet, packet->offset, &first, 1)) return 0;
  packet->ether_type = first >> 4 == 4 ? kEtherTypeIpv4 : kEtherTypeIpv6;
  return 1;  // where it is neither version, the IP header's own check says so
}

static __always_inline int evenkeel_enter_udp(EVENKEEL_CONTEXT* context, struct evenkeel_packet* packet) {
  __u16 ports[2] = {};
  if (!evenkeel_load(context, packet, packet->offset, ports, 4)) return 0;
  packet->offset += 8;
  const __u16 source_port = bpf_ntohs(ports[0]);
  const __u16 destination_port = bpf_ntohs(ports[1]);
  if (destination_port == kPortVxlan || destination_port == kPortVxlanLinux) {
    return evenkeel_enter_vxlan(context, packet);
  }
  if (destination_port == kPortGeneve) return evenkeel_enter_geneve(context, packet);
  if (destination_port == kPortGtpUser || source_port == kPortGtpUser) {
    return evenkeel_enter_gtp(context, packet);
  }
  return 0;
}

// One level inwards. 1: `packet` is now the inner datagram; 0: not a tunnel whose inside can be read, and
// `packet` is of no use any more.
__noinline int evenkeel_enter_tunnel(EVENKEEL_CONTEXT* context, struct evenkeel_packet* packet) {
  if (!packet) return 0;
  if (packet->later_fragment || packet->offset >= packet->end) return 0;
  int entered = 0;
  switch (packet->protocol) {
    case kProtocolIpv4:
    case kProtocolIpv6:
      packet->ether_type = packet->protocol == kProtocolIpv4 ? kEtherTypeIpv4 : kEtherTypeIpv6;
      entered = 1;
      break;
    case kProtocolGre:
      entered = evenkeel_enter_gre(context, packet);
      break;
    case kProtocolUdp:
      entered = evenkeel_enter_udp(context, packet);
      break;
  }
  return entered && evenkeel_find_network(context, packet) == 0 &&
         evenkeel_read_datagram(context, packet) == 0;
}

// Follows tunnels inwards as far as they can be read; the last connection that was read stands.
static __always_inline void evenkeel_enter_tunnels(EVENKEEL_CONTEXT* context,
                                                   struct evenkeel_packet* packet) {
  for (int depth = 0; depth < kTunnelsMax; ++depth) {
    struct evenkeel_packet inner = *packet;
    if (!evenkeel_enter_tunnel(context, &inner)) return;
    *packet = inner;
  }
}

// From the payload `ether_type` at the first byte to its connection.
static __always_inline int evenkeel_parse_payload(EVENKEEL_CONTEXT* context, struct evenkeel_packet* packet,
                                                  __u16 ether_type, int inner_tunnel) {
  __builtin_memset(packet, 0, sizeof(*packet));
  packet->end = evenkeel_frame_length(context);
  packet->ether_type = ether_type;
  int verdict = evenkeel_find_network(context, packet);
  if (verdict == 0) verdict = evenkeel_read_datagram(context, packet);
  if (verdict == 0 && inner_tunnel) evenkeel_enter_tunnels(context, packet);
  return verdict;
}

// From the first byte of an Ethernet frame to its connection.
static __always_inline int evenkeel_parse(EVENKEEL_CONTEXT* context, struct evenkeel_packet* packet,
                                          int inner_tunnel) {
  __builtin_memset(packet, 0, sizeof(*packet));
  packet->end = evenkeel_frame_length(context);
  if (evenkeel_behind_ethernet(context, packet) != 0) return kVerdictMalformed;
  int verdict = evenkeel_find_network(context, packet);
  if (verdict == 0) verdict = evenkeel_read_datagram(context, packet);
  if (verdict == 0 && inner_tunnel) evenkeel_enter_tunnels(context, packet);
  return verdict;
}

// The connection of a fragment's first part has ports and that of its later parts has none; a program keeps
// no state to tell that they belong together. Without ports, all parts of a datagram fall in one bucket.
static __always_inline void evenkeel_forget_ports_of_fragments(struct evenkeel_packet* packet) {
  if (!packet->fragment) return;
  packet->tuple[packet->ip_version == 4 ? 2 : 8] = 0;
}
