// The ethtool ioctl (linux/ethtool.h), in the network namespace of the calling thread.
//
// Thread: [control].
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace evenkeel::actuator {

// One request; false: refused, see errno.
bool ask_ethtool(const std::string& interface, void* request);

// The driver's statistics, in its order; empty: it has none.
std::vector<std::pair<std::string, std::uint64_t>> read_statistics(const std::string& interface);

}  // namespace evenkeel::actuator
