// From a snapshot to what every policy needs: the load L_i and the target T_i of each processor, and the load
// of each bucket with its share of the backlog.
//
// Thread: [control]. Cost: one pass over the buckets, a few over the processors. Allocates only when the
// number of buckets or processors grows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "evenkeel/policy.h"

namespace evenkeel::policy {

struct ProcessorLoad {
  double capacity = 0;
  double usage = 0;    // u_i as measured, or as the buckets' loads say
  double load = 0;     // L_i: buckets, backlog and what else the processor does, in capacity-1 processors
  double movable = 0;  // of that, the buckets with their backlog
  double scale = 1;    // of this processor's bucket loads, so that they carry its backlog
  double largest = 0;  // its largest bucket, scaled
  double target = 0;   // T_i
  std::uint32_t busy_buckets = 0;  // with load
  BucketId elephant;               // the bucket that sets the target ...
  bool has_elephant = false;       // ... where one does, see set_targets
  bool fixed = false;              // target is not the common level
};

class Measured {
 public:
  // Checks the snapshot (see Policy::plan for what is refused) and fills the loads.
  Result<void> read(const Snapshot& snapshot);

  // Step 2 of the method: lambda = sum L / sum c, water-filled. A bucket that alone exceeds the fair share of
  // the fastest processor (an elephant) sets the target of its home, and both leave the sums, largest first,
  // until none is left. Home is where the fewest buckets have to make way for it: mostly where it is; after
  // an elephant has gone silent, the processor that it had for itself takes the next one.
  void set_targets(const Snapshot& snapshot);

  double load_of(const Snapshot& snapshot, std::uint32_t bucket) const {
    return snapshot.bucket_load[bucket] * processors[snapshot.owner[bucket].value()].scale;
  }
  // max / mean of L_i / c_i over the processors with a capacity; 1 where there is no load.
  double max_over_mean() const;
  // The same of any loads of the processors, as they are measured or planned: a processor of capacity 0 that
  // has load counts as if it had the capacity of the fastest. At least 1, and at least lower_bound().
  template <typename LoadOf>  // load_of(std::size_t processor)
  double max_over_mean_if(const LoadOf& load_of) const {
    if (total_load <= 0) return 1;
    const double fastest = capacity_max(), rounding = 1e-9 * total_load;
    double worst = 0, capacities = 0;
    for (std::size_t i = 0; i < processors.size(); ++i) {
      const bool in_service = processors[i].capacity > 0;
      if (!in_service && load_of(i) <= rounding) continue;
      const double capacity = in_service ? processors[i].capacity : fastest;
      worst = std::max(worst, load_of(i) / capacity);
      capacities += capacity;
    }
    return std::max(1.0, worst / (total_load / capacities));
  }
  // What no assignment can beat: the mean, and the largest bucket on the fastest processor.
  double lower_bound() const;

  std::vector<ProcessorLoad> processors;
  double total_load = 0;
  double total_capacity = 0;
  double largest_bucket = 0;  // scaled
  double level = 0;           // lambda after water-filling

 private:
  struct Elephant {
    double load;
    std::uint32_t bucket;
  };
  void collect_elephants(const Snapshot& snapshot, double threshold);
  void fix_target(ProcessorLoad& processor, double target);
  void fix_immovable();
  double free_capacity_max() const;
  double capacity_max() const;
  double share() const;
  ProcessorLoad* home_of(const Snapshot& snapshot, const Elephant& elephant);

  std::vector<Elephant> elephants_;
  double free_load_ = 0;  // what has not left the sums
  double free_capacity_ = 0;
};

Result<void> check_options(const PolicyOptions& options);

}  // namespace evenkeel::policy
