// Policies: from measured loads to a plan of moves. A policy is a function of its snapshot (and of what it
// keeps from earlier snapshots, where it says so); it knows nothing of threads, packets or networks.
//
// Thread: [control]. Everything here is called by one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "evenkeel/ids.h"
#include "evenkeel/result.h"

namespace evenkeel {

// The measured loads of one interval. Spans refer to memory of the caller and live as long as the call.
struct Snapshot {
  // Cost of each bucket over the interval, in seconds of a processor of capacity 1 per second (w_j of
  // design).
  std::span<const double> bucket_load;
  // The processor that each bucket is assigned to; the same length as bucket_load.
  std::span<const ProcessorId> owner;
  // Busy fraction of each processor over the interval, 0 to 1 (u_i).
  std::span<const double> usage;
  // Work that waits at each processor at the interval's end, in intervals of a processor of capacity 1. May
  // be empty: none waits. Usage saturates at 1; the backlog does not.
  std::span<const double> backlog;
  // Relative capacity of each processor (c_i): 1 is the norm, 0 means that it must end empty.
  std::span<const double> capacity;
  // Buckets that may not move. Empty, or the same length as bucket_load.
  std::span<const bool> pinned;
};

enum class MoveReason : std::uint8_t {
  kLevel,     // takes load from a processor above its target to one below
  kSwap,      // half of an exchange of two buckets that lowers the worst processor
  kIsolate,   // leaves a processor whose largest bucket alone exceeds the fair share
  kEvacuate,  // leaves a processor of capacity 0
};
std::string_view to_string(MoveReason reason);

struct Move {
  BucketId bucket;
  ProcessorId from;
  ProcessorId to;
  double load = 0;  // bucket_load of the snapshot
  MoveReason reason = MoveReason::kLevel;
};

// What a policy saw and did at one processor.
struct ProcessorDetail {
  double usage = 0;   // u_i
  double load = 0;    // L_i, capacity-1 processors
  double target = 0;  // T_i
  double index = 0;   // imbalance distribution index I_i
  double quota = 0;   // its share of the pool, in load
  double after = 0;   // predicted load after the plan
};

struct Plan {
  std::vector<Move> moves;
  std::vector<ProcessorDetail> processors;
  double total_index = 0;
  double max_over_mean_before = 1;  // of L_i / c_i over the mean
  double max_over_mean_after = 1;   // predicted
  double lower_bound = 1;  // max/mean that no assignment can beat (fractional bound and largest bucket)
};

class Policy {
 public:
  virtual ~Policy() = default;
  virtual std::string_view name() const = 0;
  // Fills `plan` (which is reused from call to call, so that planning does not allocate after the first).
  // Loads that are negative or not finite, or capacities that are all zero, are refused with a usage error.
  virtual Result<void> plan(const Snapshot& snapshot, Plan& plan) = 0;
};

}  // namespace evenkeel
