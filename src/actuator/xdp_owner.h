// The XDP program that an interface had before: set aside and put back.
//
// Thread: [control].
#pragma once

#include <string>

#include "actuator/network_interface.h"
#include "evenkeel/result.h"

namespace evenkeel::actuator {

// Whether a BPF link holds the interface's program: then only the link's owner can detach it. False too where
// this process may not look.
bool is_held_by_link(const NetworkInterface& interface);

// Pins the interface's program in /sys/fs/bpf, so that it outlives this process and its own detaching.
// Returns where; nothing else is changed. What is at that place already is the same program, left by a
// process that was killed: identities are not given out twice, and the place is gone with a reboot.
Result<std::string> keep_xdp_program(const NetworkInterface& interface);

// Detaches the program that was kept. A program that is held by a BPF link of another process cannot be
// detached: a runtime error.
Result<void> detach_xdp_program(const NetworkInterface& interface);

// Removes the pin: of an interface that is gone, or of a program that stays attached.
void forget_xdp_program(const std::string& pin);

// Attaches the pinned program as it was, unless it is attached still, and removes the pin.
Result<void> put_xdp_program_back(int interface_index, const std::string& pin, bool generic);

}  // namespace evenkeel::actuator
