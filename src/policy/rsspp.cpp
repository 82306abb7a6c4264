#include "policy/rsspp.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace evenkeel::policy {

Result<void> RssppPolicy::plan(const Snapshot& snapshot, Plan& plan) {
  if (auto result = measured_.read(snapshot); !result) return result;
  measured_.set_targets(snapshot);
  builder_.begin(snapshot);
  loads_.clear();
  for (const ProcessorLoad& processor : measured_.processors) loads_.push_back(processor.load);
  evacuation_.run(snapshot, measured_, loads_, builder_);
  just_received_.resize(loads_.size(), 0);
  reserve(snapshot);
  set_sides(snapshot);
  if (!givers_.empty() && !takers_.empty()) {
    collect_buckets(snapshot);
    search();
    for (std::size_t k = 0; k < items_.size(); ++k) {
      if (best_transfer_[k] == kNone) continue;
      const std::uint32_t to = takers_[best_transfer_[k]].processor;
      builder_.move(BucketId(items_[k].bucket), to, MoveReason::kLevel);
    }
  }
  cap_.apply(snapshot, measured_, options_.moves_max, builder_);
  builder_.finish(snapshot, measured_, plan);
  for (const Move& move : plan.moves)
    if (move.reason == MoveReason::kLevel) just_received_[move.to.value()] = 1;
  return {};
}

void RssppPolicy::reserve(const Snapshot& snapshot) {
  items_.reserve(snapshot.owner.size());
  transfer_.reserve(snapshot.owner.size());
  best_transfer_.reserve(snapshot.owner.size());
  giver_of_.reserve(loads_.size());
  givers_.reserve(loads_.size());
  takers_.reserve(loads_.size());
}

void RssppPolicy::set_sides(const Snapshot& snapshot) {
  givers_.clear();
  takers_.clear();
  const double mean = measured_.total_load / measured_.total_capacity;
  for (std::uint32_t i = 0; i < loads_.size(); ++i) {
    const double capacity = snapshot.capacity[i];
    if (capacity == 0) continue;
    if (std::exchange(just_received_[i], 0) != 0) continue;
    const double missing = mean * capacity - loads_[i];
    if (missing > kThreshold * capacity) takers_.push_back({.processor = i, .imbalance = missing});
    // Nothing can be done for a processor that has one bucket only.
    if (missing < -kThreshold * capacity && measured_.processors[i].busy_buckets > 1)
      givers_.push_back({.processor = i, .imbalance = -missing});
  }
}

void RssppPolicy::collect_buckets(const Snapshot& snapshot) {
  giver_of_.assign(loads_.size(), kNone);
  for (std::uint32_t k = 0; k < givers_.size(); ++k) giver_of_[givers_[k].processor] = k;
  items_.clear();
  for (std::uint32_t j = 0; j < snapshot.owner.size(); ++j) {
    const std::uint32_t giver = giver_of_[snapshot.owner[j].value()];
    if (giver == kNone || snapshot.bucket_load[j] == 0) continue;
    if (!snapshot.pinned.empty() && snapshot.pinned[j]) continue;
    items_.push_back({measured_.load_of(snapshot, j), j, giver});
  }
  std::sort(items_.begin(), items_.end(), [](const Item& a, const Item& b) {
    if (a.giver != b.giver) return a.giver < b.giver;
    return a.load != b.load ? a.load > b.load : a.bucket < b.bucket;
  });
  for (Side& giver : givers_) giver.begin = giver.end = 0;
  for (std::size_t k = 0; k < items_.size(); ++k) {
    Side& giver = givers_[items_[k].giver];
    if (giver.end == 0) giver.begin = k;
    giver.end = k + 1;
  }
}

RssppPolicy::Side* RssppPolicy::most(std::vector<Side>& sides) {
  Side* best = nullptr;
  for (Side& side : sides)
    if (side.open && (best == nullptr || side.left > best->left)) best = &side;
  return best;
}

RssppPolicy::Outcome RssppPolicy::attempt(const Allowance& allowance) {
  transfer_.assign(items_.size(), kNone);
  for (Side& giver : givers_) {
    giver.left = giver.imbalance;
    giver.next = giver.begin;
    giver.open = giver.begin < giver.end;
  }
  for (Side& taker : takers_) {
    taker.left = taker.imbalance;
    taker.open = true;
  }
  while (true) {
    Side* giver = most(givers_);
    Side* taker = most(takers_);
    if (giver == nullptr || taker == nullptr) break;
    const std::size_t item = giver->next++;
    // What does not fit the most underloaded fits none.
    if (items_[item].load < taker->left + allowance.take) {
      taker->left -= items_[item].load;
      giver->left -= items_[item].load;
      transfer_[item] = static_cast<std::uint32_t>(taker - takers_.data());
      taker->open = taker->left > kSettled;
    }
    giver->open = giver->left > -allowance.give && giver->next < giver->end;
  }
  Outcome outcome;
  for (const Side& giver : givers_) {
    outcome.give += std::abs(giver.left);
    outcome.squares += giver.left * giver.left;
  }
  for (const Side& taker : takers_) {
    outcome.take += std::abs(taker.left);
    outcome.squares += taker.left * taker.left;
  }
  return outcome;
}

// The allowance is grown while that helps, and then narrowed down by bisection between the last that helped
// and the first that did not.
void RssppPolicy::search() {
  Allowance allowance;
  Outcome outcome = attempt(allowance);
  best_transfer_.assign(transfer_.begin(), transfer_.end());
  double best = outcome.squares, last = outcome.squares;
  Allowance bottom = allowance, top{outcome.give, outcome.take};
  bool growing = true;
  double place = 0.5;
  allowance = top;
  for (int run = 2; run <= kAttemptsMax && best >= kSettled; ++run) {
    outcome = attempt(allowance);
    const bool helped = outcome.squares <= last;
    if (outcome.squares < best) {
      best = outcome.squares;
      best_transfer_.assign(transfer_.begin(), transfer_.end());
    }
    last = outcome.squares;
    if (growing && helped) {
      allowance = {allowance.give * 1.5, allowance.take * 1.5};
      continue;
    }
    if (growing) {
      top = allowance;
      growing = false;
    } else {
      place = helped ? place / 2 : (1 + place) / 2;
    }
    if (place < 0.01 || place > 0.99) break;
    allowance = {bottom.give + (top.give - bottom.give) * place,
                 bottom.take + (top.take - bottom.take) * place};
  }
}

}  // namespace evenkeel::policy
