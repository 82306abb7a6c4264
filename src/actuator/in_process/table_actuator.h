// Moves buckets between the workers of this process: publishes a new version of the bucket table.
#pragma once

#include <vector>

#include "actuator/actuator.h"
#include "bucket/table.h"

namespace evenkeel::actuator {

class TableActuator : public Actuator {
 public:
  explicit TableActuator(bucket::TableBoard& board);

  std::string_view name() const override { return "in_process"; }
  bool ready() override { return board_.settled(); }
  Result<void> apply(std::span<const Move> moves) override;
  std::span<const ProcessorId> owners() const override { return owners_; }

 private:
  bucket::TableBoard& board_;
  std::vector<ProcessorId> owners_;
  std::vector<bucket::Reassignment> reassignments_;
};

}  // namespace evenkeel::actuator
