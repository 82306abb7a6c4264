// What the threads of the packet path count, and the control loop and the report read.
//
// One writer each, any reader, no lock (counter.h). Everything that a packet can become is counted here
// exactly once, so that `received = processed + dropped + malformed + unclassified` holds when the threads
// have ended.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/units.h"
#include "meter/counter.h"
#include "meter/delay_histogram.h"
#include "meter/sample_limit.h"

namespace evenkeel::meter {

// Why a packet was dropped: enum, name in reports, and what it means (docs/report.md).
#define EVENKEEL_DROP_REASONS(X)                                                                         \
  X(kFragmentOrphan, "fragment_orphan", "a later fragment whose first fragment did not come in time")    \
  X(kKernel, "kernel", "lost before it was read: the kernel's receive ring of a live input was full")    \
  X(kRingFull, "ring_full", "live input came faster than its worker took it")                            \
  X(kConnectionLimit, "connection_limit", "a new connection beyond the limit, and none to evict for it") \
  X(kOverload, "overload", "taken from the connection with the largest backlog of an overloaded worker") \
  X(kBypassed, "bypassed", "of a connection that the handler asked to have bypassed")

enum class DropReason : std::uint8_t {
#define EVENKEEL_ENUMERATE(id, name, help) id,
  EVENKEEL_DROP_REASONS(EVENKEEL_ENUMERATE)
#undef EVENKEEL_ENUMERATE
};

inline constexpr std::string_view kDropReasonNames[] = {
#define EVENKEEL_NAME(id, name, help) name,
    EVENKEEL_DROP_REASONS(EVENKEEL_NAME)
#undef EVENKEEL_NAME
};
inline constexpr std::size_t kDropReasons = std::size(kDropReasonNames);

using DropCounters = std::array<Counter, kDropReasons>;

struct TimerMeters {
  Counter started;
  Counter restarted;  // to another time, while pending
  Counter cancelled;
  Counter fired;
  Counter fired_off_owner;  // by a worker that does not own the bucket: always 0
  // No memory, or too far away: the connection is then ended by its next packet or at the end.
  Counter refused;
  DelayHistogram late_ns;  // after the beginning of their tick
};

// Written by one worker [worker].
struct alignas(base::kCacheLine) WorkerMeters {
  Counter busy_ticks;  // of the clock, in steps that found work
  Counter processed;   // packets that reached the handler
  Counter bytes;       // wire bytes of these
  DropCounters dropped;
  Counter connections_opened;
  Counter connections_closed;   // by TCP's own end
  Counter connections_expired;  // by idle timeout
  Counter connections_evicted;  // to stay within the limit
  Counter connections_flushed;  // still open when the run ended
  Counter buckets_taken_over;
  Counter packets_parked;  // that waited for a handover
  TimerMeters timers;
  Counter ownership_violations;  // a bucket touched by a worker that does not own it: always 0
};

// Of a worker's queueing model, written by that worker [worker]. Packets that pass straight through, since
// nothing waits, are not counted here.
struct alignas(base::kCacheLine) QueueMeters {
  Counter packets;          // that entered the queue
  Counter batches;          // served from it
  Counter shed_by_limit;    // packets beyond a limit; together with those of the next line: dropped, overload
  Counter shed_by_delay;    // packets dropped by CoDel
  Counter waiting_packets;  // now
  Counter waiting_ticks;    // now, by their estimated cost
  Counter waiting_packets_max;
  Counter connections_max;  // connections that waited at once
  DelayHistogram delay;     // from entry to service, in ticks
};

// The load of one bucket, written by the worker that owns it.
struct BucketMeters {
  Counter cost_ticks;  // estimated from sampled packets: see worker.h
  Counter packets;
  Counter timer_ticks;  // of the bucket's timers, measured but bounded likewise
  // [owner] What one sample may weigh; handed over with the bucket, and read by nobody else.
  SampleLimit packet_limit;
  SampleLimit timer_limit;
};
static_assert(sizeof(BucketMeters) == base::kCacheLine / 2);

}  // namespace evenkeel::meter
