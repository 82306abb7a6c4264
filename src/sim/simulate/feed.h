// Feeds: packets as they come, in virtual time. What a source is to the engine, before it has bytes in
// memory: yardsticks need only when a packet comes, of which connection it is and how long it is.
//
// Thread: one. The same options and seed give the same packets.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>

#include "evenkeel/packet.h"
#include "evenkeel/result.h"

namespace evenkeel::sim {

struct Arrival {
  std::int64_t time_ns = 0;       // since the beginning; never runs back
  std::uint64_t sequence = 0;     // from 0
  std::uint32_t connection = 0;   // a small number: connections that do not overlap may share it
  std::uint32_t wire_length = 0;  // bytes
  bool first = false;             // of its connection
};

// Rounded down; what is too far away for 64 bits is as far away as they reach.
inline std::int64_t virtual_time_ns(double time_ns) {
  return static_cast<std::int64_t>(std::min(time_ns, 9.2e18));
}

class Feed {
 public:
  virtual ~Feed() = default;

  // The next packet; false: there is none any more.
  virtual bool next(Arrival& arrival) = 0;

  // Writes the beginning of the packet that next() gave last, its headers at least, and returns how many
  // bytes.
  virtual std::uint32_t write(std::span<std::uint8_t> to) = 0;

  // Room that write() needs at most.
  virtual std::size_t bytes_max() const = 0;

  virtual LinkType link() const { return LinkType::kEthernet; }

  // What ended the feed early (a damaged capture), or nothing.
  virtual std::optional<Error> error() const { return std::nullopt; }
};

}  // namespace evenkeel::sim
