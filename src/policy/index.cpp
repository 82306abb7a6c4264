#include "policy/index.h"

#include <algorithm>

namespace evenkeel::policy {

Result<void> IndexPolicy::plan(const Snapshot& snapshot, Plan& plan) {
  if (auto result = measured_.read(snapshot); !result) return result;
  measured_.set_targets(snapshot);
  builder_.begin(snapshot, measured_);
  loads_.clear();
  for (const ProcessorLoad& processor : measured_.processors) loads_.push_back(processor.load);
  set_quotas(snapshot);
  owner_.assign(snapshot.owner.begin(), snapshot.owner.end());
  if (evacuation_.run(snapshot, measured_, loads_, builder_) > 0)
    for (std::uint32_t j = 0; j < owner_.size(); ++j)
      owner_[j] = ProcessorId(builder_.destination(snapshot, BucketId(j)));
  moves_left_ = options_.moves_max;

  levels_.assign(measured_.processors.size(), {});
  for (std::size_t i = 0; i < levels_.size(); ++i) {
    const ProcessorLoad& processor = measured_.processors[i];
    levels_[i] = {
        .load = loads_[i], .target = processor.target, .quota = quotas_[i], .capacity = processor.capacity};
  }
  set_limits(options_.trigger);
  if (measured_.total_load > 0 && any_above_limit()) {
    set_limits(options_.hysteresis);
    sorted_.sort(snapshot, measured_, owner_);
    isolate(snapshot);
    fill_quotas();
    repair();
  }

  builder_.finish(snapshot, measured_, plan);
  plan.total_index = 0;
  for (std::size_t i = 0; i < levels_.size(); ++i) {
    const ProcessorLoad& processor = measured_.processors[i];
    plan.processors[i].index = std::max(0.0, processor.target - processor.load);
    plan.processors[i].quota = quotas_[i];
    plan.total_index += plan.processors[i].index;
  }
  return {};
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

// Where one processor cannot be lowered below a high level (an elephant), the others stand in its shade: the
// worst of the plan is decided, and levelling them finely would only cost moves.
void IndexPolicy::set_limits(double hysteresis) {
  double bound = 0;
  for (const Level& level : levels_)
    if (level.capacity > 0) bound = std::max(bound, level.target / level.capacity);
  for (Level& level : levels_) {
    const double shaded = std::min(level.target + options_.shade * level.capacity, bound * level.capacity);
    level.limit = std::max(level.target * (1 + hysteresis), shaded);
  }
}

bool IndexPolicy::any_above_limit() const {
  return std::any_of(levels_.begin(), levels_.end(), [](const Level& level) {
    return level.capacity > 0 && level.load > level.limit * (1 + 1e-12);
  });
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

void IndexPolicy::apply_move(std::uint32_t from, std::size_t position, std::uint32_t to, MoveReason reason) {
  const double load = sorted_.loads(from)[position];
  builder_.move(sorted_.bucket(from, position), to, reason);
  sorted_.move(from, position, to);
  levels_[from].load -= load;
  levels_[to].load += load;
  levels_[to].quota -= load;
  --moves_left_;
}

// The donor that is most above its limit, for its capacity.
std::uint32_t IndexPolicy::worst_donor() const {
  std::uint32_t worst = kNobody;
  double most = 0;
  for (std::uint32_t i = 0; i < levels_.size(); ++i) {
    const Level& level = levels_[i];
    const double excess = level.load - level.limit * (1 + 1e-12);
    if (level.stuck || excess <= 0 || level.capacity == 0) continue;
    if (excess > most * level.capacity) {
      most = excess / level.capacity;
      worst = i;
    }
  }
  return worst;
}

std::uint32_t IndexPolicy::roomiest() const {
  std::uint32_t best = kNobody;
  for (std::uint32_t i = 0; i < levels_.size(); ++i)
    if (levels_[i].quota > 0 && (best == kNobody || levels_[i].quota > levels_[best].quota)) best = i;
  return best;
}

// Step 6, first half: the worst donor gives its largest bucket that fits both its excess and a quota.
void IndexPolicy::fill_quotas() {
  while (may_move(1)) {
    const std::uint32_t donor = worst_donor();
    const std::uint32_t receiver = roomiest();
    if (donor == kNobody || receiver == kNobody) break;
    const double excess = levels_[donor].load - levels_[donor].target;
    const std::size_t position = sorted_.largest_within(donor, std::min(excess, levels_[receiver].quota));
    if (position == sorted_.size(donor) || sorted_.loads(donor)[position] <= options_.move_cost) {
      levels_[donor].stuck = true;
      continue;
    }
    apply_move(donor, position, receiver,
               measured_.processors[donor].has_elephant ? MoveReason::kIsolate : MoveReason::kLevel);
  }
}

// Step 6, second half: single moves and swaps for the donors that are still above their limit.
void IndexPolicy::repair() {
  for (Level& level : levels_) {
    level.stuck = false;
    level.quota = std::max(0.0, level.target - level.load);
  }
  while (may_move(1)) {
    const std::uint32_t donor = worst_donor();
    if (donor == kNobody) break;
    if (!repair_one(donor)) levels_[donor].stuck = true;
  }
}

bool IndexPolicy::repair_one(std::uint32_t donor) {
  const std::uint32_t receiver = roomiest();
  if (receiver == kNobody) return false;
  const double excess = levels_[donor].load - levels_[donor].target;
  const std::size_t position = sorted_.largest_within(donor, std::min(excess, levels_[receiver].quota));
  const double single = position < sorted_.size(donor) ? sorted_.loads(donor)[position] : 0;
  Swap swap;
  if (may_move(2)) swap = best_swap(donor);
  const double swap_worth =
      std::max({2 * options_.move_cost, options_.swap_gain_min * levels_[donor].target});
  if (swap.gain > swap_worth && swap.gain > 2 * single) {
    const BucketId back = sorted_.bucket(swap.receiver, swap.take);
    const double load = sorted_.loads(swap.receiver)[swap.take];
    apply_move(donor, swap.give, swap.receiver, MoveReason::kSwap);
    apply_move(swap.receiver, sorted_.find(swap.receiver, back, load), donor, MoveReason::kSwap);
  } else if (single > options_.move_cost) {
    apply_move(donor, position, receiver, MoveReason::kLevel);
  } else {
    return false;
  }
  for (const std::uint32_t i : {donor, swap.receiver, receiver})
    levels_[i].quota = std::max(0.0, levels_[i].target - levels_[i].load);
  return true;
}

IndexPolicy::Swap IndexPolicy::best_swap(std::uint32_t donor) {
  partners_.clear();
  for (std::uint32_t i = 0; i < levels_.size(); ++i)
    if (levels_[i].quota > 0) partners_.push_back(i);
  const std::size_t count = std::min<std::size_t>(options_.swap_partners_max, partners_.size());
  std::partial_sort(partners_.begin(), partners_.begin() + count, partners_.end(),
                    [&](std::uint32_t a, std::uint32_t b) { return levels_[a].quota > levels_[b].quota; });
  Swap best;
  for (std::size_t k = 0; k < count; ++k) {
    if (levels_[partners_[k]].quota <= best.gain) break;
    try_swap(donor, partners_[k], best);
  }
  return best;
}

// Two fingers down the two sorted lists: for each bucket that the donor could give, the smallest that the
// receiver could give back so that neither crosses its target.
void IndexPolicy::try_swap(std::uint32_t donor, std::uint32_t receiver, Swap& best) const {
  const auto give = sorted_.loads(donor);
  const auto take = sorted_.loads(receiver);
  const double most = std::min(levels_[donor].load - levels_[donor].target, levels_[receiver].quota);
  const double enough = std::min(most, levels_[donor].load - levels_[donor].limit);
  std::size_t back = 0;
  for (std::size_t k = 0; k < give.size() && give[k] > best.gain; ++k) {
    while (back < take.size() && take[back] >= give[k] - most) ++back;
    if (back == 0) continue;
    const double gain = give[k] - take[back - 1];
    if (gain > best.gain && gain <= most) {
      best = {k, back - 1, receiver, gain};
      if (gain >= enough) return;
    }
  }
}

}  // namespace evenkeel::policy
