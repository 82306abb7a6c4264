// The policy `index`, the default: buckets go to processors in proportion to each one's imbalance
// distribution index and in inverse proportion to the total index (US 7,020,713, claims 5 and 11), on
// measured load instead of bucket counts, which is what makes it stable. docs/policies.md has the
// mathematics.
//
// Invariant of a plan (but for what leaves a processor of capacity 0): a donor, a processor above its target,
// ends at or above the target; a receiver ends at or below its own. So no donor ends below a receiver, the
// worst processor never gets worse, and with unchanged loads a plan is never followed by its reverse.
//
// Thread: [control]. Cost: O(buckets + moves (processors + buckets of one processor)).
#pragma once

#include <cstdint>
#include <vector>

#include "policy/measure.h"
#include "policy/plan_builder.h"
#include "policy/sorted_buckets.h"

namespace evenkeel::policy {

class IndexPolicy final : public Policy {
 public:
  explicit IndexPolicy(const PolicyOptions& options) : options_(options) {}
  std::string_view name() const override { return "index"; }
  Result<void> plan(const Snapshot& snapshot, Plan& plan) override;

 private:
  struct Level {
    double load = 0;    // now, as the plan stands
    double target = 0;  // T_i
    double limit = 0;   // planning ends when the load is not above it
    double quota = 0;   // what of its quota is left
    double capacity = 0;
    bool stuck = false;  // a donor for which nothing fits
  };
  struct Swap {
    std::size_t give = 0, take = 0;  // positions at the donor and at the receiver
    std::uint32_t receiver = 0;
    double gain = 0;  // difference of the two loads
  };
  static constexpr std::uint32_t kNobody = kProcessorsMax;

  void set_limits(double hysteresis);
  bool any_above_limit() const;
  void set_quotas(const Snapshot& snapshot);
  void isolate(const Snapshot& snapshot);
  void fill_quotas();
  void repair();
  std::uint32_t worst_donor() const;
  std::uint32_t roomiest() const;
  bool repair_one(std::uint32_t donor);
  Swap best_swap(std::uint32_t donor);
  void try_swap(std::uint32_t donor, std::uint32_t receiver, Swap& best) const;
  void apply_move(std::uint32_t from, std::size_t position, std::uint32_t to, MoveReason reason);
  bool may_move(std::uint32_t moves) const { return moves_left_ >= moves; }

  PolicyOptions options_;
  Measured measured_;
  SortedBuckets sorted_;
  PlanBuilder builder_;
  Evacuation evacuation_;
  std::vector<Level> levels_;
  std::vector<double> loads_;
  std::vector<double> quotas_;
  std::vector<ProcessorId> owner_;
  std::vector<std::uint32_t> partners_;
  std::uint32_t moves_left_ = 0;
};

}  // namespace evenkeel::policy
