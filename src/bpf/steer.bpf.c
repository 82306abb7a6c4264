// Steering for the kernel's own stack: the XDP program sends each packet to the CPU of its bucket through a
// CPU map; the program on that CPU counts what has arrived; two tracepoints count what was lost and when a
// CPU begins a new batch. Who writes what: src/bpf/constants.h. Works from kernel 5.15 on.
#include <linux/bpf.h>

#define EVENKEEL_CONTEXT struct xdp_md
#define EVENKEEL_CONTEXT_IS_XDP
#include "bpf/hash.bpf.h"

char kernel_license[] SEC("license") = "GPL";

SEC(".rodata.configuration") const volatile struct evenkeel_steer_configuration configuration = {};

// The CPU map's identity: tracepoints report those of all maps of the machine.
__u32 cpu_map_id = 0;

// Sizes are set by the loader.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct evenkeel_bucket_state);
} bucket_states SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct evenkeel_bucket_arrival);
} bucket_arrivals SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct evenkeel_target_count);
} target_counts SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct evenkeel_target_progress);
} target_progress SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, kSteerCounters);
  __type(key, __u32);
  __type(value, __u64);
} counters SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_CPUMAP);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct bpf_cpumap_val);
} cpu_map SEC(".maps");

static __always_inline void count(__u32 counter) {
  __u64* const value = bpf_map_lookup_elem(&counters, &counter);
  if (value) ++*value;
}

// The bucket of a packet; a verdict other than kVerdictConnection: none.
static __always_inline int find_bucket(struct xdp_md* context, __u32* bucket) {
  struct evenkeel_packet packet;
  const int verdict = evenkeel_parse(context, &packet, configuration.inner_tunnel != 0);
  if (verdict != kVerdictConnection) return verdict;
  evenkeel_forget_ports_of_fragments(&packet);
  *bucket = evenkeel_hash_symmetric(&packet) & configuration.bucket_mask;
  return kVerdictConnection;
}

static __always_inline __u32 target_of(__u64 word) { return word >> kStateTargetShift & kTargetMask; }
static __always_inline __u32 pending_of(__u64 word) { return word & kTargetMask; }

static __always_inline __u64 read_once(const __u64* value) { return *(const volatile __u64*)value; }

// Whether the thread has said that it is about to sleep, which it does behind the delivery of its last batch.
// Any state but running means that; the kernel may change the state back, but then the thread has been there.
static __always_inline int asleep(__u64 thread) {
  __u32 state = 0;
  if (thread == 0) return 0;
  const void* const from = (const void*)(long)(thread + configuration.task_state_offset);
  return bpf_probe_read_kernel(&state, sizeof(state), from) == 0 && state != 0;
}

// Whether all packets that have arrived at the target were handed to the stack since: its thread reported
// enough batches more, or went to sleep. The thread writes the time before the number, and here the number is
// read first: the time is never older than the number.
static __always_inline int delivered(const struct evenkeel_bucket_arrival* arrival, __u32 target) {
  const __u64 stamp = read_once(&arrival->stamp);
  if ((stamp & kTargetMask) != target) return 0;
  const struct evenkeel_target_progress* const progress = bpf_map_lookup_elem(&target_progress, &target);
  if (!progress) return 0;
  const __u64 own = stamp >> kStampCpuBits;
  const __u64 batches = read_once(&progress->batches);
  if (batches <= own) return 0;
  const __u32 until_delivered = configuration.batches_until_delivered;
  if (until_delivered != 0 && batches >= own + until_delivered) return 1;
  if (configuration.task_state_offset != 0) return asleep(read_once(&progress->thread));
  return bpf_ktime_get_ns() - read_once(&progress->last_batch_ns) >= configuration.gap_ns;
}

// A move is wanted, and a packet of the bucket was counted on top of `before`. If nothing that came before it
// is in flight, the bucket moves and this packet is the first one at the new CPU. The packet was counted
// before `arrival` is read, so that a second receiving CPU that comes later sees it in flight; one that came
// earlier has changed the word, and the exchange fails. Returns the packet's target.
static __always_inline __u32 try_switch(struct evenkeel_bucket_state* state, __u32 bucket, __u64 before) {
  const __u32 target = target_of(before);
  const struct evenkeel_bucket_arrival* const arrival = bpf_map_lookup_elem(&bucket_arrivals, &bucket);
  if (!arrival) return target;
  if ((__u32)read_once(&arrival->packets) != (__u32)(before >> kStateSentShift)) return target;
  if (!delivered(arrival, target)) return target;
  const __u64 counted = before + (1ull << kStateSentShift);
  const __u64 moved =
      (counted & 0xffffffff00000000ull) | (__u64)pending_of(before) << kStateTargetShift | kTargetNone;
  if (__sync_val_compare_and_swap(&state->word, counted, moved) != counted) return target;
  count(kSteerSwitched);
  return pending_of(before);
}

// Counts a packet of `bucket` as arrived, on whichever CPU this runs.
static __always_inline void count_arrival(__u32 bucket, __u64 stamp) {
  struct evenkeel_bucket_arrival* const arrival = bpf_map_lookup_elem(&bucket_arrivals, &bucket);
  if (!arrival) return;
  *(volatile __u64*)&arrival->stamp = stamp;
  // With its result used, the addition is ordered behind the stamp on every architecture.
  const __u64 before = __sync_fetch_and_add(&arrival->packets, 1);
  asm volatile("" : : "r"(before));
}

SEC("xdp") int evenkeel_steer(struct xdp_md* context) {
  __u32 bucket = 0;
  const int verdict = find_bucket(context, &bucket);
  if (verdict != kVerdictConnection) {
    count(verdict == kVerdictMalformed ? kSteerMalformed : kSteerUnclassified);
    return XDP_PASS;
  }
  struct evenkeel_bucket_state* const state = bpf_map_lookup_elem(&bucket_states, &bucket);
  if (!state) return XDP_PASS;
  const __u64 before = __sync_fetch_and_add(&state->word, 1ull << kStateSentShift);
  __sync_fetch_and_add(&state->bytes, (__u64)(context->data_end - context->data));
  __u32 target = target_of(before);
  if (pending_of(before) != kTargetNone) target = try_switch(state, bucket, before);
  if (target == kTargetInline) {
    count(kSteerInline);
    count_arrival(bucket, kTargetInline);
    return XDP_PASS;
  }
  if (bpf_redirect_map(&cpu_map, target, XDP_PASS) != XDP_REDIRECT) {
    count(kSteerNoQueue);
    count_arrival(bucket, kTargetInline);
    return XDP_PASS;
  }
  count(kSteerRedirected);
  struct evenkeel_target_count* const counts = bpf_map_lookup_elem(&target_counts, &target);
  if (counts) ++counts->sent;
  return XDP_REDIRECT;
}

SEC("xdp/cpumap") int evenkeel_arrive(struct xdp_md* context) {
  __u32 target = bpf_get_smp_processor_id();
  struct evenkeel_target_count* const counts = bpf_map_lookup_elem(&target_counts, &target);
  const struct evenkeel_target_progress* const progress = bpf_map_lookup_elem(&target_progress, &target);
  if (!counts || !progress) return XDP_PASS;
  ++counts->arrived;
  __u32 bucket = 0;
  if (find_bucket(context, &bucket) == kVerdictConnection) {
    count_arrival(bucket, progress->batches << kStampCpuBits | target);
  }
  return XDP_PASS;
}

// TP_PROTO(int map_id, unsigned int processed, unsigned int drops, int sched, ...), on the target CPU.
SEC("raw_tp/xdp_cpumap_kthread") int evenkeel_batch(struct bpf_raw_tracepoint_args* context) {
  if ((__u32)context->args[0] != cpu_map_id) return 0;
  __u32 target = bpf_get_smp_processor_id();
  struct evenkeel_target_count* const counts = bpf_map_lookup_elem(&target_counts, &target);
  struct evenkeel_target_progress* const progress = bpf_map_lookup_elem(&target_progress, &target);
  if (!counts || !progress) return 0;
  ++counts->batches;
  counts->kernel_drops += (__u32)context->args[2];
  progress->thread = bpf_get_current_task();
  *(volatile __u64*)&progress->last_batch_ns = bpf_ktime_get_ns();
  const __u64 before = __sync_fetch_and_add(&progress->batches, 1);  // ordered behind the time
  asm volatile("" : : "r"(before));
  return 0;
}

// TP_PROTO(int map_id, unsigned int processed, unsigned int drops, int to_cpu), on the receiving CPU.
SEC("raw_tp/xdp_cpumap_enqueue") int evenkeel_enqueue(struct bpf_raw_tracepoint_args* context) {
  if ((__u32)context->args[0] != cpu_map_id) return 0;
  __u32 target = (__u32)context->args[3];
  struct evenkeel_target_count* const counts = bpf_map_lookup_elem(&target_counts, &target);
  if (counts) counts->queue_drops += (__u32)context->args[2];
  return 0;
}

// TP_PROTO(dev, xdp, tgt, err, enum bpf_map_type map_type, u32 map_id, u32 index), on the receiving CPU. In
// generic mode a full queue shows here.
SEC("raw_tp/xdp_redirect_err") int evenkeel_refused(struct bpf_raw_tracepoint_args* context) {
  if ((__u32)context->args[5] != cpu_map_id) return 0;
  __u32 target = (__u32)context->args[6];
  struct evenkeel_target_count* const counts = bpf_map_lookup_elem(&target_counts, &target);
  if (counts) ++counts->refused;
  return 0;
}
