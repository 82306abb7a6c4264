#include "policy/index.h"

#include <algorithm>

namespace evenkeel::policy {

Result<void> IndexPolicy::plan(const Snapshot& snapshot, Plan& plan) {
  if (auto result = measured_.read(snapshot); !result) return result;
  measured_.set_targets(snapshot);
  reserve(snapshot);
  set_quotas(snapshot);
  make(snapshot, kBucketsMax, plan);
  if (cap_.apply(snapshot, measured_, options_.moves_max, builder_)) {
    // The best moves of the whole plan; or, where few of them do without the others, a plan made of so few.
    builder_.finish(snapshot, measured_, plan);
    const double best_of_whole = plan.max_over_mean_after;
    make(snapshot, options_.moves_max, plan);
    if (plan.max_over_mean_after > best_of_whole) {
      make(snapshot, kBucketsMax, plan);
      cap_.apply(snapshot, measured_, options_.moves_max, builder_);
      builder_.finish(snapshot, measured_, plan);
    }
  }
  describe(plan);
  return {};
}

void IndexPolicy::make(const Snapshot& snapshot, std::uint32_t moves_max, Plan& plan) {
  begin(snapshot, moves_max);
  set_limits(snapshot, options_.trigger);
  if (measured_.total_load > 0 && any_above_limit()) level(snapshot, true);
  builder_.finish(snapshot, measured_, plan);
  // An elephant was given a home that cannot be cleared, as for pins: then every elephant stays where it is.
  if (evacuated_ || plan.max_over_mean_after <= measured_.max_over_mean() * (1 + kRounding)) return;
  begin(snapshot, moves_max);
  level(snapshot, false);
  builder_.finish(snapshot, measured_, plan);
}

void IndexPolicy::reserve(const Snapshot& snapshot) {
  sorted_.reserve(snapshot.bucket_load.size(), snapshot.capacity.size());
  back_.reserve(snapshot.bucket_load.size());
  offers_.reserve(snapshot.capacity.size());
  partners_.reserve(snapshot.capacity.size());
}

// To where leveling starts: everything in its place, but for what a processor of capacity 0 had.
void IndexPolicy::begin(const Snapshot& snapshot, std::uint32_t moves_max) {
  builder_.begin(snapshot);
  loads_.clear();
  for (const ProcessorLoad& processor : measured_.processors) loads_.push_back(processor.load);
  owner_.assign(snapshot.owner.begin(), snapshot.owner.end());
  evacuated_ = evacuation_.run(snapshot, measured_, loads_, builder_) > 0;
  for (std::uint32_t j = 0; evacuated_ && j < owner_.size(); ++j)
    owner_[j] = ProcessorId(builder_.destination(snapshot, BucketId(j)));
  moves_left_ = moves_max;
  levels_.assign(measured_.processors.size(), {});
  room_.assign(levels_.size());
  for (std::size_t i = 0; i < levels_.size(); ++i) {
    const ProcessorLoad& processor = measured_.processors[i];
    levels_[i] = {.load = loads_[i], .target = processor.target, .capacity = processor.capacity};
    room_.set(i, quotas_[i]);
  }
}

void IndexPolicy::level(const Snapshot& snapshot, bool elephants_move) {
  set_limits(snapshot, options_.hysteresis);
  sorted_.sort(snapshot, measured_, owner_);
  if (elephants_move)
    isolate(snapshot);
  else
    close_homes(snapshot);
  trade_large();
  fill_quotas();
  repair(elephants_move);
}

void IndexPolicy::describe(Plan& plan) const {
  plan.total_index = 0;
  for (std::size_t i = 0; i < levels_.size(); ++i) {
    const ProcessorLoad& processor = measured_.processors[i];
    plan.processors[i].index = std::max(0.0, processor.target - processor.load);
    plan.processors[i].quota = quotas_[i];
    plan.total_index += plan.processors[i].index;
  }
}

// Steps 3 to 5: I_i = max(0, T_i - L_i), the pool S that donors hold above their targets, and of it the share
// of each processor, S I_i / sum I.
void IndexPolicy::set_quotas(const Snapshot& snapshot) {
  double pool = 0, total_index = 0;
  quotas_.assign(measured_.processors.size(), 0);
  for (std::size_t i = 0; i < quotas_.size(); ++i) {
    const ProcessorLoad& processor = measured_.processors[i];
    if (processor.load > processor.target * (1 + options_.hysteresis))
      pool += processor.load - processor.target;
    if (snapshot.capacity[i] > 0) quotas_[i] = std::max(0.0, processor.target - processor.load);
    total_index += quotas_[i];
  }
  const double share = total_index > 0 ? std::min(1.0, pool / total_index) : 0;
  for (double& quota : quotas_) quota *= share;
}

// A processor counts as too busy when it is above its target by more than the dead band and by more than the
// error of the measurement. Two kinds are judged otherwise. The home of the worst elephant is cleared whole:
// nothing else lowers the worst processor. And the others then stand in its shade: the worst of the plan is
// decided, and levelling them finely would only cost moves.
void IndexPolicy::set_limits(const Snapshot& snapshot, double hysteresis) {
  double bound = 0;
  for (const Level& level : levels_)
    if (level.capacity > 0) bound = std::max(bound, level.target / level.capacity);
  for (std::uint32_t i = 0; i < levels_.size(); ++i) {
    Level& level = levels_[i];
    const double worst = std::min(bound, kFull) * level.capacity;
    if (measured_.processors[i].has_elephant && level.target >= worst) {
      level.limit = level.target * (1 + kRounding);
      level.worth = 0;
      continue;
    }
    const double free = std::max(0.0, level.capacity - level.target);
    const double shaded = std::min(level.target + options_.shade * free, bound * level.capacity);
    const double noise = snapshot.error.empty() ? 0 : options_.errors * snapshot.error[i];
    level.limit = std::max({level.target * (1 + hysteresis), level.target + noise, shaded});
    level.worth = std::max(options_.move_cost, kWorthInErrors * noise);
  }
}

bool IndexPolicy::any_above_limit() const {
  for (std::uint32_t i = 0; i < levels_.size(); ++i)
    if (is_donor(i)) return true;
  return false;
}

// An elephant goes to the processor that has the fewest buckets to clear for it.
void IndexPolicy::isolate(const Snapshot& snapshot) {
  for (std::uint32_t i = 0; i < levels_.size(); ++i) {
    const ProcessorLoad& home = measured_.processors[i];
    if (!home.has_elephant || !may_move(1)) continue;
    const std::uint32_t owner = builder_.destination(snapshot, home.elephant);
    if (owner == i) continue;
    const double load = measured_.load_of(snapshot, home.elephant.value());
    const std::size_t position = sorted_.find(owner, home.elephant, load);
    if (position < sorted_.size(owner)) apply_move(owner, position, i, MoveReason::kIsolate);
  }
}

// Nothing is to fill the room that was meant for an elephant which stays elsewhere.
void IndexPolicy::close_homes(const Snapshot& snapshot) {
  for (std::uint32_t i = 0; i < levels_.size(); ++i) {
    const ProcessorLoad& home = measured_.processors[i];
    if (!home.has_elephant || builder_.destination(snapshot, home.elephant) == i) continue;
    levels_[i].target = std::min(levels_[i].target, levels_[i].load);
    room_.set(i, 0);
  }
}

void IndexPolicy::apply_move(std::uint32_t from, std::size_t position, std::uint32_t to, MoveReason reason) {
  const double load = sorted_.loads(from)[position];
  builder_.move(sorted_.bucket(from, position), to, reason);
  sorted_.move(from, position, to);
  levels_[from].load -= load;
  levels_[to].load += load;
  room_.set(to, room_[to] - load);
  --moves_left_;
}

// The donor that is most above its limit, for its capacity.
std::uint32_t IndexPolicy::worst_donor() const {
  std::uint32_t worst = kNobody;
  double most = 0;
  for (std::uint32_t i = 0; i < levels_.size(); ++i) {
    const Level& level = levels_[i];
    const double excess = level.load - level.limit * (1 + kRounding);
    if (level.stuck || excess <= 0 || level.capacity == 0) continue;
    if (excess > most * level.capacity) {
      most = excess / level.capacity;
      worst = i;
    }
  }
  return worst;
}

bool IndexPolicy::is_donor(std::uint32_t i) const {
  const Level& level = levels_[i];
  return level.capacity > 0 && level.load > level.limit * (1 + kRounding);
}

std::uint32_t IndexPolicy::roomiest() const {
  const std::uint32_t best = room_.top();
  return room_[best] > 0 ? best : kNobody;
}

// A donor that could only give many small buckets may have a large one that is just too large: it goes, and
// what is too much of it comes back. A few moves then do the work of many.
void IndexPolicy::trade_large() {
  for (std::uint32_t donor = 0; donor < levels_.size(); ++donor) {
    const std::uint32_t receiver = roomiest();
    if (receiver == kNobody) return;
    if (!is_donor(donor)) continue;
    const double needed = std::min(levels_[donor].load - levels_[donor].target, room_[receiver]);
    const std::size_t position = sorted_.largest_within(donor, needed);
    const double single = position < sorted_.size(donor) ? sorted_.loads(donor)[position] : 0;
    if (position == 0 || single * kMovesPerTrade > needed) continue;
    const Swap swap = may_move(2) ? best_swap(donor) : Swap{};
    if (swap.gain > single * kMovesPerTrade && swap.gain > 2 * levels_[donor].worth)
      apply_swap(donor, swap);
    else
      trade(donor, position - 1, receiver, needed, single);
  }
}

// The bucket at `position`, which is larger than what is needed, for the receiver's largest ones, as many as
// make up for the difference. Only if that levels more with each move than the donor's next `single` would.
void IndexPolicy::trade(std::uint32_t donor, std::size_t position, std::uint32_t receiver, double needed,
                        double single) {
  const double load = sorted_.loads(donor)[position];
  const auto take = sorted_.loads(receiver);
  double gain = load;
  back_.clear();
  for (std::size_t k = sorted_.largest_within(receiver, needed); k < take.size() && gain > needed; ++k) {
    gain -= take[k];
    back_.emplace_back(sorted_.bucket(receiver, k), take[k]);
  }
  const double moves = static_cast<double>(back_.size()) + 1;
  if (gain > needed || gain <= moves * std::max(2 * single, levels_[donor].worth)) return;
  apply_trade(donor, position, receiver);
}

// One bucket to the receiver, and those in back_ from it.
void IndexPolicy::apply_trade(std::uint32_t donor, std::size_t position, std::uint32_t receiver) {
  if (!may_move(static_cast<std::uint32_t>(back_.size()) + 1)) return;
  apply_move(donor, position, receiver, MoveReason::kSwap);
  for (const auto& [bucket, load] : back_)
    apply_move(receiver, sorted_.find(receiver, bucket, load), donor, MoveReason::kSwap);
}

// Step 6, first half: of all buckets that fit their donor's excess and a quota, the largest goes first, to
// the processor with the most quota left.
void IndexPolicy::fill_quotas() {
  offers_.clear();
  for (std::uint32_t i = 0; i < levels_.size(); ++i)
    if (is_donor(i)) offers_.push_back({.donor = i, .load = levels_[i].load - levels_[i].target});
  while (may_move(1) && !offers_.empty()) {
    const std::uint32_t receiver = roomiest();
    if (receiver == kNobody) break;
    const auto best = std::max_element(offers_.begin(), offers_.end(),
                                       [](const Offer& a, const Offer& b) { return a.load < b.load; });
    if (!renew(*best, room_[receiver])) {
      *best = offers_.back();
      offers_.pop_back();
    } else if (best->settled) {
      const std::uint32_t donor = best->donor;
      apply_move(donor, best->position, receiver,
                 measured_.processors[donor].has_elephant ? MoveReason::kIsolate : MoveReason::kLevel);
      best->settled = false;
      if (!is_donor(donor)) {
        *best = offers_.back();
        offers_.pop_back();
      }
    }
  }
}

// Makes `offer` the largest bucket that its donor can give into a quota of `room`. An offer is settled when
// it was so before: only then it is known to be the largest of all. False: the donor has none left.
bool IndexPolicy::renew(Offer& offer, double room) {
  const Level& donor = levels_[offer.donor];
  const double limit = std::min(donor.load - donor.target, room);
  if (offer.settled && offer.load <= limit) return true;
  offer.position = sorted_.largest_within(offer.donor, limit);
  if (offer.position == sorted_.size(offer.donor)) return false;
  offer.load = sorted_.loads(offer.donor)[offer.position];
  offer.settled = true;
  return offer.load > donor.worth;
}

// Step 6, second half: single moves and swaps for the donors that are still above their limit. Where buckets
// are too coarse for that, one may cross targets; what it displaces then levels on.
void IndexPolicy::repair(bool may_cross) {
  for (std::uint32_t i = 0; i < levels_.size(); ++i) refresh(i);
  std::uint32_t crossings_left = may_cross ? options_.crossings_max : 0;
  while (may_move(1)) {
    const std::uint32_t donor = worst_donor();
    if (donor == kNobody) break;
    if (repair_one(donor)) continue;
    if (crossings_left == 0 || !cross(donor)) {
      levels_[donor].stuck = true;
    } else {
      --crossings_left;
      for (std::uint32_t i = 0; i < levels_.size(); ++i) refresh(i);
    }
  }
}

void IndexPolicy::refresh(std::uint32_t processor) {
  Level& level = levels_[processor];
  level.stuck = false;
  room_.set(processor, level.capacity > 0 ? std::max(0.0, level.target - level.load) : 0);
}

// How far a processor would be above its target with `load` more, for its capacity.
double IndexPolicy::excess_with(std::uint32_t processor, double load) const {
  const Level& level = levels_[processor];
  return (level.load + load - level.target) / level.capacity;
}

// The move or swap of the donor with any other processor that leaves the higher of the two lowest.
bool IndexPolicy::cross(std::uint32_t donor) {
  const double now = excess_with(donor, 0);
  Swap best;
  double lowest = now * kCrossingGain;
  for (std::uint32_t i = 0; i < levels_.size(); ++i)
    if (i != donor && levels_[i].capacity > 0 && excess_with(i, 0) < lowest)
      try_crossing(donor, i, best, lowest);
  if (best.gain <= 0) return exchange(donor);
  const std::uint32_t moves = best.one_way ? 1 : 2;
  if (!may_move(moves) || best.gain <= moves * levels_[donor].worth) return false;
  apply_swap(donor, best);
  return true;
}

// Where no one bucket can be had for another: one of the donor's smallest for several small ones.
bool IndexPolicy::exchange(std::uint32_t donor) {
  const auto give = sorted_.loads(donor);
  double lowest = excess_with(donor, 0) * kCrossingGain;
  Swap best;
  for (std::uint32_t i = 0; i < levels_.size(); ++i) {
    if (i == donor || levels_[i].capacity == 0 || excess_with(i, 0) >= lowest) continue;
    for (std::size_t k = give.size(); k > 0 && k + kExchangeTries > give.size(); --k) {
      const double gain = give[k - 1] - worth_of_return(donor, i, give[k - 1], nullptr);
      const double highest = std::max(excess_with(donor, -gain), excess_with(i, gain));
      if (gain <= 0 || highest >= lowest) continue;
      lowest = highest;
      best = {k - 1, 0, i, gain, true};
    }
  }
  if (best.gain <= 0) return false;
  back_.clear();
  worth_of_return(donor, best.receiver, give[best.give], &back_);
  const std::size_t moves = back_.size() + 1;
  if (!may_move(static_cast<std::uint32_t>(moves))) return false;
  if (best.gain <= static_cast<double>(moves) * levels_[donor].worth) return false;
  apply_trade(donor, best.give, best.receiver);
  return true;
}

// What `other` would give back for a bucket of `load`: its largest buckets that fit what is to come back for
// both to be equally far from their targets. Listed in `back` where given.
double IndexPolicy::worth_of_return(std::uint32_t donor, std::uint32_t other, double load,
                                    std::vector<std::pair<BucketId, double>>* back) const {
  const double wanted = load - ideal_transfer(donor, other);
  const auto take = sorted_.loads(other);
  double sum = 0;
  for (std::size_t k = sorted_.largest_within(other, wanted); k < take.size() && take[k] > 0; ++k) {
    if (sum + take[k] > wanted) continue;
    sum += take[k];
    if (back != nullptr) back->emplace_back(sorted_.bucket(other, k), take[k]);
  }
  return sum;
}

// The load that, given from one to the other, would leave both equally far from their targets.
double IndexPolicy::ideal_transfer(std::uint32_t donor, std::uint32_t other) const {
  return (excess_with(donor, 0) - excess_with(other, 0)) /
         (1 / levels_[donor].capacity + 1 / levels_[other].capacity);
}

void IndexPolicy::try_crossing(std::uint32_t donor, std::uint32_t other, Swap& best, double& lowest) const {
  const auto give = sorted_.loads(donor);
  const auto take = sorted_.loads(other);
  const double ideal = ideal_transfer(donor, other);
  const auto consider = [&](std::size_t k, std::size_t back, bool one_way) {
    const double gain = give[k] - (one_way ? 0 : take[back]);
    if (gain <= 0) return;
    const double highest = std::max(excess_with(donor, -gain), excess_with(other, gain));
    if (highest >= lowest) return;
    lowest = highest;
    best = {k, back, other, gain, one_way};
  };
  std::size_t back = 0;
  for (std::size_t k = 0; k < give.size(); ++k) {
    while (back < take.size() && take[back] >= give[k] - ideal) ++back;
    if (back > 0) consider(k, back - 1, false);
    if (back < take.size()) consider(k, back, false);
    if (back == take.size()) consider(k, 0, true);
  }
}

void IndexPolicy::apply_swap(std::uint32_t donor, const Swap& swap) {
  const MoveReason reason = swap.one_way ? MoveReason::kLevel : MoveReason::kSwap;
  if (swap.one_way) return apply_move(donor, swap.give, swap.receiver, reason);
  const BucketId back = sorted_.bucket(swap.receiver, swap.take);
  const double load = sorted_.loads(swap.receiver)[swap.take];
  apply_move(donor, swap.give, swap.receiver, reason);
  apply_move(swap.receiver, sorted_.find(swap.receiver, back, load), donor, reason);
}

bool IndexPolicy::repair_one(std::uint32_t donor) {
  const std::uint32_t receiver = roomiest();
  if (receiver == kNobody) return false;
  const double excess = levels_[donor].load - levels_[donor].target;
  const std::size_t position = sorted_.largest_within(donor, std::min(excess, room_[receiver]));
  const double single = position < sorted_.size(donor) ? sorted_.loads(donor)[position] : 0;
  // No swap can level by more than there is to give and to take.
  Swap swap;
  if (may_move(2) && std::min(excess, room_[receiver]) > 2 * single) swap = best_swap(donor);
  const double swap_worth =
      std::max(2 * levels_[donor].worth, options_.swap_gain_min * levels_[donor].target);
  if (swap.gain > swap_worth && swap.gain > 2 * single) {
    apply_swap(donor, swap);
  } else if (single > levels_[donor].worth) {
    apply_move(donor, position, receiver, MoveReason::kLevel);
  } else {
    return false;
  }
  for (const std::uint32_t i : {donor, swap.receiver, receiver}) refresh(i);
  return true;
}

IndexPolicy::Swap IndexPolicy::best_swap(std::uint32_t donor) {
  // The one with the most room mostly has enough to give back; only else are the others put in order.
  Swap best;
  const std::uint32_t first = roomiest();
  if (first == kNobody) return best;
  try_swap(donor, first, best);
  const double enough = levels_[donor].load - levels_[donor].limit;
  if (best.gain >= enough) return best;
  partners_.clear();
  for (std::uint32_t i = 0; i < levels_.size(); ++i)
    if (room_[i] > best.gain && i != first) partners_.push_back(i);
  const auto less_room = [&](std::uint32_t a, std::uint32_t b) {
    return room_[a] != room_[b] ? room_[a] < room_[b] : a > b;
  };
  std::make_heap(partners_.begin(), partners_.end(), less_room);
  for (std::size_t tried = 1; tried < options_.swap_partners_max && !partners_.empty(); ++tried) {
    const std::uint32_t partner = partners_.front();
    if (room_[partner] <= best.gain) break;
    try_swap(donor, partner, best);
    if (best.gain >= enough) break;
    std::pop_heap(partners_.begin(), partners_.end(), less_room);
    partners_.pop_back();
  }
  return best;
}

// Two fingers down the two sorted lists: for each bucket that the donor could give, the smallest that the
// receiver could give back so that neither crosses its target.
void IndexPolicy::try_swap(std::uint32_t donor, std::uint32_t receiver, Swap& best) const {
  const auto give = sorted_.loads(donor);
  const auto take = sorted_.loads(receiver);
  const double most = std::min(levels_[donor].load - levels_[donor].target, room_[receiver]);
  const double enough = std::min(most, levels_[donor].load - levels_[donor].limit);
  std::size_t back = 0;
  for (std::size_t k = 0; k < give.size() && give[k] > best.gain; ++k) {
    while (back < take.size() && take[back] >= give[k] - most) ++back;
    if (back == 0) continue;
    const double gain = give[k] - take[back - 1];
    if (gain > best.gain && gain <= most) {
      best = {k, back - 1, receiver, gain, false};
      if (gain >= enough) return;
    }
  }
}

}  // namespace evenkeel::policy
