// Isolation, law 5, under overload: heavy connections send more than a worker can serve, and light ones send
// one packet now and then, each within its fair share.
//
// What runs is the product's dispatcher, ring and worker with its queueing model. What is checked after every
// step: no light packet waits longer than a quantum of each connection that waits, the batch in service and
// what a step takes in; none is shed.
#pragma once

#include <cstdint>
#include <string>

namespace evenkeel::sim {

struct IsolationResult {
  std::uint64_t steps = 0;
  std::uint64_t moves = 0;  // none: a bound holds while a bucket is at home
  std::uint64_t light_packets = 0;
  std::uint64_t shed = 0;  // of heavy connections
  std::string violation;   // empty: the law held
  std::string setting;
};

// One run. The seed decides how many connections of which cost there are, and when they send.
IsolationResult run_isolation(std::uint64_t seed);

}  // namespace evenkeel::sim
