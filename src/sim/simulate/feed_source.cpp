#include "sim/simulate/feed_source.h"

#include <algorithm>

namespace evenkeel::sim {

void FeedSource::next_block() {
  used_ = 0;
  block_ = nullptr;
  for (std::size_t i = 0; i < std::min(kBlocksTried, blocks_.size()) && block_ == nullptr; ++i) {
    hand_ = (hand_ + 1) % blocks_.size();
    if (blocks_[hand_]->all_released()) block_ = blocks_[hand_].get();
  }
  if (block_ != nullptr) return;
  blocks_.push_back(std::make_unique<Block>());
  block_ = blocks_.back().get();
  block_->bytes = std::make_unique_for_overwrite<std::uint8_t[]>(kBlockPackets * bytes_max_);
}

void FeedSource::offer(const Arrival& arrival) {
  if (used_ == kBlockPackets) next_block();
  Packet& packet = block_->packets[used_];
  std::uint8_t* const bytes = block_->bytes.get() + used_ * bytes_max_;
  ++used_;
  packet.data = bytes;
  packet.captured_length = feed_.write({bytes, bytes_max_});
  packet.wire_length = arrival.wire_length;
  packet.time_ns = epoch_ns_ + arrival.time_ns;
  packet.sequence = arrival.sequence;
  packet.link = feed_.link();
  packet.block = block_;
  block_->hand_out(1);
  offered_.push_back(&packet);
  ++statistics_.received;
  statistics_.bytes += arrival.wire_length;
}

ReceiveStatus FeedSource::receive(std::span<Packet*> out, std::size_t& count) {
  count = 0;
  while (count < out.size() && !empty()) out[count++] = offered_[taken_++];
  if (empty()) {
    offered_.clear();
    taken_ = 0;
  }
  if (count != 0) return ReceiveStatus::kMore;
  return ended_ ? ReceiveStatus::kEnd : ReceiveStatus::kIdle;
}

}  // namespace evenkeel::sim
