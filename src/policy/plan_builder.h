// Collects the moves of a plan and says what the plan will do.
//
// A bucket that is moved twice appears once, from its owner in the snapshot to its last processor; one that
// comes back does not appear. Thread: [control]. Allocates only when the numbers grow.
#pragma once

#include <span>
#include <vector>

#include "policy/measure.h"

namespace evenkeel::policy {

class PlanBuilder {
 public:
  void begin(const Snapshot& snapshot);

  void move(BucketId bucket, std::uint32_t to, MoveReason reason);

  // Moves so far, a bucket that came back included.
  std::size_t moves() const { return touched_.size(); }
  std::span<const BucketId> touched() const { return touched_; }
  MoveReason reason(BucketId bucket) const { return destination_[bucket.value()].reason; }
  std::uint32_t destination(const Snapshot& snapshot, BucketId bucket) const {
    const Destination& d = destination_[bucket.value()];
    return d.touched ? d.processor : snapshot.owner[bucket.value()].value();
  }

  // Fills everything in `plan` but index, quota and total_index, which are the policy's.
  void finish(const Snapshot& snapshot, const Measured& measured, Plan& plan);

 private:
  struct Destination {
    std::uint32_t processor = 0;
    MoveReason reason = MoveReason::kLevel;
    bool touched = false;
  };
  std::vector<Destination> destination_;  // by bucket
  std::vector<BucketId> touched_;         // in the order of the first move
};

// Takes every bucket off the processors of capacity 0, largest first, each to where it leaves the least level
// behind it. `load` holds the processors' loads and is kept up to date. Policies that level start from there.
class Evacuation {
 public:
  // Returns the number of buckets that left.
  std::size_t run(const Snapshot& snapshot, const Measured& measured, std::vector<double>& load,
                  PlanBuilder& builder);

 private:
  std::vector<std::uint32_t> leaving_;
  std::vector<double> level_;
};

}  // namespace evenkeel::policy
