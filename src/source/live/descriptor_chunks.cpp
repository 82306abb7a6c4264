#include "source/live/descriptor_chunks.h"

namespace evenkeel::source {

DescriptorChunks::DescriptorChunks(std::uint32_t chunks, const Common& common)
    : common_(common), chunks_(std::make_unique_for_overwrite<DescriptorChunk[]>(chunks)) {
  free_.reserve(chunks);
  closed_.reserve(chunks);
  for (std::uint32_t i = chunks; i > 0; --i) free_.push_back(&chunks_[i - 1]);
}

DescriptorChunk* DescriptorChunks::take() {
  if (free_.empty()) return nullptr;
  DescriptorChunk* const chunk = free_.back();
  free_.pop_back();
  chunk->used = 0;
  if (chunk->prepared) return chunk;
  for (Packet& packet : chunk->packets) {
    packet.block = &chunk->ledger;
    packet.link = common_.link;
    packet.source = common_.source;
  }
  chunk->prepared = true;
  return chunk;
}

}  // namespace evenkeel::source
