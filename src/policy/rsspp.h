// The policy `rsspp`: the greedy method of RSS++ (Barbette et al., "RSS++: load and state-aware receive side
// scaling", CoNEXT 2019, section 4), the strongest published peer, written from the paper and checked against
// the behaviour of its published solver.
//
// Processors more than 2 % of a capacity above the mean are overloaded, those as far below underloaded. The
// most overloaded gives its largest bucket to the most underloaded that it fits, until one side is settled.
// How much too much may be taken and given is searched for in at most ten attempts; the one with the least
// sum of squared imbalances is used. A processor that has just received buckets is passed over in the next
// call: that is the only state.
//
// Thread: [control].
#pragma once

#include <limits>
#include <vector>

#include "policy/measure.h"
#include "policy/move_cap.h"
#include "policy/plan_builder.h"

namespace evenkeel::policy {

class RssppPolicy final : public Policy {
 public:
  explicit RssppPolicy(const PolicyOptions& options) : options_(options) {}
  std::string_view name() const override { return "rsspp"; }
  Result<void> plan(const Snapshot& snapshot, Plan& plan) override;
  void forget() override { just_received_.clear(); }

 private:
  static constexpr double kThreshold = 0.02;  // of a processor: less imbalance is left alone
  static constexpr double kSettled = 0.01;    // an imbalance below this is as good as none
  static constexpr int kAttemptsMax = 10;
  static constexpr std::uint32_t kNone = kProcessorsMax;

  struct Side {
    std::uint32_t processor = 0;
    double imbalance = 0;            // how much to give, or to get
    double left = 0;                 // of it, in the running attempt
    std::size_t next = 0;            // first bucket not yet looked at, for givers
    std::size_t begin = 0, end = 0;  // of its buckets
    bool open = true;
  };
  // How far beyond its imbalance a processor may be taken: a giver, a taker.
  struct Allowance {
    double give = -kSettled, take = -kSettled;
  };
  struct Outcome {
    double give = 0, take = 0;  // imbalance that stays, on each side
    double squares = 0;
  };

  void reserve(const Snapshot& snapshot);
  void set_sides(const Snapshot& snapshot);
  void collect_buckets(const Snapshot& snapshot);
  Outcome attempt(const Allowance& allowance);
  void search();
  static Side* most(std::vector<Side>& sides);

  PolicyOptions options_;
  Measured measured_;
  PlanBuilder builder_;
  MoveCap cap_;
  Evacuation evacuation_;
  std::vector<double> loads_;
  std::vector<Side> givers_, takers_;
  struct Item {
    double load;
    std::uint32_t bucket;
    std::uint32_t giver;
  };
  std::vector<Item> items_;              // grouped by giver, largest first
  std::vector<std::uint32_t> transfer_;  // by item: the taker, or kNone
  std::vector<std::uint32_t> best_transfer_;
  std::vector<std::uint32_t> giver_of_;  // by processor
  std::vector<char> just_received_;
};

}  // namespace evenkeel::policy
