// The policy `proportional`: claims 5 and 11 of US 7,020,713 read literally. A processor's imbalance
// distribution index is its free capacity, I_i = c_i - L_i, and of the N buckets it gets n_i = N I_i / sum I.
//
// The yardstick, not for use: buckets are counted, not weighed, and the busier half of the processors ends up
// with the fewest buckets. For equal buckets a deviation d becomes -U/(1-U) d in each round, so it settles
// only below a usage of one half and swings above. A test shows that.
//
// Thread: [control].
#pragma once

#include <vector>

#include "policy/measure.h"
#include "policy/move_cap.h"
#include "policy/plan_builder.h"

namespace evenkeel::policy {

class ProportionalPolicy final : public Policy {
 public:
  explicit ProportionalPolicy(const PolicyOptions& options) : options_(options) {}
  std::string_view name() const override { return "proportional"; }
  Result<void> plan(const Snapshot& snapshot, Plan& plan) override;

 private:
  void set_shares(std::size_t buckets);
  void deal_out(const Snapshot& snapshot);

  PolicyOptions options_;
  Measured measured_;
  PlanBuilder builder_;
  MoveCap cap_;
  std::vector<double> index_;
  std::vector<double> wanted_;         // of the number of buckets
  std::vector<std::int64_t> surplus_;  // buckets above the wanted number; below 0: how many it may get
  double total_index_ = 0;
};

}  // namespace evenkeel::policy
