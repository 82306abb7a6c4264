// Which receive ring of a packet socket group gets a packet: that of the worker to which the packet's bucket
// is assigned. Runs as the program of a PACKET_FANOUT_EBPF group (packet(7)), from kernel 5.15 on.
#include <linux/bpf.h>

#define EVENKEEL_CONTEXT struct __sk_buff
#include "bpf/live.bpf.h"

char kernel_license[] SEC("license") = "GPL";

// A group's program sees what came in from behind its link header, a VLAN tag already taken off, and what
// goes out with its link header (net/packet/af_packet.c).
static __always_inline int parse(struct __sk_buff* context, struct evenkeel_packet* packet) {
  enum { kOutgoing = 4 };  // PACKET_OUTGOING of if_packet.h
  if (context->pkt_type == kOutgoing && !configuration.raw_ip)
    return evenkeel_parse(context, packet, configuration.inner_tunnel != 0);
  return evenkeel_parse_payload(context, packet, bpf_ntohs((__u16)context->protocol),
                                configuration.inner_tunnel != 0);
}

SEC("socket") int evenkeel_fanout(struct __sk_buff* context) {
  struct evenkeel_packet packet;
  __u32 bucket = 0;
  if (parse(context, &packet) == kVerdictConnection) {
    evenkeel_forget_ports_of_fragments(&packet);
    bucket = evenkeel_hash_symmetric(&packet) & configuration.bucket_mask;
  }
  const struct evenkeel_bucket_worker* const entry = bpf_map_lookup_elem(&bucket_workers, &bucket);
  return entry ? (int)entry->worker : 0;
}
