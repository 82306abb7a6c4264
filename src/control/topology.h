// Where CPUs are and how fast: what Linux and hwloc know of cores, hardware threads, NUMA nodes and fast and
// slow kinds; from that the relative capacities of processors, and where the engine's threads best run.
//
// Read once at start. Thread: [any].
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace evenkeel::control {

struct CpuPlace {
  std::uint32_t cpu = 0;
  std::uint32_t core = 0;  // CPUs of one core are its hardware threads
  std::uint32_t node = 0;  // of memory
  double speed = 0;        // in any unit; 0: not told
};

// All CPUs of the machine, ascending, by hwloc. Speed is the kernel's capacity of the CPU, else its highest
// frequency, which hwloc has made equal where it differs by the boost of single cores alone. Empty where
// hwloc knows nothing.
std::vector<CpuPlace> read_topology();

// What k processors of one core do together, against one alone with the core for itself: two hardware threads
// gain about a quarter on packet work.
inline constexpr double kSharedCoreGain = 1.25;

// The capacity of each of `cpus`, 1 for the fastest that has its core for itself. Only processors in `cpus`
// count as sharing a core: an idle sibling takes nothing. A CPU whose place is not known, or a speed that is
// not told, makes all speeds equal.
std::vector<double> capacities_of(std::span<const std::uint32_t> cpus, std::span<const CpuPlace> places);

// Where threads run.
struct Placement {
  std::vector<std::uint32_t> workers;      // a CPU for each
  std::vector<std::uint32_t> dispatchers;  // CPUs of the home node that no worker has
};

// Gives every worker a CPU of its own and leaves one to the dispatcher: the home node (the one with most CPUs
// allowed) comes before others, as the dispatcher's packets lie in its memory; a core's first hardware thread
// before everybody's second; fast before slow. Empty where there are not CPUs enough.
Placement place(std::uint32_t workers, std::span<const std::uint32_t> allowed,
                std::span<const CpuPlace> places);

}  // namespace evenkeel::control
