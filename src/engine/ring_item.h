// What travels from a dispatcher to a worker: a packet, or a mark that says where in the stream a bucket
// changes hands.
#pragma once

#include <cstdint>

#include "base/prefetch.h"
#include "evenkeel/ids.h"
#include "evenkeel/packet.h"

namespace evenkeel::engine {

// 8 bytes: a packet's address (descriptors are aligned to 64 bytes, so the low bits are 0) or, with the
// lowest bit set, a mark: kind in bits 1-2, bucket in bits 3-18, table version in bits 32-63.
class RingItem {
 public:
  enum class Mark : std::uint8_t {
    kRelease,  // no more packets of the bucket follow from this dispatcher: to the old owner
    kAcquire,  // packets of the bucket follow from this dispatcher: to the new owner
    kEnd,      // nothing follows from this dispatcher
  };

  RingItem() = default;
  explicit RingItem(Packet* packet) : bits_(reinterpret_cast<std::uintptr_t>(packet)) {}
  RingItem(Mark mark, BucketId bucket, std::uint32_t version)
      : bits_(1u | static_cast<std::uint64_t>(mark) << 1 | static_cast<std::uint64_t>(bucket.value()) << 3 |
              static_cast<std::uint64_t>(version) << 32) {}

  bool is_packet() const { return (bits_ & 1) == 0; }
  Packet* packet() const { return reinterpret_cast<Packet*>(bits_); }
  // Starts loading a packet's descriptor. To fetch from a mark's bits is of no use, and does no harm.
  void prefetch() const {
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(bits_);
    base::prefetch(bytes);
    base::prefetch(bytes + sizeof(Packet) / 2);
  }
  Mark mark() const { return static_cast<Mark>(bits_ >> 1 & 3); }
  BucketId bucket() const { return BucketId(static_cast<std::uint32_t>(bits_ >> 3 & 0xffff)); }
  std::uint32_t version() const { return static_cast<std::uint32_t>(bits_ >> 32); }

 private:
  std::uint64_t bits_;  // of no value at first: arrays of items are not cleared for nothing
};
static_assert(sizeof(RingItem) == 8);

}  // namespace evenkeel::engine
