// The policy `lpt`: longest processing time first (Graham 1969), from scratch and with no regard for where
// the buckets are. A bound on quality, not for use: it moves nearly everything, every time.
//
// Thread: [control]. Cost: O(N log N + N C).
#pragma once

#include <vector>

#include "policy/measure.h"
#include "policy/move_cap.h"
#include "policy/plan_builder.h"

namespace evenkeel::policy {

class LptPolicy final : public Policy {
 public:
  explicit LptPolicy(const PolicyOptions& options) : options_(options) {}
  std::string_view name() const override { return "lpt"; }
  Result<void> plan(const Snapshot& snapshot, Plan& plan) override;

 private:
  PolicyOptions options_;
  Measured measured_;
  PlanBuilder builder_;
  MoveCap cap_;
  std::vector<std::uint32_t> order_;
  std::vector<double> load_;
};

}  // namespace evenkeel::policy
