// Interleavings: the engine, driven step by step in an order that a seed decides, while buckets move at
// random.
//
// What runs is the product: dispatchers, rings, bucket table, workers, connection tables, timers, queueing
// model, and in some runs the control loop with a policy. What is replaced is the source, the clock and the
// threads. Faults: threads that stall, a slow control loop, full rings, clocks that jump, floods of
// connections, workers that are taken out of service and come back, moves of every bucket at once. Some runs
// are of live input: a simulated kernel steers packets into a ring for each worker (simulated_kernel.h).
// After every step the laws are checked (law_book.h); isolation has a run of its own (isolation.h).
#pragma once

#include <cstdint>
#include <string>

namespace evenkeel::sim {

struct InterleavingResult {
  std::uint64_t steps = 0;
  std::uint64_t packets = 0;
  std::uint64_t moves = 0;
  std::uint64_t queued = 0;  // packets that waited in a queueing model
  std::uint64_t shed = 0;
  std::uint64_t rounds = 0;   // of the control loop
  std::uint64_t removed = 0;  // workers that were taken out of service
  std::string violation;      // empty: every law held
  std::string setting;        // what the seed chose, for people
};

// What counts the allocations of this program, so that law 7 can be checked; nullptr where nobody does.
using AllocationCount = std::uint64_t (*)();
inline AllocationCount allocation_count = nullptr;

// One run. The seed decides everything: the number of dispatchers, workers, buckets, connections and blocks,
// ring sizes, the queueing model's limits, whether the input can wait, and which thread goes next.
InterleavingResult run_interleaving(std::uint64_t seed);

}  // namespace evenkeel::sim
