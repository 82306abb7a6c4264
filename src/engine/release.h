// Gives packets back to the blocks of their source, neighbours of one block together.
#pragma once

#include <cstdint>

#include "evenkeel/packet.h"
#include "evenkeel/source.h"

namespace evenkeel::engine {

// Packets of a burst mostly come from one block: one atomic addition then serves the whole burst. Not yet
// released packets are released by the destructor, so keep it as a local of the batch.
class BlockReleaser {
 public:
  BlockReleaser() = default;
  BlockReleaser(const BlockReleaser&) = delete;
  BlockReleaser& operator=(const BlockReleaser&) = delete;
  ~BlockReleaser() { flush(); }

  void release(const Packet& packet) {
    if (packet.block != block_) [[unlikely]] {
      flush();
      block_ = packet.block;
    }
    ++count_;
  }

  // Releases them now.
  void flush() {
    if (count_ != 0) block_->release(count_);
    count_ = 0;
  }

 private:
  PacketBlock* block_ = nullptr;
  std::uint32_t count_ = 0;
};

}  // namespace evenkeel::engine
