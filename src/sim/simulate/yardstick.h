// Two yardsticks outside the method, on the same packets at the same prices:
//
// - *spray*: packet k goes to processor k % N, whatever its connection. As level as can be with a queue for
// each
//   processor, and packets of a connection overtake each other.
// - *shared*: all processors serve one queue, first come first served. No assignment of packets to processors
// has
//   a shorter mean wait when costs are not known; it takes a queue that all processors share, and packets of
//   a connection overtake each other too.
//
// As many packets may wait as in the engine's rings and queues.
#pragma once

#include <string_view>

#include "evenkeel/result.h"
#include "sim/simulate/feed.h"
#include "sim/simulate/outcome.h"
#include "sim/simulate/service_cost.h"

namespace evenkeel::sim {

enum class Yardstick : std::uint8_t { kSpray, kShared };
inline constexpr std::string_view kYardstickNames[] = {"spray", "shared"};

// Of `options`, what concerns the processors and the time counts.
Result<Outcome> run_yardstick(Yardstick which, const MachineOptions& options, const ServiceCost& service,
                              Feed& feed);

}  // namespace evenkeel::sim
