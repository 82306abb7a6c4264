#include "policy/plan_builder.h"

#include <algorithm>

#include "base/check.h"

namespace evenkeel::policy {

void PlanBuilder::begin(const Snapshot& snapshot) {
  destination_.assign(snapshot.bucket_load.size(), {});
  touched_.clear();
  touched_.reserve(snapshot.bucket_load.size());
}

void PlanBuilder::move(BucketId bucket, std::uint32_t to, MoveReason reason) {
  Destination& destination = destination_[bucket.value()];
  if (!destination.touched) touched_.push_back(bucket);
  destination = {to, reason, true};
}

void PlanBuilder::finish(const Snapshot& snapshot, const Measured& measured, Plan& plan) {
  plan.moves.clear();
  plan.moves.reserve(snapshot.bucket_load.size());
  plan.processors.assign(measured.processors.size(), {});
  for (std::size_t i = 0; i < measured.processors.size(); ++i) {
    const ProcessorLoad& processor = measured.processors[i];
    plan.processors[i] = {.usage = processor.usage,
                          .load = processor.load,
                          .target = processor.target,
                          .after = processor.load};
  }
  for (const BucketId bucket : touched_) {
    const Destination& destination = destination_[bucket.value()];
    const ProcessorId from = snapshot.owner[bucket.value()];
    const ProcessorId to(destination.processor);
    if (to == from) continue;
    DCHECK(snapshot.pinned.empty() || !snapshot.pinned[bucket.value()]);
    const double load = measured.load_of(snapshot, bucket.value());
    plan.processors[from.value()].after -= load;
    plan.processors[to.value()].after += load;
    plan.moves.push_back({bucket, from, to, snapshot.bucket_load[bucket.value()], destination.reason});
  }
  plan.total_index = 0;
  plan.max_over_mean_before =
      measured.max_over_mean_if([&](std::size_t i) { return plan.processors[i].load; });
  plan.lower_bound = measured.lower_bound();
  // The last digits of a sum that should be 0 may be below.
  for (ProcessorDetail& processor : plan.processors) processor.after = std::max(0.0, processor.after);
  plan.max_over_mean_after =
      measured.max_over_mean_if([&](std::size_t i) { return plan.processors[i].after; });
}

std::size_t Evacuation::run(const Snapshot& snapshot, const Measured& measured, std::vector<double>& load,
                            PlanBuilder& builder) {
  leaving_.clear();
  leaving_.reserve(snapshot.owner.size());
  const auto pinned = [&](std::uint32_t j) { return !snapshot.pinned.empty() && snapshot.pinned[j]; };
  for (std::uint32_t j = 0; j < snapshot.owner.size(); ++j)
    if (snapshot.capacity[snapshot.owner[j].value()] == 0 && !pinned(j)) leaving_.push_back(j);
  std::sort(leaving_.begin(), leaving_.end(), [&](std::uint32_t a, std::uint32_t b) {
    const double x = snapshot.bucket_load[a], y = snapshot.bucket_load[b];
    return x != y ? x > y : a < b;
  });
  // Silent buckets may wake up: they count a little, so that they are dealt out instead of heaped up.
  const double tiny = (measured.total_load + 1e-9) / (1e3 * static_cast<double>(snapshot.owner.size()));
  std::vector<double>& level = level_;
  level.assign(load.begin(), load.end());
  for (const std::uint32_t j : leaving_) {
    const double weight = std::max(measured.load_of(snapshot, j), tiny);
    std::uint32_t best = kProcessorsMax;
    for (std::uint32_t i = 0; i < level.size(); ++i) {
      if (snapshot.capacity[i] == 0) continue;
      if (best == kProcessorsMax ||
          (level[i] + weight) / snapshot.capacity[i] < (level[best] + weight) / snapshot.capacity[best])
        best = i;
    }
    level[best] += weight;
    const double moved = measured.load_of(snapshot, j);
    load[best] += moved;
    load[snapshot.owner[j].value()] -= moved;
    builder.move(BucketId(j), best, MoveReason::kEvacuate);
  }
  return leaving_.size();
}

}  // namespace evenkeel::policy
