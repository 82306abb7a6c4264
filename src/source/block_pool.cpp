#include "source/block_pool.h"

namespace evenkeel::source {
namespace {

std::unique_ptr<Block> make_block(const BlockPoolSize& size, const BlockPool::Common& common) {
  auto block = std::make_unique<Block>();
  block->packets.resize(size.packets_per_block);
  block->data = std::make_unique_for_overwrite<std::uint8_t[]>(size.bytes_per_block);
  for (Packet& packet : block->packets) {
    packet.block = &block->ledger;
    packet.link = common.link;
    packet.source = common.source;
  }
  return block;
}

}  // namespace

BlockPool::BlockPool(const BlockPoolSize& size, const Common& common) : size_(size) {
  blocks_.reserve(size.blocks);
  for (std::uint32_t i = 0; i < size.blocks; ++i) blocks_.push_back(make_block(size, common));
}

Block* BlockPool::take() {
  for (const auto& block : blocks_) {
    if (block->ledger.all_released()) return block.get();
  }
  return nullptr;
}

}  // namespace evenkeel::source
