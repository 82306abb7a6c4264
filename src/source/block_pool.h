// A bounded set of packet blocks: the memory that a source lends out. Nothing is allocated after
// construction.
//
// Thread: all calls come from the source's thread; only PacketBlock::release() comes from others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "evenkeel/source.h"

namespace evenkeel::source {

// Memory for packets: descriptors, and bytes for them to point to.
struct Block {
  PacketBlock ledger;  // who holds packets of this block
  std::vector<Packet> packets;
  std::unique_ptr<std::uint8_t[]> data;
};

struct BlockPoolSize {
  std::uint32_t blocks = 32;
  std::uint32_t packets_per_block = 512;
  // May be generous: pages that are never written take no memory.
  std::size_t bytes_per_block = 65'536;
};

class BlockPool {
 public:
  // What is the same in all packets of a source, written once.
  struct Common {
    LinkType link = LinkType::kEthernet;
    std::uint16_t source = 0;
  };

  BlockPool(const BlockPoolSize& size, const Common& common);

  // A block of which no packet is lent out, or nullptr. Blocks with the lowest numbers come first, so that as
  // little memory is in use as the workers' lag asks for, and stays in their caches. The block that was taken
  // last may come again once all of it is released: hand out what was written before taking the next one.
  Block* take();

  std::size_t bytes_per_block() const { return size_.bytes_per_block; }
  std::size_t packets_per_block() const { return size_.packets_per_block; }

 private:
  BlockPoolSize size_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

}  // namespace evenkeel::source
