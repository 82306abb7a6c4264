#include "policy/lpt.h"

#include <algorithm>

namespace evenkeel::policy {

Result<void> LptPolicy::plan(const Snapshot& snapshot, Plan& plan) {
  if (auto result = measured_.read(snapshot); !result) return result;
  measured_.set_targets(snapshot);
  builder_.begin(snapshot);
  load_.clear();
  for (const ProcessorLoad& processor : measured_.processors) load_.push_back(processor.load);
  order_.clear();
  order_.reserve(snapshot.owner.size());
  for (std::uint32_t j = 0; j < snapshot.bucket_load.size(); ++j) {
    const std::uint32_t owner = snapshot.owner[j].value();
    if (!snapshot.pinned.empty() && snapshot.pinned[j]) continue;
    // A silent bucket changes nothing: it stays, unless its processor goes.
    if (snapshot.bucket_load[j] == 0 && snapshot.capacity[owner] > 0) continue;
    order_.push_back(j);
    load_[owner] -= measured_.load_of(snapshot, j);
  }
  std::sort(order_.begin(), order_.end(), [&](std::uint32_t a, std::uint32_t b) {
    const double x = measured_.load_of(snapshot, a), y = measured_.load_of(snapshot, b);
    return x != y ? x > y : a < b;
  });
  for (const std::uint32_t j : order_) {
    const double load = measured_.load_of(snapshot, j);
    std::uint32_t best = kProcessorsMax;
    double lowest = 0;
    for (std::uint32_t i = 0; i < load_.size(); ++i) {
      if (snapshot.capacity[i] == 0) continue;
      const double level = (load_[i] + load) / snapshot.capacity[i];
      if (best != kProcessorsMax && level >= lowest) continue;
      best = i;
      lowest = level;
    }
    load_[best] += load;
    const bool leaves = snapshot.capacity[snapshot.owner[j].value()] == 0;
    builder_.move(BucketId(j), best, leaves ? MoveReason::kEvacuate : MoveReason::kLevel);
  }
  cap_.apply(snapshot, measured_, options_.moves_max, builder_);
  builder_.finish(snapshot, measured_, plan);
  return {};
}

}  // namespace evenkeel::policy
