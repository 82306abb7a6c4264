// The parts of a run's report that speak of queueing.
//
// Thread: [control], when the workers have ended.
#pragma once

#include <span>
#include <vector>

#include "engine/elephants.h"
#include "engine/queueing.h"
#include "meter/meters.h"
#include "observe/run_report.h"

namespace evenkeel::runtime {

observe::QueueingReport queueing_report(const engine::QueueingOptions& options,
                                        std::span<const meter::QueueMeters> workers);

// `by_worker`: what each worker named. A connection that moved was seen by several of them.
std::vector<observe::ElephantReport> elephant_report(
    std::span<const std::vector<engine::Elephant>> by_worker);

}  // namespace evenkeel::runtime
