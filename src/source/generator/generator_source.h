// Built-in traffic: packets of many connections that come and go, made from a seed. The same profile, options
// and seed give the same bytes and times on every machine.
//
// Cost: one cache miss a packet, for the connection's state, fetched ahead. No allocation after construction.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "evenkeel/source.h"
#include "source/block_pool.h"
#include "source/generator/conversation.h"
#include "source/generator/group_choice.h"
#include "source/generator/packet_clock.h"
#include "source/generator/profile.h"

namespace evenkeel::source {

inline constexpr std::uint64_t kPacketsDefault = 20'000'000;
inline constexpr std::uint64_t kPacketRateDefault = 1'000'000;
inline constexpr std::uint32_t kConnectionsMax = 4'194'304;
inline constexpr std::uint64_t kPacketsMax = 1'000'000'000'000;

struct GeneratorOptions {
  std::uint32_t connections = 0;                           // live at a time; 0: the profile's own number
  std::optional<std::uint64_t> packets = kPacketsDefault;  // nothing: without end
  std::uint64_t packets_per_second = kPacketRateDefault;   // mean, in packet time
  std::uint64_t seed = 1;
  std::uint16_t source = 0;   // Packet::source
  std::uint32_t blocks = 32;  // of the pool; each lends out up to 512 packets
};

class GeneratorSource final : public Source {
 public:
  // `profile` lives as long as this.
  GeneratorSource(const Profile& profile, const GeneratorOptions& options);

  ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) override;
  bool can_wait() const override { return true; }
  SourceStatistics statistics() const override { return statistics_; }
  std::string name() const override;

 private:
  // A connection that was chosen to send next.
  struct Turn {
    std::uint32_t connection = 0;
    std::uint16_t group = 0;
    std::uint16_t packets = 0;
  };
  static constexpr std::size_t kTurnsAhead = 16;  // long enough to hide a cache miss behind

  void wander_when_due();
  Turn choose_turn();
  void next_turn();
  bool make_room();
  Packet* make_packet();
  void begin_connection(Conversation& conversation, const GroupShape& shape);
  void begin_half_open(Conversation& conversation);
  void set_addresses(Conversation& conversation);

  const Profile& profile_;
  GeneratorOptions options_;
  base::Random random_;
  BlockPool pool_;
  GroupChoice groups_;
  PacketClock clock_;
  std::vector<Conversation> conversations_;
  std::uint64_t connections_begun_ = 0;
  std::int64_t next_drift_ns_;
  std::array<Turn, kTurnsAhead> turns_{};  // ring; turn_ is the one that sends
  std::size_t turn_ = 0;
  std::uint32_t turn_packets_left_ = 0;
  Block* block_ = nullptr;
  std::size_t packets_used_ = 0;  // of the block
  SourceStatistics statistics_;
};

}  // namespace evenkeel::source
