#include "runtime/checked_actuator.h"

#include <fmt/format.h>

namespace evenkeel::runtime {

Result<void> CheckedActuator::apply(std::span<const Move> moves) {
  if (!inner_.ready())
    return runtime_error(
        fmt::format("policy {}: the moves before are still under way: ask ready() first", policy_));
  ++applied_;
  for (const Move& move : moves) {
    if (auto checked = check(move); !checked) return checked;
  }
  return inner_.apply(moves);
}

Result<void> CheckedActuator::check(const Move& move) {
  const auto wrong = [&](std::string_view what) {
    return runtime_error(fmt::format("policy {}: cannot move bucket {} from worker {} to worker {}: {}",
                                     policy_, move.bucket.value(), move.from.value(), move.to.value(), what));
  };
  const std::span<const ProcessorId> owners = inner_.owners();
  const std::uint32_t bucket = move.bucket.value();
  if (bucket >= owners.size()) return wrong(fmt::format("there are {} buckets", owners.size()));
  if (move.to.value() >= workers_) return wrong(fmt::format("there are {} workers", workers_));
  if (owners[bucket] != move.from)
    return wrong(fmt::format("its owner is worker {}", owners[bucket].value()));
  if (move.to == move.from) return wrong("it is there already");
  if (last_move_[bucket] == applied_) return wrong("the same plan moves it twice");
  last_move_[bucket] = applied_;
  return {};
}

Result<void> AuthorsActuator::apply(std::span<const Move> moves) {
  auto applied = authors_->apply(moves);
  if (applied.ok()) return applied;
  return runtime_error(fmt::format("actuator {}: {}", authors_->name(), applied.error().message));
}

}  // namespace evenkeel::runtime
