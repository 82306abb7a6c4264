// A source of packets made by a seed: UDP over IPv4 between numbered connections, in a few small blocks, so
// that a simulation soon meets lent-out blocks, bursts of every size and packet times that run back.
//
// Packet::sequence is the position at this source, and connection_of() reads the connection's number back
// from a packet's bytes: a checker needs nothing that the engine computed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/random.h"
#include "evenkeel/source.h"

namespace evenkeel::sim {

struct SyntheticOptions {
  std::uint64_t seed = 1;
  std::uint64_t packets = 10'000;
  std::uint32_t connections = 200;  // at most 65,536
  std::uint32_t blocks = 8;
  std::uint32_t packets_per_block = 64;
  std::uint16_t source = 0;  // Packet::source
  bool waits = true;         // can_wait()
  // Of so many packets one begins a flood: for some hundred packets, each is the first of a connection, as
  // far as there are any left. 0: none.
  std::uint32_t flood_each = 0;
  // Of so many packets one comes hours later, or earlier, than the one before. 0: none.
  std::uint32_t jump_each = 0;
};

class SyntheticSource : public Source {
 public:
  static constexpr std::size_t kPacketBytes = 42;

  explicit SyntheticSource(const SyntheticOptions& options);

  ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) override;
  bool can_wait() const override { return options_.waits; }
  SourceStatistics statistics() const override { return statistics_; }
  std::string name() const override { return "synthetic"; }

  // Every packet handed out has been released.
  bool all_released() const { return lent() == 0; }
  // Packets handed out and not released.
  std::uint64_t lent() const;

  // From the packet's own bytes.
  static std::uint32_t connection_of(const Packet& packet);

 private:
  struct Block : PacketBlock {
    std::vector<Packet> packets;
    std::vector<std::array<std::uint8_t, kPacketBytes>> bytes;
    std::uint32_t used = 0;
  };

  Block* block_with_room();
  void make(Packet& packet, std::uint8_t* bytes);
  std::uint64_t choose_connection();
  std::int64_t choose_step_ns();

  const SyntheticOptions options_;
  base::Random random_;
  std::vector<std::unique_ptr<Block>> blocks_;
  Block* current_ = nullptr;
  SourceStatistics statistics_;
  std::uint64_t flood_left_ = 0;  // packets
  std::uint64_t flood_next_ = 0;  // connection
  std::int64_t time_ns_ = 1'700'000'000'000'000'000;
};

}  // namespace evenkeel::sim
