// A source whose packets come in virtual time: what was offered and not yet received is what waits in the
// interface. Live input: it does not wait for the engine.
//
// Thread: one. Memory grows with the packets that are in the engine at a time, and no further.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "evenkeel/source.h"
#include "sim/simulate/feed.h"

namespace evenkeel::sim {

class FeedSource final : public Source {
 public:
  // Packet times are `epoch_ns` and what the feed says.
  FeedSource(Feed& feed, std::int64_t epoch_ns)
      : feed_(feed), epoch_ns_(epoch_ns), bytes_max_(feed.bytes_max()) {}

  // The feed's last packet has come.
  void offer(const Arrival& arrival);
  // Packets that have come and were not received yet, in order.
  std::span<Packet* const> offered() const { return std::span(offered_).subspan(taken_); }
  bool empty() const { return taken_ == offered_.size(); }
  // No further packet will be offered.
  void end() { ended_ = true; }

  ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) override;
  bool can_wait() const override { return false; }
  SourceStatistics statistics() const override { return statistics_; }
  std::string name() const override { return "feed"; }

 private:
  static constexpr std::uint32_t kBlockPackets = 64;
  // Blocks that are looked at for a free one before another is made.
  static constexpr std::size_t kBlocksTried = 4;

  struct Block : PacketBlock {
    std::vector<Packet> packets{kBlockPackets};
    std::unique_ptr<std::uint8_t[]> bytes;
  };

  void next_block();

  Feed& feed_;
  const std::int64_t epoch_ns_;
  const std::size_t bytes_max_;  // of a packet
  std::vector<std::unique_ptr<Block>> blocks_;
  std::size_t hand_ = 0;
  Block* block_ = nullptr;
  std::uint32_t used_ = kBlockPackets;
  std::vector<Packet*> offered_;
  std::size_t taken_ = 0;  // of offered_: received
  bool ended_ = false;
  SourceStatistics statistics_;
};

}  // namespace evenkeel::sim
