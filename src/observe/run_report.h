// All that a run says of itself, as one plain value: the engine fills it, and the terminal table, the JSON
// and the page are three views of it. docs/report.md defines every field for the reader.
//
// Law kept by who fills it: received = processed + malformed + unclassified + dropped.
//
// Thread: [control]. A value; nothing here is shared.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "evenkeel/ids.h"
#include "evenkeel/report.h"
#include "observe/balance_history.h"

namespace evenkeel::observe {

using evenkeel::ConnectionCounts;
using evenkeel::ElephantReport;
using evenkeel::EngineTimers;
using evenkeel::InputReport;
using evenkeel::PacketCounts;
using evenkeel::QueueingReport;
using evenkeel::ReasonCount;
using evenkeel::total;
using evenkeel::WorkerReport;

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
  EngineTimers timers;
  std::vector<ElephantReport> elephants;  // heaviest first
  std::uint64_t order_violations = 0;
  std::uint64_t ownership_violations = 0;
};

}  // namespace evenkeel::observe
