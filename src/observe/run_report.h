// All that a run says of itself, as one plain value: the engine fills it, and the terminal table, the JSON
// and the page are three views of it. docs/report.md defines every field for the reader.
//
// Law kept by who fills it: received = processed + malformed + unclassified + dropped.
//
// Thread: [control]. A value; nothing here is shared.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "evenkeel/ids.h"
#include "observe/balance_history.h"

namespace evenkeel::observe {

// How many packets met one fate for one reason, e.g. {"truncated-header", 3}. Reasons with no packet may be
// left out or stand with 0.
struct ReasonCount {
  std::string reason;
  std::uint64_t packets = 0;
};

std::uint64_t total(const std::vector<ReasonCount>& counts);

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
  std::uint64_t live = 0;     // at the end of the run, before the flush
};

struct WorkerReport {
  double busy_fraction = 0;  // of the run's elapsed time, 0 to 1
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;           // on the wire
  std::uint64_t connections = 0;     // live at the end
  std::uint32_t buckets = 0;         // owned at the end
  std::optional<std::uint32_t> cpu;  // that it is pinned to
  double capacity = 1;               // relative, as planned with
};

struct BalanceReport {
  // The greatest load of a worker over the mean of all workers, 1 is level: BalanceHistory::max_over_mean(),
  // or of the whole run's busy fractions where it was shorter than one interval.
  double max_over_mean = 1;
  double static_max_over_mean = 1;  // had every bucket stayed where it started
  std::uint64_t rebalances = 0;     // rounds whose plan had a move
  std::uint64_t moves = 0;          // buckets handed over
  BalanceHistory history;
  std::vector<double> bucket_loads;         // mean cost by bucket: seconds of work in a second
  std::vector<ProcessorId> bucket_owners;   // at the end, by bucket
  std::vector<ProcessorId> initial_owners;  // at the start, by bucket: what static hashing keeps
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

struct RunReport {
  std::string version;
  std::string started_at;  // wall-clock time of the start, RFC 3339; empty where it must not vary
  struct Options {
    std::uint32_t workers = 1;
    std::uint32_t buckets = 1;
    std::string hash;
    std::string hash_key;  // as given; empty: the default
    std::string policy;
    std::int64_t interval_ns = 0;
    std::uint64_t seed = 0;
    bool inner_tunnel = false;
    std::int64_t idle_timeout_ns = 0;
    std::int64_t active_timeout_ns = 0;
    std::uint32_t connections_max = 0;
    std::optional<double> speed;  // of replay; nothing: as fast as it goes
  } options;
  std::vector<InputReport> inputs;
  double elapsed_seconds = 0;
  double packets_per_second = 0;
  bool interrupted = false;  // ended by a signal before its inputs did
  PacketCounts packets;
  ConnectionCounts connections;
  std::uint64_t records = 0;  // flow records written
  std::vector<WorkerReport> workers;
  BalanceReport balance;
  QueueingReport queueing;
  std::vector<ElephantReport> elephants;  // heaviest first
  std::uint64_t order_violations = 0;
  std::uint64_t ownership_violations = 0;
};

}  // namespace evenkeel::observe
