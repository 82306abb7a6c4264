// Relative capacities of processors, from what Linux says of them: fast and slow cores, and processors that
// share a core.
//
// Sources: /sys/devices/system/cpu/cpuN/cpu_capacity (Documentation/ABI/testing/sysfs-devices-system-cpu;
// where the platform knows it, mostly arm64), else cpufreq/cpuinfo_max_freq, relative to the fastest; and
// topology/thread_siblings_list. Read once at start. Thread: [any].
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace evenkeel::control {

// What k processors of one core do together, against one alone with the core for itself: two hardware threads
// gain about a quarter on packet work.
inline constexpr double kSharedCoreGain = 1.25;

// The capacity of each of `cpus`, 1 for the fastest that has its core for itself. Only processors in `cpus`
// count as sharing a core: an idle sibling takes nothing. What the system does not tell counts as equal.
std::vector<double> capacities_of(std::span<const std::uint32_t> cpus,
                                  const std::string& cpu_folder = "/sys/devices/system/cpu");

}  // namespace evenkeel::control
