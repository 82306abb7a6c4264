// The XDP program that an interface had before: set aside and put back.
//
// Thread: [control].
#pragma once

#include <string>

#include "actuator/network_interface.h"
#include "evenkeel/result.h"

namespace evenkeel::actuator {

// Pins the interface's program in /sys/fs/bpf, so that it outlives this process, and detaches it. Returns
// where it is pinned. A program that is held by a BPF link of another process cannot be set aside: a runtime
// error.
Result<std::string> set_xdp_program_aside(const NetworkInterface& interface);

// Of an interface that is gone: removes the pin.
void forget_xdp_program(const std::string& pin);

// Attaches the pinned program as it was, and removes the pin.
Result<void> put_xdp_program_back(int interface_index, const std::string& pin, bool generic);

}  // namespace evenkeel::actuator
