// Packet descriptors for bytes that lie in memory of the kernel's: a receive ring, or a frame area.
//
// Descriptors are handed out in chunks, each with a ledger of its own. A chunk is closed when it is full or
// when its source goes on to other memory, and comes back when all of its packets were released. The chunk
// that came back last is used next, so that an unloaded worker stays within a few kilobytes of its cache.
//
// Thread: all calls come from the source's thread; only PacketBlock::release() comes from others. Nothing is
// allocated after construction.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "evenkeel/source.h"

namespace evenkeel::source {

struct DescriptorChunk {
  static constexpr std::uint32_t kPackets = 64;

  PacketBlock ledger;
  std::uint32_t used = 0;
  std::uint32_t owner = 0;  // what the source wants to remember of it: a block's number
  bool prepared = false;    // the fields that never change are written
  std::array<Packet, kPackets> packets;

  std::span<Packet> room() { return std::span(packets).subspan(used); }
};

class DescriptorChunks {
 public:
  struct Common {
    LinkType link = LinkType::kEthernet;
    std::uint16_t source = 0;
  };

  DescriptorChunks(std::uint32_t chunks, const Common& common);

  // An empty chunk, or nullptr: all are lent out.
  DescriptorChunk* take();

  // No more of its packets will be handed out.
  void close(DescriptorChunk* chunk) { closed_.push_back(chunk); }

  // Takes back what was released: came_back(const DescriptorChunk&) for each. Cost: a look at each closed
  // chunk.
  template <typename CameBack>
  void sweep(CameBack&& came_back) {
    std::erase_if(closed_, [&](DescriptorChunk* chunk) {
      if (!chunk->ledger.all_released()) return false;
      came_back(*chunk);
      free_.push_back(chunk);
      return true;
    });
  }

  bool all_back() const { return closed_.empty(); }

 private:
  const Common common_;
  std::unique_ptr<DescriptorChunk[]> chunks_;
  std::vector<DescriptorChunk*> free_;    // used from the end
  std::vector<DescriptorChunk*> closed_;  // oldest first
};

}  // namespace evenkeel::source
