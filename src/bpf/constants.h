// What the kernel programs and the C++ side share: layouts of map values and numbers that both must agree on.
// Included by C (clang -target bpf) and by C++; nothing else may repeat what stands here.
#pragma once

#include <linux/types.h>

// A bucket's state word, in one 64-bit integer so that one atomic operation of the kernel program counts a
// packet and reads where it goes, and one compare-and-exchange moves the bucket:
//   bits 63..32  packets sent to the bucket's target, modulo 2^32 (the carry of this count falls off the top)
//   bits 31..16  target: the CPU that gets the packets, or kTargetInline
//   bits 15..0   pending: the CPU that the bucket moves to once nothing is in flight, or kTargetNone
enum {
  kStateSentShift = 32,
  kStateTargetShift = 16,
  kTargetMask = 0xffff,
  kTargetNone = 0xffff,    // pending: no move is wanted
  kTargetInline = 0xfffe,  // the packet goes on to the stack on the CPU that received it
  kTargetsMax = 0xfffe,
  kSteeredCpusMax = 1024,
};

// One slot for each bucket, written by the CPUs that receive and by the control loop. A cache line, so that
// two receiving CPUs do not fight over neighbouring buckets.
struct evenkeel_bucket_state {
  __u64 word;
  __u64 bytes;  // frame bytes sent
  __u64 reserved[6];
};

// One slot for each bucket, written by the CPU that the bucket's packets are sent to.
struct evenkeel_bucket_arrival {
  __u64 packets;  // that the target CPU took from its queue; only the low 32 bits are compared with `sent`
  __u64 stamp;    // of the last one: batch number of its CPU << kStampCpuBits | CPU
  __u64 reserved[6];
};

enum {
  kStampCpuBits = 16,
};

// One slot for each target CPU, written by its own thread, where the receiving CPUs can read it.
struct evenkeel_target_progress {
  __u64 batches;        // that were reported
  __u64 last_batch_ns;  // when the last one was, of the monotonic clock
  __u64 thread;         // address of the kernel's task
  __u64 reserved[5];
};

// What the receiving side did with packets. One list: enumerator, name in reports, what it means.
#define EVENKEEL_STEER_COUNTERS(X)                                                             \
  X(kSteerRedirected, "redirected", "sent to the CPU of their bucket")                         \
  X(kSteerInline, "inline", "left on the receiving CPU, because their bucket is")              \
  X(kSteerUnclassified, "unclassified", "not IP: passed to the stack untouched")               \
  X(kSteerMalformed, "malformed", "without readable addresses: passed to the stack untouched") \
  X(kSteerNoQueue, "no_queue", "their CPU has no queue: left on the receiving CPU")            \
  X(kSteerSwitched, "switched", "moves of buckets that the program completed: nothing in flight")

enum evenkeel_steer_counter {
#define EVENKEEL_X(enumerator, name, text) enumerator,
  EVENKEEL_STEER_COUNTERS(EVENKEEL_X)
#undef EVENKEEL_X
      kSteerCounters
};

// What happened to the queue of one target CPU; one copy for each CPU that wrote.
struct evenkeel_target_count {
  __u64 sent;          // redirected to it
  __u64 arrived;       // taken from its queue by its thread
  __u64 queue_drops;   // lost because its queue was full
  __u64 refused;       // lost because the kernel could not redirect them
  __u64 kernel_drops;  // lost behind the queue: no memory
  __u64 batches;       // rounds of its thread
};

// Set by the loader before the steering programs are verified.
struct evenkeel_steer_configuration {
  __u32 bucket_mask;
  __u32 inner_tunnel;  // not 0: the connection inside a tunnel decides
  __u64 gap_ns;        // where the thread's state may not be read: long enough to hand over a batch
  __u32
      batches_until_delivered;  // so many reports after its own, a batch is delivered; 0: they prove nothing
  __u32 task_state_offset;      // of task_struct.__state in this kernel, or 0: not known, or may not be read
};

// Toeplitz hash of a tuple of up to 36 bytes by byte tables: tables[position][byte].
enum { kTupleWords = 9, kTupleBytes = 36, kByteValues = 256 };

// What the observing program saw, for each bucket; one copy for each CPU that received.
struct evenkeel_observed_count {
  __u64 packets;
  __u64 bytes;
};

enum evenkeel_observe_counter {
  kObserveUnclassified,
  kObserveMalformed,
  kObserveFragments,  // these and the next ones are counted for their bucket too
  kObserveUdp,
  kObserveTunnelled,  // carry another connection that could be read
  kObserveCounters
};

// For which packets a network card hashes ports too, bits of `card_ports`.
enum {
  kCardPortsTcp4 = 1,
  kCardPortsUdp4 = 2,
  kCardPortsTcp6 = 4,
  kCardPortsUdp6 = 8,
};

struct evenkeel_observe_configuration {
  __u32 bucket_mask;
  __u32 inner_tunnel;
  __u32 like_card;  // not 0: hash by toeplitz_tables instead of the symmetric key
  __u32 card_ports;
};

// Toeplitz by byte tables: the hash of a tuple is the exclusive or of words[position][byte].
struct evenkeel_toeplitz_tables {
  __u32 words[kTupleBytes][kByteValues];
};

// Live input: the worker of each bucket, written by the control loop.
struct evenkeel_bucket_worker {
  __u64 worker;
};

struct evenkeel_live_configuration {
  __u32 bucket_mask;
  __u32 inner_tunnel;
  __u32 raw_ip;   // not 0: the interface has no link header
  __u32 workers;  // of AF_XDP: sockets of one receive queue
};

// In front of each packet that an AF_XDP socket gets.
struct evenkeel_frame_stamp {
  __u64 time_ns;  // of the monotonic clock
};

enum evenkeel_take_counter {
  kTakeLeft,       // of no connection: left to the kernel
  kTakeUnstamped,  // the driver left no room for the stamp
  kTakeCounters
};
