// Traffic that does everything at once: TCP segments of connections that stay, floods of connections of one
// packet, connections that are far heavier than all others, silence, and a packet time that jumps.
//
// Each segment carries its number within its connection, so that a handler can tell order from what it is
// given alone.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/random.h"
#include "evenkeel/source.h"

namespace evenkeel::soak {

struct StormOptions {
  std::uint64_t seed = 1;
  std::uint64_t packets = ~std::uint64_t{0};  // then it ends
  bool can_wait = true;
};

class StormSource final : public Source {
 public:
  explicit StormSource(const StormOptions& options);

  ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) override;
  bool can_wait() const override { return options_.can_wait; }
  SourceStatistics statistics() const override { return statistics_; }
  std::int64_t quiet_until_ns() const override { return now_ns_; }
  std::string name() const override { return "storm"; }

  // The engine is done, whether it was told to or failed.
  void closed() override { closed_.store(true, std::memory_order_relaxed); }

  // [any]
  bool is_closed() const { return closed_.load(std::memory_order_relaxed); }
  void finish() { finished_.store(true, std::memory_order_relaxed); }
  std::uint64_t handed_out() const { return handed_out_.load(std::memory_order_relaxed); }

  // The number that a segment carries.
  static std::uint64_t number_of(const Packet& packet);

 private:
  enum class Weather : std::uint8_t { kCalm, kFlood, kElephant, kSilence, kForward, kBackward, kCount };
  static constexpr std::uint32_t kConnections = 2'000;
  static constexpr std::size_t kFrameBytes = 14 + 20 + 20 + 8;
  static constexpr std::uint32_t kPackets = 64;  // of a block
  static constexpr std::size_t kBlocks = 128;

  struct Block {
    PacketBlock ledger;
    std::array<Packet, kPackets> packets;
    std::array<std::array<std::uint8_t, kFrameBytes>, kPackets> frames;
  };

  void change_weather();
  Block* free_block();
  void fill(Packet& packet, std::array<std::uint8_t, kFrameBytes>& frame);

  const StormOptions options_;
  base::Random random_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::size_t next_block_ = 0;
  std::vector<std::uint64_t> numbers_;  // by connection that stays
  std::uint64_t strangers_ = 0;         // connections of one packet so far
  std::int64_t now_ns_ = 1'700'000'000'000'000'000;
  Weather weather_ = Weather::kCalm;
  std::uint64_t weather_lasts_ = 0;  // bursts
  SourceStatistics statistics_;
  std::atomic<std::uint64_t> handed_out_{0};
  std::atomic<bool> finished_{false}, closed_{false};
};

}  // namespace evenkeel::soak
