// Sizes of the packet path.
#pragma once

#include <cstddef>

namespace evenkeel::engine {

// Packets taken from a source or a ring at once: enough to hide a cache miss behind the others (memory
// latency of 100-350 ns against 10-20 ns of work a packet), few enough to stay in the first-level cache (32
// descriptors of 128 bytes are 4 KB).
inline constexpr std::size_t kBurst = 32;

// Items that one ring holds: about 0.1-0.5 ms of work, enough to bridge a scheduling hiccup of the other side
// without spilling its descriptors (512 KB) out of the second-level cache.
inline constexpr std::size_t kRingCapacity = 4096;

}  // namespace evenkeel::engine
