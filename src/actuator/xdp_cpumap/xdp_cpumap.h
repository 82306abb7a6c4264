// Steering by an XDP program and a CPU map: works with any interface, and with more CPUs than it has queues.
// Bucket j's packets are redirected to its CPU's thread, which hands them to the stack there.
//
// Load: the run time of those threads, shared out to their buckets by packets and bytes sent; what waits for
// a CPU or was lost on the way to it is backlog; what else runs on a CPU lowers its capacity.
//
// Thread: [control].
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "actuator/steering.h"
#include "actuator/xdp_cpumap/bucket_moves.h"
#include "actuator/xdp_cpumap/kernel_side.h"
#include "meter/cpu_time.h"

namespace evenkeel::actuator {

struct XdpCpumapOptions {
  int interface_index = 0;
  XdpMode mode = XdpMode::kGeneric;
  KernelSideOptions kernel;
  BucketMovesOptions moves;
};

Result<std::unique_ptr<Steering>> make_xdp_cpumap(const XdpCpumapOptions& options);

}  // namespace evenkeel::actuator
