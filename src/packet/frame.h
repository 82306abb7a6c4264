// The bytes of a packet between two ends, the captured one and that on the wire, with checked access.
// Internal to src/packet.
#pragma once

#include <cstdint>
#include <cstring>

#include "packet/parse.h"

namespace evenkeel::packet {

inline std::uint16_t load_big16(const std::uint8_t* p) {
  return static_cast<std::uint16_t>(p[0] << 8 | p[1]);
}
inline std::uint32_t load_big32(const std::uint8_t* p) {
  return static_cast<std::uint32_t>(load_big16(p)) << 16 | load_big16(p + 2);
}

// Invariant: captured <= wire. Offsets count from the packet's first byte; headers are only followed to
// kOffsetMax, so that they fit the packet's 16-bit fields and sums of offsets never overflow.
struct Frame {
  const std::uint8_t* data;
  std::uint32_t captured;  // offset behind the last captured byte
  std::uint32_t wire;      // offset behind the last byte on the wire

  static constexpr std::uint32_t kOffsetMax = 65'535 - 256;

  bool holds(std::uint32_t offset, std::uint32_t size) const {
    return offset <= kOffsetMax && offset + size <= captured;
  }
  // Why `size` bytes at `offset` are not held: the capture is short, or else the packet itself (`cut`).
  Reason missing(std::uint32_t offset, std::uint32_t size, Reason cut) const {
    return offset > kOffsetMax || offset + size <= wire ? Reason::kSnapped : cut;
  }
  std::uint8_t byte(std::uint32_t offset) const { return data[offset]; }
  std::uint16_t big16(std::uint32_t offset) const { return load_big16(data + offset); }
  std::uint32_t big32(std::uint32_t offset) const { return load_big32(data + offset); }

  // The same bytes, ended at `end` on the wire if that is earlier.
  Frame ended_at(std::uint32_t end) const {
    return {data, captured < end ? captured : end, wire < end ? wire : end};
  }
};

// Where a network header begins, or why none was found.
struct Network {
  Reason reason = Reason::kNone;
  std::uint8_t ip_version = 0;
  std::uint32_t offset = 0;
};

}  // namespace evenkeel::packet
