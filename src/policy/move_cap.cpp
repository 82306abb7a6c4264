#include "policy/move_cap.h"

#include <algorithm>

namespace evenkeel::policy {
namespace {

// A move must lower the busier processor by more than the rounding of its sums.
constexpr double kRounding = 1e-9;
constexpr std::uint32_t kNobody = kProcessorsMax;

}  // namespace

bool MoveCap::apply(const Snapshot& snapshot, const Measured& measured, std::uint32_t moves_max,
                    PlanBuilder& builder) {
  reserve(snapshot);
  if (builder.moves() <= moves_max) return false;
  collect(snapshot, measured, builder);
  if (moves_.size() <= moves_max) return false;
  std::size_t kept = 0;
  while (kept < moves_max) {
    const std::uint32_t donor = busiest();
    if (donor == kNobody) break;
    back_.clear();
    Choice choice = best_move(snapshot, donor);
    if (choice.move == nullptr) choice = best_exchange(snapshot, donor, moves_max - kept);
    if (choice.move == nullptr) {
      stuck_[donor] = 1;
      continue;
    }
    keep(snapshot, choice);
    kept += 1 + back_.size();
  }
  for (const Candidate& move : moves_)
    if (!move.kept) builder.move(move.bucket, move.from, MoveReason::kLevel);
  return true;
}

void MoveCap::reserve(const Snapshot& snapshot) {
  moves_.reserve(snapshot.bucket_load.size());
  back_.reserve(snapshot.bucket_load.size());
  tried_.reserve(snapshot.bucket_load.size());
  load_.reserve(snapshot.capacity.size());
  level_.reserve(snapshot.capacity.size());
  stuck_.reserve(snapshot.capacity.size());
}

// The moves, and the loads without them.
void MoveCap::collect(const Snapshot& snapshot, const Measured& measured, const PlanBuilder& builder) {
  moves_.clear();
  load_.clear();
  for (const ProcessorLoad& processor : measured.processors) load_.push_back(processor.load);
  for (const BucketId bucket : builder.touched()) {
    const std::uint32_t from = snapshot.owner[bucket.value()].value();
    const std::uint32_t to = builder.destination(snapshot, bucket);
    if (from == to) continue;
    const double load = measured.load_of(snapshot, bucket.value());
    if (snapshot.capacity[from] > 0) {
      moves_.push_back({bucket, from, to, load, builder.reason(bucket) == MoveReason::kSwap, false});
      continue;
    }
    load_[from] -= load;
    load_[to] += load;
  }
  std::sort(moves_.begin(), moves_.end(), [](const Candidate& a, const Candidate& b) {
    if (a.from != b.from) return a.from < b.from;
    return a.load != b.load ? a.load > b.load : a.bucket < b.bucket;
  });
  stuck_.assign(load_.size(), 0);
  level_.clear();
  for (std::size_t i = 0; i < load_.size(); ++i)
    level_.push_back(snapshot.capacity[i] > 0 ? load_[i] / snapshot.capacity[i] : 0);
}

std::uint32_t MoveCap::busiest() const {
  std::uint32_t best = kNobody;
  for (std::uint32_t i = 0; i < level_.size(); ++i)
    if (stuck_[i] == 0 && (best == kNobody || level_[i] > level_[best])) best = i;
  return best;
}

std::vector<MoveCap::Candidate>::iterator MoveCap::first_of(std::uint32_t processor) {
  return std::lower_bound(moves_.begin(), moves_.end(), processor,
                          [](const Candidate& move, std::uint32_t value) { return move.from < value; });
}

// Of the two processors, the level of the busier one when `load` has gone the way of `move`.
double MoveCap::highest_after(const Snapshot& snapshot, const Candidate& move, double load) const {
  return std::max((load_[move.from] - load) / snapshot.capacity[move.from],
                  (load_[move.to] + load) / snapshot.capacity[move.to]);
}

MoveCap::Choice MoveCap::best_move(const Snapshot& snapshot, std::uint32_t donor) {
  Choice best{.highest = level_[donor] * (1 - kRounding)};
  for (auto move = first_of(donor); move != moves_.end() && move->from == donor; ++move) {
    if (move->kept) continue;
    const double highest = highest_after(snapshot, *move, move->load);
    if (highest < best.highest) best = {&*move, highest};
  }
  return best;
}

// Only of moves that were planned as exchanges.
MoveCap::Choice MoveCap::best_exchange(const Snapshot& snapshot, std::uint32_t donor, std::size_t moves_max) {
  Choice best{.highest = level_[donor] * (1 - kRounding)};
  for (auto move = first_of(donor); move != moves_.end() && move->from == donor; ++move)
    if (!move->kept && move->swap) take_back(snapshot, *move, moves_max, best);
  return best;
}

// Of what was to come back from the other processor, whatever helps, the largest first.
void MoveCap::take_back(const Snapshot& snapshot, Candidate& move, std::size_t moves_max, Choice& best) {
  double load = move.load, highest = highest_after(snapshot, move, load);
  tried_.clear();
  for (auto back = first_of(move.to); back != moves_.end() && back->from == move.to; ++back) {
    if (back->kept || !back->swap || back->to != move.from || tried_.size() + 1 >= moves_max) continue;
    const double lower = highest_after(snapshot, move, load - back->load);
    if (lower >= highest) continue;
    highest = lower;
    load -= back->load;
    tried_.push_back(&*back);
  }
  if (highest >= best.highest) return;
  best = {&move, highest};
  back_.assign(tried_.begin(), tried_.end());
}

// What has changed may free others: all are looked at again.
void MoveCap::keep(const Snapshot& snapshot, const Choice& choice) {
  const std::uint32_t from = choice.move->from, to = choice.move->to;
  back_.push_back(choice.move);
  for (Candidate* move : back_) {
    move->kept = true;
    load_[move->from] -= move->load;
    load_[move->to] += move->load;
  }
  back_.pop_back();
  for (const std::uint32_t i : {from, to}) level_[i] = load_[i] / snapshot.capacity[i];
  std::fill(stuck_.begin(), stuck_.end(), 0);
}

}  // namespace evenkeel::policy
