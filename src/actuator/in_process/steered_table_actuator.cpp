#include "actuator/in_process/steered_table_actuator.h"

namespace evenkeel::actuator {

Result<void> SteeredTableActuator::apply(std::span<const Move> moves) {
  kernel_is_behind_ |= !moves.empty();
  return TableActuator::apply(moves);
}

Result<void> SteeredTableActuator::advance() {
  const bucket::TableVersion& newest = board_.newest();
  if (!kernel_is_behind_ || !moves_.prepared(newest.version)) return {};
  if (auto published = kernel_.publish(newest.owner); !published) return published;
  kernel_is_behind_ = false;
  moves_.set_in_kernel(newest.version);
  return {};
}

}  // namespace evenkeel::actuator
