// Interleavings: the engine, driven step by step in an order that a seed decides, while buckets move at
// random.
//
// What runs is the product: dispatchers, rings, bucket table, workers, connection tables. What is replaced is
// the source, the clock and the threads. After every step the laws are checked (law_book.h).
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
  std::string violation;  // empty: every law held
  std::string setting;    // what the seed chose, for people
};

// One run. The seed decides everything: the number of dispatchers, workers, buckets, connections and blocks,
// ring sizes, the queueing model's limits, whether the input can wait, and which thread goes next.
InterleavingResult run_interleaving(std::uint64_t seed);

}  // namespace evenkeel::sim
