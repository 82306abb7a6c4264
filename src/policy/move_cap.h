// Keeps the best of a plan's moves where it may have no more than so many (PolicyOptions::moves_max).
//
// A plan is made as a whole, and its moves are then taken over one at a time, from the busiest processor: the
// one that leaves the higher of its two processors lowest; where none helps by itself, an exchange. So the
// first moves lower the worst processor most, and with any cap it never gets worse. What leaves a processor
// of capacity 0 is not counted, and always stays.
//
// Thread: [control]. Cost: O(kept moves * moves of one processor), nothing where the plan is within the cap.
#pragma once

#include <vector>

#include "policy/measure.h"
#include "policy/plan_builder.h"

namespace evenkeel::policy {

class MoveCap {
 public:
  // Takes back, in `builder`, all but the best `moves_max` moves. Returns whether any was taken back.
  bool apply(const Snapshot& snapshot, const Measured& measured, std::uint32_t moves_max,
             PlanBuilder& builder);

 private:
  struct Candidate {
    BucketId bucket;
    std::uint32_t from = 0;
    std::uint32_t to = 0;
    double load = 0;
    bool swap = false;
    bool kept = false;
  };
  // One move, or an exchange: what comes back for it stands in back_.
  struct Choice {
    Candidate* move = nullptr;
    double highest = 0;  // level of the busier of the two processors afterwards
  };

  void collect(const Snapshot& snapshot, const Measured& measured, const PlanBuilder& builder);
  void reserve(const Snapshot& snapshot);
  std::uint32_t busiest() const;
  Choice best_move(const Snapshot& snapshot, std::uint32_t donor);
  Choice best_exchange(const Snapshot& snapshot, std::uint32_t donor, std::size_t moves_max);
  double highest_after(const Snapshot& snapshot, const Candidate& move, double load) const;
  void take_back(const Snapshot& snapshot, Candidate& move, std::size_t moves_max, Choice& best);
  void keep(const Snapshot& snapshot, const Choice& choice);
  std::vector<Candidate>::iterator first_of(std::uint32_t processor);

  std::vector<Candidate> moves_;  // by the processor that they leave, largest first
  std::vector<Candidate*> back_, tried_;
  std::vector<double> load_, level_;
  std::vector<char> stuck_;
};

}  // namespace evenkeel::policy
