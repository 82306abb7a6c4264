// Looks at an interface before `evenkeel steer` changes it: who else is at work there, which XDP mode will
// do.
#pragma once

#include <string>
#include <vector>

#include "actuator/network_interface.h"
#include "actuator/xdp_cpumap/kernel_side.h"
#include "cli/steer_options.h"
#include "evenkeel/result.h"

namespace evenkeel::cli {

struct SteerGround {
  actuator::NetworkInterface interface;
  bool by_table = false;  // by nic_table, else by xdp_cpumap
  actuator::XdpMode mode = actuator::XdpMode::kGeneric;
  std::vector<std::string> notes;  // for people: why this mode, what was overridden
};

// Changes nothing. A runtime error names the obstacle and what removes it.
Result<SteerGround> survey_ground(const SteerOptions& options);

}  // namespace evenkeel::cli
