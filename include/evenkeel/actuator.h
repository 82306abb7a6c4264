// Actuators: what applies a plan. In the engine a new version of the bucket table; in the kernel a map or a
// NIC's table.
//
// An actuator may not throw: an exception ends the process.
//
// Thread: [control].
#pragma once

#include <span>
#include <string_view>

#include "evenkeel/api.h"
#include "evenkeel/ids.h"
#include "evenkeel/policy.h"
#include "evenkeel/result.h"

namespace evenkeel {

class EVENKEEL_API Actuator {
 public:
  virtual ~Actuator() = default;
  virtual std::string_view name() const = 0;

  // Whether the moves applied before are all in effect, so that the next may be applied.
  virtual bool ready() = 0;

  // Begins these moves. Requires ready(). An error means that none of them was made; it ends the run, with a
  // runtime error that names the actuator.
  virtual Result<void> apply(std::span<const Move> moves) = 0;

  // The present assignment, by bucket. Valid until the next apply().
  virtual std::span<const ProcessorId> owners() const = 0;
};

}  // namespace evenkeel
