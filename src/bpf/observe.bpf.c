// Looks at an interface's packets without touching them: a filter of a packet socket that counts each
// incoming packet for its bucket, on the CPU that received it, and lets none through to the socket. Works
// from kernel 5.15 on.
#include <linux/bpf.h>

#define EVENKEEL_CONTEXT struct __sk_buff
#include "bpf/hash.bpf.h"

char kernel_license[] SEC("license") = "GPL";

SEC(".rodata.configuration") const volatile struct evenkeel_observe_configuration configuration = {};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct evenkeel_observed_count);
} bucket_counts SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, kObserveCounters);
  __type(key, __u32);
  __type(value, __u64);
} counters SEC(".maps");

// Of a network card's key; unused with the symmetric one.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct evenkeel_toeplitz_tables);
} toeplitz_tables SEC(".maps");

static __always_inline void count(__u32 counter) {
  __u64* const value = bpf_map_lookup_elem(&counters, &counter);
  if (value) ++*value;
}

// The hash of a network card: its key, and ports only where it takes them.
static __always_inline __u32 hash_like_card(struct evenkeel_packet* packet) {
  const __u32 zero = 0;
  const struct evenkeel_toeplitz_tables* const tables = bpf_map_lookup_elem(&toeplitz_tables, &zero);
  if (!tables) return 0;
  const int six = packet->ip_version == 6;
  const __u32 flag = packet->protocol == kProtocolTcp   ? (six ? kCardPortsTcp6 : kCardPortsTcp4)
                     : packet->protocol == kProtocolUdp ? (six ? kCardPortsUdp6 : kCardPortsUdp4)
                                                        : 0;
  if ((configuration.card_ports & flag) == 0) packet->tuple[six ? 8 : 2] = 0;
  const __u8* const bytes = (const __u8*)packet->tuple;
  __u32 hash = 0;
#pragma unroll
  for (int i = 0; i < 12; ++i) hash ^= tables->words[i][bytes[i]];
  if (!six) return hash;
#pragma unroll
  for (int i = 12; i < kTupleBytes; ++i) hash ^= tables->words[i][bytes[i]];
  return hash;
}

SEC("socket") int evenkeel_observe(struct __sk_buff* context) {
  enum { kOutgoing = 4 };  // PACKET_OUTGOING of if_packet.h
  if (context->pkt_type == kOutgoing) return 0;
  struct evenkeel_packet packet;
  const int verdict = evenkeel_parse(context, &packet, configuration.inner_tunnel != 0);
  if (verdict != kVerdictConnection) {
    count(verdict == kVerdictMalformed ? kObserveMalformed : kObserveUnclassified);
    return 0;
  }
  if (packet.fragment) count(kObserveFragments);
  if (packet.protocol == kProtocolUdp) count(kObserveUdp);
  struct evenkeel_packet inner = packet;
  if (evenkeel_enter_tunnel(context, &inner)) count(kObserveTunnelled);
  evenkeel_forget_ports_of_fragments(&packet);
  const __u32 hash = configuration.like_card ? hash_like_card(&packet) : evenkeel_hash_symmetric(&packet);
  __u32 bucket = hash & configuration.bucket_mask;
  struct evenkeel_observed_count* const counted = bpf_map_lookup_elem(&bucket_counts, &bucket);
  if (!counted) return 0;
  ++counted->packets;
  counted->bytes += context->len;
  return 0;
}
