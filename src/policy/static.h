// The policy `static`: what hashing in a network card does. Buckets stay where they are, whatever the load;
// only a processor of capacity 0 is emptied. The yardstick of every other policy.
#pragma once

#include "policy/measure.h"
#include "policy/plan_builder.h"

namespace evenkeel::policy {

class StaticPolicy final : public Policy {
 public:
  std::string_view name() const override { return "static"; }
  Result<void> plan(const Snapshot& snapshot, Plan& plan) override;

 private:
  Measured measured_;
  PlanBuilder builder_;
  Evacuation evacuation_;
  std::vector<double> loads_;
};

}  // namespace evenkeel::policy
