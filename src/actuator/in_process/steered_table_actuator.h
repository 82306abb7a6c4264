// Moves buckets between workers to which the kernel hands packets itself: publishes a new version of the
// bucket table and, when every dispatcher is prepared, rewrites the kernel's (bucket/steered_moves.h).
#pragma once

#include "actuator/in_process/table_actuator.h"
#include "bucket/steered_moves.h"

namespace evenkeel::actuator {

class SteeredTableActuator final : public TableActuator {
 public:
  SteeredTableActuator(bucket::TableBoard& board, bucket::SteeredMoves& moves, bucket::KernelTable& kernel)
      : TableActuator(board), board_(board), moves_(moves), kernel_(kernel) {}

  std::string_view name() const override { return "kernel_table"; }
  Result<void> apply(std::span<const Move> moves) override;

  // Does the next step of moves that were begun; call it every millisecond or so. Blocks for a grace period
  // of the kernel when it rewrites the table.
  Result<void> advance();

 private:
  bucket::TableBoard& board_;
  bucket::SteeredMoves& moves_;
  bucket::KernelTable& kernel_;
  bool kernel_is_behind_ = false;
};

}  // namespace evenkeel::actuator
