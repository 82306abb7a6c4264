// What a run says of itself. docs/report.md defines every field for the reader.
//
// Law: received = processed + malformed + unclassified + dropped, when the run has ended.
//
// Thread: [any]. Values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "evenkeel/api.h"
#include "evenkeel/ids.h"
#include "evenkeel/result.h"

namespace evenkeel {

// How many packets met one fate for one reason, e.g. {"truncated-header", 3}. Reasons with no packet may be
// left out or stand with 0.
struct ReasonCount {
  std::string reason;
  std::uint64_t packets = 0;
};

EVENKEEL_API std::uint64_t total(const std::vector<ReasonCount>& counts);

struct PacketCounts {
  std::uint64_t received = 0;
  std::uint64_t processed = 0;
  std::uint64_t bytes = 0;  // on the wire, of the received packets
  std::vector<ReasonCount> malformed;
  std::vector<ReasonCount> unclassified;
  std::vector<ReasonCount> dropped;
};

struct ConnectionCounts {
  std::uint64_t opened = 0;
  std::uint64_t closed = 0;   // ended by their protocol
  std::uint64_t expired = 0;  // by the idle timeout
  std::uint64_t evicted = 0;  // to stay within the limit
  std::uint64_t live = 0;     // now, or at the end of the run, before the flush
};

// Timers of connections: of one worker, or of all together. Each connection has one in the engine, for the
// earliest of its timeout and its handler's timers; this is what happened to that one, not to the handler's.
struct EngineTimers {
  std::uint64_t started = 0;    // that did not run
  std::uint64_t restarted = 0;  // that ran
  std::uint64_t cancelled = 0;
  std::uint64_t fired = 0;            // the connection was looked at
  std::uint64_t fired_off_owner = 0;  // a law: always 0
  double late_p99_microseconds = 0;   // of packet time, after the beginning of their tick
};

struct WorkerReport {
  double busy_fraction = 0;  // of the run's elapsed time, 0 to 1
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;           // on the wire
  std::uint64_t connections = 0;     // live at the end
  std::uint32_t buckets = 0;         // owned at the end
  std::optional<std::uint32_t> cpu;  // that it is pinned to
  double capacity = 1;               // relative, as planned with
  EngineTimers timers;
};

// What waited, and how long, in the workers' queueing models; zeros where packets passed straight through.
struct QueueingReport {
  std::string discipline = "fifo";
  std::int64_t quantum_ns = 0;
  std::uint64_t packets = 0;              // that had to wait
  std::uint64_t shed_by_limit = 0;        // of these, taken from the largest backlog
  std::uint64_t shed_by_delay = 0;        // ... and by CoDel
  std::uint64_t waiting_packets_max = 0;  // at one worker
  std::uint64_t connections_max = 0;      // that waited at once at one worker
  double delay_p50_seconds = 0;           // of packets that had to wait and were served
  double delay_p99_seconds = 0;
};

// A connection far above all others.
struct ElephantReport {
  std::string connection;  // "tcp 10.1.0.1:443 10.2.0.1:1024"
  std::uint32_t worker = 0;
  std::uint64_t packets = 0;  // from samples, since it was noticed; so are the next three
  std::uint64_t bytes = 0;
  double bytes_per_second = 0;  // of packet time
  double worker_share = 0;      // greatest share of its worker's time within 10 s of packet time
  std::uint64_t shed = 0;
  std::uint64_t bypassed = 0;
};

struct InputReport {
  std::string name;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;  // on the wire
  std::string error;        // what ended it early, with its name; empty where nothing did
  std::string note = {};    // of a live interface: how it was received
};

// Of an engine, at any time of its run.
struct Report {
  bool ended = false;
  std::vector<InputReport> inputs;
  double elapsed_seconds = 0;
  double packets_per_second = 0;
  PacketCounts packets;
  ConnectionCounts connections;
  std::vector<WorkerReport> workers;
  double max_over_mean = 1;         // the greatest load of a worker over the mean; 1 is level
  double static_max_over_mean = 1;  // had every bucket stayed where it started
  std::uint64_t rebalances = 0;     // rounds whose plan had a move
  std::uint64_t moves = 0;          // buckets that plans moved; an actuator of one's own may hold some back
  std::vector<ProcessorId> bucket_owners;
  QueueingReport queueing;
  EngineTimers timers;
  std::vector<ElephantReport> elephants;   // heaviest first; when the run has ended
  std::uint64_t order_violations = 0;      // packets that came to the handler out of order: always 0
  std::uint64_t ownership_violations = 0;  // buckets touched by another than their worker: always 0

  // Of the first input that ended early (a capture that is cut off, a source that failed); nothing where all
  // came to their end. What came before was served all the same.
  std::optional<Error> input_error() const;
};

inline std::optional<Error> Report::input_error() const {
  for (const InputReport& input : inputs) {
    if (!input.error.empty()) return runtime_error(input.error);
  }
  return std::nullopt;
}

}  // namespace evenkeel
