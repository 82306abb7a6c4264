// A machine in virtual time: what `evenkeel run` would be on N processors of which this computer has one.
//
// What runs is the product: dispatcher, rings, bucket table, handover, workers with their queueing model,
// connection tables and timers, load meter, estimator, policy, control loop and actuator. Replaced are the
// source (a feed), the clock (one for each processor, which goes on while it works) and what the handler does
// with a packet: it takes virtual time.
//
// Events in virtual time: a packet comes and is dispatched at once; a processor that has something to do
// steps when it is free; the control loop ticks. What one step did is seen by others not before the time at
// which it did it, so that causes come before effects also where a processor's step reaches beyond the next
// event.
//
// Thread: one; several machines in several threads do not meet.
#pragma once

#include "evenkeel/result.h"
#include "sim/simulate/feed.h"
#include "sim/simulate/outcome.h"
#include "sim/simulate/service_cost.h"

namespace evenkeel::sim {

Result<Outcome> run_machine(const MachineOptions& options, const ServiceCost& service, Feed& feed);

}  // namespace evenkeel::sim
