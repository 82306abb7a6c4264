#include "policy/proportional.h"

#include <algorithm>
#include <cmath>

namespace evenkeel::policy {

Result<void> ProportionalPolicy::plan(const Snapshot& snapshot, Plan& plan) {
  if (auto result = measured_.read(snapshot); !result) return result;
  measured_.set_targets(snapshot);
  builder_.begin(snapshot);
  index_.clear();
  total_index_ = 0;
  for (const ProcessorLoad& processor : measured_.processors) {
    index_.push_back(std::max(0.0, processor.capacity - processor.load));
    total_index_ += index_.back();
  }
  // With no free capacity anywhere, there is no proportion: only what must leave, leaves, by capacity.
  if (total_index_ <= 0) {
    for (std::size_t i = 0; i < index_.size(); ++i) index_[i] = measured_.processors[i].capacity;
    total_index_ = measured_.total_capacity;
  }
  const bool evacuate = std::any_of(measured_.processors.begin(), measured_.processors.end(),
                                    [](const ProcessorLoad& p) { return p.capacity == 0; });
  if (measured_.total_load > 0 || evacuate) {
    set_shares(snapshot.bucket_load.size());
    deal_out(snapshot);
    cap_.apply(snapshot, measured_, options_.moves_max, builder_);
  }
  builder_.finish(snapshot, measured_, plan);
  for (std::size_t i = 0; i < index_.size(); ++i) {
    plan.processors[i].index = index_[i];
    plan.processors[i].quota = measured_.total_load * index_[i] / total_index_;
  }
  plan.total_index = total_index_;
  return {};
}

// n_i = N I_i / sum I in whole buckets: rounded along the running sum, so that they add up to N.
void ProportionalPolicy::set_shares(std::size_t buckets) {
  wanted_.assign(index_.size(), 0);
  double sum = 0, dealt = 0;
  for (std::size_t i = 0; i < index_.size(); ++i) {
    sum += index_[i];
    const double until = std::round(static_cast<double>(buckets) * (sum / total_index_));
    wanted_[i] = until - dealt;
    dealt = until;
  }
}

void ProportionalPolicy::deal_out(const Snapshot& snapshot) {
  surplus_.assign(index_.size(), 0);
  for (const ProcessorId owner : snapshot.owner) ++surplus_[owner.value()];
  for (std::size_t i = 0; i < surplus_.size(); ++i) surplus_[i] -= static_cast<std::int64_t>(wanted_[i]);
  std::uint32_t to = 0;
  const auto next_receiver = [&](bool any) {
    for (std::size_t tries = 0; tries < surplus_.size(); ++tries) {
      to = to + 1 < surplus_.size() ? to + 1 : 0;
      if (surplus_[to] < 0 || (any && snapshot.capacity[to] > 0)) return true;
    }
    return false;
  };
  for (std::uint32_t j = 0; j < snapshot.owner.size(); ++j) {
    const std::uint32_t from = snapshot.owner[j].value();
    const bool leaves = snapshot.capacity[from] == 0;
    if (surplus_[from] <= 0 && !leaves) continue;
    if (!snapshot.pinned.empty() && snapshot.pinned[j]) continue;
    if (!next_receiver(leaves)) continue;
    builder_.move(BucketId(j), to, leaves ? MoveReason::kEvacuate : MoveReason::kLevel);
    --surplus_[from];
    ++surplus_[to];
  }
}

}  // namespace evenkeel::policy
