// The policy `index`, the default: buckets go to processors in proportion to each one's imbalance
// distribution index and in inverse proportion to the total index (US 7,020,713, claims 5 and 11), on
// measured load instead of bucket counts, which is what makes it stable. docs/policies.md has the
// mathematics.
//
// Invariant of a plan (but for what leaves a processor of capacity 0): the worst processor never gets worse.
// A donor, a processor above its target, ends at or above it; a receiver ends at or below its own, so that no
// donor ends below a receiver and a plan is never followed by its reverse. Two exceptions: an elephant that
// is given another processor, and crossings (PolicyOptions::crossings_max), which coarse buckets need.
//
// Thread: [control]. Cost: O(buckets + moves (processors + buckets of one processor)).
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "policy/max_tree.h"
#include "policy/measure.h"
#include "policy/move_cap.h"
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
    double worth = 0;   // a move that levels by no more is not worth its cost, or drowns in the error
    double capacity = 0;
    bool stuck = false;  // a donor for which nothing fits
  };
  struct Swap {
    std::size_t give = 0, take = 0;  // positions at the donor and at the receiver
    std::uint32_t receiver = 0;
    double gain = 0;       // difference of the two loads
    bool one_way = false;  // nothing is taken back
  };
  struct Offer {
    std::uint32_t donor = 0;
    std::size_t position = 0;
    double load = 0;       // an upper bound of what the donor can give ...
    bool settled = false;  // ... or the load of the bucket at position
  };
  static constexpr std::uint32_t kNobody = kProcessorsMax;
  static constexpr double kRounding = 1e-9;  // of sums: less above a limit is not above it
  // A crossing must take a tenth off the donor's excess: it costs more than it moves.
  static constexpr double kCrossingGain = 0.9;
  // An elephant that fills this much of a processor tolerates no neighbours.
  static constexpr double kFull = 0.9;
  static constexpr double kWorthInErrors = 0.1;
  static constexpr double kMovesPerTrade = 4;
  static constexpr std::size_t kExchangeTries = 4;

  void reserve(const Snapshot& snapshot);
  void make(const Snapshot& snapshot, std::uint32_t moves_max, Plan& plan);
  void begin(const Snapshot& snapshot, std::uint32_t moves_max);
  void level(const Snapshot& snapshot, bool elephants_move);
  void describe(Plan& plan) const;
  void set_limits(const Snapshot& snapshot, double hysteresis);
  bool any_above_limit() const;
  void set_quotas(const Snapshot& snapshot);
  void isolate(const Snapshot& snapshot);
  void close_homes(const Snapshot& snapshot);
  void trade_large();
  void trade(std::uint32_t donor, std::size_t position, std::uint32_t receiver, double needed, double single);
  void apply_trade(std::uint32_t donor, std::size_t position, std::uint32_t receiver);
  void fill_quotas();
  void repair(bool may_cross);
  bool is_donor(std::uint32_t processor) const;
  bool renew(Offer& offer, double room);
  std::uint32_t worst_donor() const;
  std::uint32_t roomiest() const;
  void refresh(std::uint32_t processor);
  double excess_with(std::uint32_t processor, double load) const;
  bool cross(std::uint32_t donor);
  void try_crossing(std::uint32_t donor, std::uint32_t other, Swap& best, double& lowest) const;
  bool exchange(std::uint32_t donor);
  double worth_of_return(std::uint32_t donor, std::uint32_t other, double load,
                         std::vector<std::pair<BucketId, double>>* back) const;
  double ideal_transfer(std::uint32_t donor, std::uint32_t other) const;
  void apply_swap(std::uint32_t donor, const Swap& swap);
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
  MoveCap cap_;
  std::vector<Level> levels_;
  std::vector<double> loads_;
  std::vector<double> quotas_;
  MaxTree room_;  // what of its quota each has left
  std::vector<ProcessorId> owner_;
  std::vector<std::pair<BucketId, double>> back_;
  std::vector<Offer> offers_;
  std::vector<std::uint32_t> partners_;
  std::uint32_t moves_left_ = 0;
  bool evacuated_ = false;
};

}  // namespace evenkeel::policy
