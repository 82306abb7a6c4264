// Policies: from measured loads to a plan of moves. A policy is a function of its snapshot (and of what it
// keeps from earlier snapshots, where it says so); it knows nothing of threads, packets or networks.
//
// A policy may not throw: an exception ends the process.
//
// Thread: [control]. Everything here is called by one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "evenkeel/api.h"
#include "evenkeel/ids.h"
#include "evenkeel/result.h"

namespace evenkeel {

// The measured loads of one interval. Spans refer to memory of the caller and live as long as the call.
struct Snapshot {
  // Cost of each bucket over the interval, in seconds of a processor of capacity 1 per second (w_j of
  // design). Finite and not negative.
  std::span<const double> bucket_load;
  // The processor that each bucket is assigned to; the same length as bucket_load.
  std::span<const ProcessorId> owner;
  // Busy fraction of each processor over the interval, 0 to 1 (u_i). May be empty: the buckets are then all
  // that a processor does. What a processor does beyond its buckets (u_i c_i - sum of w_j) stays with it.
  std::span<const double> usage;
  // Work that waits at each processor at the interval's end, in intervals of a processor of capacity 1. May
  // be empty: none waits. Usage saturates at 1; the backlog does not. It is shared out to the processor's
  // buckets in proportion to their load, and moves with them.
  std::span<const double> backlog;
  // Relative capacity of each processor (c_i): 1 is the norm, 0 means that it must end empty.
  std::span<const double> capacity;
  // Standard error of each processor's load, in processors of capacity 1. May be empty: loads are exact. What
  // exceeds a target by less is taken for noise.
  std::span<const double> error = {};
  // Buckets that may not move. Empty, or the same length as bucket_load.
  std::span<const bool> pinned;
};

enum class MoveReason : std::uint8_t {
  kLevel,     // takes load from a processor above its target to one below
  kSwap,      // half of an exchange of two buckets that lowers the worst processor
  kIsolate,   // leaves a processor whose largest bucket alone exceeds the fair share
  kEvacuate,  // leaves a processor of capacity 0
};
EVENKEEL_API std::string_view to_string(MoveReason reason);

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
  // Of L_i / c_i over the mean. A processor of capacity 0 that still has load counts as if it had the
  // capacity of the fastest.
  double max_over_mean_before = 1;
  double max_over_mean_after = 1;  // predicted
  double lower_bound = 1;  // max/mean that no assignment can beat (fractional bound and largest bucket)
};

// What a policy may spend, and how exact it shall be. Levels are relative to a processor's target.
struct PolicyOptions {
  // Planning starts when a processor is above (1 + trigger) of its target ...
  double trigger = 0.02;
  // ... and it ends when none is above (1 + hysteresis) of it any more (h of design).
  double hysteresis = 0.0175;
  // A processor in the shade of a busier one (that no plan can relieve: it has a bucket that cannot be split)
  // may exceed its target by this fraction of the capacity that it has left: nobody is slower for it.
  double shade = 0.4;
  // Above its target by fewer standard errors than this (see Snapshot::error), a processor is left alone.
  double errors = 1.1;
  // A swap costs two moves and levels by the difference only: it must lower a processor by at least this.
  double swap_gain_min = 0.02;
  // How many receivers are tried for a swap with one donor.
  std::uint32_t swap_partners_max = 4;
  // Moves and swaps that may carry a processor across its target where buckets are too coarse to stay on one
  // side (0: never).
  std::uint32_t crossings_max = 64;
  // What a move costs, in load: a move (or swap, for each half) that levels by less is not made.
  double move_cost = 0;
  // Moves in one plan, but for those that leave a processor of capacity 0. Where a policy has more, the best
  // are kept: those that lower the busiest processors most.
  std::uint32_t moves_max = kBucketsMax;

  // Meant for running: few moves, within 2 % of the bound. The default.
  static PolicyOptions running() { return {}; }
  // Meant for quality: as level as the buckets allow, whatever the number of moves.
  EVENKEEL_API static PolicyOptions quality();
};

class EVENKEEL_API Policy {
 public:
  virtual ~Policy() = default;
  virtual std::string_view name() const = 0;
  // Fills `plan` (which is reused from call to call, so that planning does not allocate after the first call
  // with as many buckets and processors). No load at all is no error: there is nothing to move then.
  // Refused with a usage error, and the plan is then of no meaning: loads, usage, backlog or capacities that
  // are negative or not finite; capacities that are all zero; spans of lengths that do not fit; an owner that
  // does not exist; a pinned bucket on a processor of capacity 0; more than kBucketsMax buckets or
  // kProcessorsMax processors, or none. In an engine, an error of any kind ends the run with a runtime error
  // that names the policy.
  virtual Result<void> plan(const Snapshot& snapshot, Plan& plan) = 0;
  // Drops what is kept from earlier snapshots, where anything is: the next plan is as the first. Memory
  // stays.
  virtual void forget() {}
};

// The names that make_policy takes, the default of `evenkeel run` first.
EVENKEEL_API std::span<const std::string_view> policy_names();

// A usage error for a name that is not among policy_names(), or options out of range.
EVENKEEL_API Result<std::unique_ptr<Policy>> make_policy(std::string_view name,
                                                         const PolicyOptions& options = {});

// The assignment for a start with nothing measured: each processor's share of the buckets is its share of the
// capacity (I_i = c_i, hence n_i = N c_i / sum of c), dealt out so that neighbours in the table go to
// different processors. With equal capacities bucket j goes to processor j % C. Capacities: as in Snapshot.
EVENKEEL_API Result<void> assign_by_capacity(std::span<const double> capacity, std::span<ProcessorId> owner);

}  // namespace evenkeel
