#include "actuator/in_process/table_actuator.h"

namespace evenkeel::actuator {

TableActuator::TableActuator(bucket::TableBoard& board) : board_(board) {
  for (const std::uint16_t owner : board.newest().owner) owners_.emplace_back(owner);
  reassignments_.reserve(owners_.size());
}

Result<void> TableActuator::apply(std::span<const Move> moves) {
  if (moves.empty()) return {};
  reassignments_.clear();
  for (const Move& move : moves) {
    reassignments_.push_back({move.bucket, move.from, move.to});
    owners_[move.bucket.value()] = move.to;
  }
  board_.publish(reassignments_);
  return {};
}

}  // namespace evenkeel::actuator
