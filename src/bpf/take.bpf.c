// AF_XDP: sends each packet of a connection to the socket of the worker that owns its bucket, of the receive
// queue that it came in by. What belongs to no connection (ARP, damaged packets) stays with the kernel. Works
// from kernel 5.15 on.
#include <linux/bpf.h>

#define EVENKEEL_CONTEXT struct xdp_md
#define EVENKEEL_CONTEXT_IS_XDP
#include "bpf/live.bpf.h"

char kernel_license[] SEC("license") = "GPL";

// Queue by queue, a socket for each worker.
struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, 1);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, sizeof(__u32));
} sockets SEC(".maps");

// What was seen that is not for a worker; one copy for each CPU.
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, kTakeCounters);
  __type(key, __u32);
  __type(value, __u64);
} counters SEC(".maps");

static __always_inline void count(__u32 counter) {
  __u64* const value = bpf_map_lookup_elem(&counters, &counter);
  if (value) ++*value;
}

// Writes the time in front of the packet, where the socket finds it. Returns 0 where the driver leaves no
// room.
static __always_inline int stamp(struct xdp_md* context) {
  if (bpf_xdp_adjust_meta(context, -(int)sizeof(struct evenkeel_frame_stamp)) != 0) return 0;
  struct evenkeel_frame_stamp* const stamp = (void*)(long)context->data_meta;
  if ((void*)(stamp + 1) > (void*)(long)context->data) return 0;
  stamp->time_ns = bpf_ktime_get_ns();
  return 1;
}

SEC("xdp") int evenkeel_take(struct xdp_md* context) {
  struct evenkeel_packet packet;
  const int verdict = evenkeel_parse(context, &packet, configuration.inner_tunnel != 0);
  if (verdict != kVerdictConnection) {
    count(kTakeLeft);
    return XDP_PASS;
  }
  evenkeel_forget_ports_of_fragments(&packet);
  const __u32 bucket = evenkeel_hash_symmetric(&packet) & configuration.bucket_mask;
  const struct evenkeel_bucket_worker* const entry = bpf_map_lookup_elem(&bucket_workers, &bucket);
  if (!entry) return XDP_PASS;
  if (!stamp(context)) count(kTakeUnstamped);
  // Without a socket of that number (the process is ending) the kernel keeps the packet.
  const __u32 socket = context->rx_queue_index * configuration.workers + (__u32)entry->worker;
  return bpf_redirect_map(&sockets, socket, XDP_PASS);
}
