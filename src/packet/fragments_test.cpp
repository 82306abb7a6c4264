#include "packet/fragments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <string>

#include "base/random.h"
#include "packet_builder.h"

namespace evenkeel::packet {
namespace {

using tests::PacketBuilder;
using tests::TestPacket;

constexpr std::int64_t kSecond = 1'000'000'000;

std::vector<TestPacket> datagram(std::uint16_t source_port, std::uint32_t identification,
                                 std::size_t parts = 3) {
  const TestPacket whole =
      PacketBuilder().ipv4("10.0.0.9", "10.0.0.2").udp(source_port, 53).payload(parts * 64 - 8).build();
  return tests::fragments_of(whole, 64, identification);
}

// What went on, in order: "port of the connection/offset of the part".
using Trail = std::vector<std::string>;

// Plays a dispatcher and its workers: offers packets, takes what is let go, and releases it when told.
class Player {
 public:
  explicit Player(const FragmentLimits& limits = {}, bool inner_tunnel = false)
      : tracker(limits, 1), options_{.inner_tunnel = inner_tunnel} {}
  ~Player() { release_all(); }

  FragmentFate play(const TestPacket& test, std::int64_t now_ns = 0) {
    TestPacket copy = test;  // gone after this call, as a source's memory may be
    Packet packet = tests::descriptor_of(copy);
    packet.now_ns = now_ns;
    packet.sequence = sequence_++;
    const ParseResult parsed = parse(packet, options_);
    EXPECT_TRUE(parsed.connection());
    EXPECT_GT(parsed.fragments_count, 0);
    const FragmentFate fate = tracker.offer(packet, parsed);
    if (fate != FragmentFate::kGoesOn) return fate;
    while (Packet* released = tracker.take_released()) {
      note(*released);
      EXPECT_EQ(released->sequence, packet.sequence);
      with_workers_.push_back(released);
    }
    note(packet);
    return fate;
  }

  void release_one() {
    with_workers_.front()->block->release(1);
    with_workers_.pop_front();
  }
  void release_all() {
    while (!with_workers_.empty()) release_one();
  }
  std::size_t with_workers() const { return with_workers_.size(); }

  FragmentTracker tracker;
  Trail trail;

 private:
  void note(const Packet& packet) {
    const auto& port = packet.reversed() ? packet.key.high_port : packet.key.low_port;
    const std::size_t at = packet.network_offset;
    const int offset = ((packet.data[at + 6] & 0x1f) << 8 | packet.data[at + 7]) * 8;
    trail.push_back(std::to_string(port[0] << 8 | port[1]) + "/" + std::to_string(offset));
  }

  ParseOptions options_;
  std::uint64_t sequence_ = 0;
  std::deque<Packet*> with_workers_;
};

TEST(Fragments, LaterPartsFollowTheFirst) {
  Player player;
  for (const TestPacket& part : datagram(7, 1)) EXPECT_EQ(player.play(part), FragmentFate::kGoesOn);
  EXPECT_EQ(player.trail, (Trail{"7/0", "7/64", "7/128"}));
  EXPECT_EQ(player.tracker.statistics().followed, 2u);
}

TEST(Fragments, LaterPartsThatComeFirstAreHeldAndLetGoRightBeforeTheFirst) {
  Player player;
  const auto parts = datagram(7, 1);
  EXPECT_EQ(player.play(parts[2]), FragmentFate::kHeld);
  EXPECT_EQ(player.play(parts[1]), FragmentFate::kHeld);
  EXPECT_TRUE(player.trail.empty());
  EXPECT_EQ(player.play(parts[0]), FragmentFate::kGoesOn);
  EXPECT_EQ(player.trail, (Trail{"7/128", "7/64", "7/0"}));
  EXPECT_EQ(player.tracker.statistics().held, 2u);
  EXPECT_EQ(player.tracker.statistics().orphans, 0u);
}

TEST(Fragments, DatagramsAreToldApartByAddressesProtocolAndIdentification) {
  Player player;
  const auto one = datagram(7, 1), two = datagram(8, 2);
  const TestPacket back_whole = PacketBuilder().ipv4("10.0.0.2", "10.0.0.9").udp(9, 53).payload(184).build();
  const auto back = tests::fragments_of(back_whole, 64, 1);
  for (const auto& packet : {one[0], two[0], back[0], two[1], one[1], back[1]}) player.play(packet);
  EXPECT_EQ(player.trail, (Trail{"7/0", "8/0", "9/0", "8/64", "7/64", "9/64"}));
}

TEST(Fragments, Ipv6PartsFollowTheFirstToo) {
  const TestPacket whole = PacketBuilder().ipv6("::9", "::2").udp(7, 53).payload(184).build();
  const auto parts = tests::fragments_of(whole, 64, 77);
  Player player;
  EXPECT_EQ(player.play(parts[1]), FragmentFate::kHeld);
  EXPECT_EQ(player.play(parts[0]), FragmentFate::kGoesOn);
  EXPECT_EQ(player.play(parts[2]), FragmentFate::kGoesOn);
  EXPECT_EQ(player.trail.size(), 3u);
}

TEST(Fragments, AHeldPartIsAnOrphanWhenItsTimeIsOver) {
  Player player;
  const auto parts = datagram(7, 1);
  player.play(parts[1], 0);
  player.tracker.expire(30 * kSecond - 1);
  EXPECT_EQ(player.tracker.statistics().orphans, 0u);
  player.tracker.expire(30 * kSecond);
  EXPECT_EQ(player.tracker.statistics().orphans, 1u);
  EXPECT_EQ(player.play(parts[0], 30 * kSecond), FragmentFate::kGoesOn);
  EXPECT_EQ(player.trail, (Trail{"7/0"}));
}

TEST(Fragments, ALaterPartDoesNotFollowAFirstOfLongAgo) {
  Player player;
  const auto parts = datagram(7, 1);
  player.play(parts[0], 0);
  EXPECT_EQ(player.play(parts[1], 30 * kSecond), FragmentFate::kHeld);
}

TEST(Fragments, AnIdentificationUsedAgainBelongsToItsNextFirstPart) {
  Player player;
  const auto old = datagram(7, 1), fresh = datagram(8, 1);
  for (const auto& packet : {old[0], old[1], fresh[0], fresh[1]}) player.play(packet);
  EXPECT_EQ(player.trail, (Trail{"7/0", "7/64", "8/0", "8/64"}));
}

TEST(Fragments, PartsCapturedTwiceAllFollow) {
  Player player;
  const auto parts = datagram(7, 1);
  for (const auto& packet : {parts[1], parts[1], parts[0], parts[0], parts[2], parts[2]}) player.play(packet);
  EXPECT_EQ(player.trail, (Trail{"7/64", "7/64", "7/0", "7/0", "7/128", "7/128"}));
}

TEST(Fragments, AFloodMakesOrphansOfTheOldestAndKeepsTheYoungest) {
  Player player({.held_max = 4});
  for (std::uint32_t id = 1; id <= 6; ++id) player.play(datagram(7, id)[1]);
  EXPECT_EQ(player.tracker.statistics().orphans, 2u);
  for (std::uint32_t id = 1; id <= 6; ++id) player.play(datagram(7, id)[0]);
  EXPECT_EQ(player.trail, (Trail{"7/0", "7/0", "7/64", "7/0", "7/64", "7/0", "7/64", "7/0", "7/64", "7/0"}));
}

TEST(Fragments, HeldBytesAreBounded) {
  const std::uint32_t size = static_cast<std::uint32_t>(datagram(7, 1)[1].bytes.size());
  Player player({.held_bytes_max = 2 * size + 10});
  for (std::uint32_t id = 1; id <= 5; ++id) EXPECT_EQ(player.play(datagram(7, id)[1]), FragmentFate::kHeld);
  EXPECT_EQ(player.tracker.statistics().orphans, 3u);
  Player tiny({.held_bytes_max = size - 1});
  EXPECT_EQ(tiny.play(datagram(7, 1)[1]), FragmentFate::kOrphan);
  EXPECT_EQ(tiny.tracker.statistics().orphans, 1u);
}

TEST(Fragments, DatagramsAreBounded) {
  Player player({.datagrams_max = 2});
  for (std::uint32_t id = 1; id <= 3; ++id) player.play(datagram(7, id)[0]);
  EXPECT_EQ(player.play(datagram(7, 1)[1]), FragmentFate::kHeld) << "the oldest was forgotten";
  EXPECT_EQ(player.play(datagram(7, 3)[1]), FragmentFate::kGoesOn);
}

TEST(Fragments, WaitsForWorkersRatherThanChangingItsMind) {
  Player player({.held_max = 2});
  player.play(datagram(7, 1)[1]);
  player.play(datagram(7, 2)[1]);
  player.play(datagram(7, 1)[0]);
  player.play(datagram(7, 2)[0]);  // both are with workers now
  EXPECT_EQ(player.play(datagram(7, 3)[1]), FragmentFate::kWait);
  player.release_one();
  EXPECT_EQ(player.play(datagram(7, 3)[1]), FragmentFate::kHeld);
  EXPECT_EQ(player.tracker.statistics().orphans, 0u);
}

TEST(Fragments, WhatIsStillHeldAtTheEndIsCounted) {
  Player player;
  player.play(datagram(7, 1)[1]);
  player.play(datagram(7, 1)[2]);
  player.tracker.give_up_all();
  EXPECT_EQ(player.tracker.statistics().orphans, 2u);
}

// A fragmented datagram in a tunnel that is fragmented itself: the later parts of the tunnel's datagram wait
// for its first part, which waits for the first part of the datagram inside.
TEST(Fragments, FragmentsInsideFragmentsAreLetGoTogether) {
  const TestPacket inside =
      PacketBuilder(LinkType::kRawIp).ipv4("10.0.0.9", "10.0.0.2").udp(7, 53).payload(376).build();
  const auto inner = tests::fragments_of(inside, 192, 5);
  const auto in_tunnel = [](const TestPacket& packet) {
    return PacketBuilder().ipv4("192.0.2.1", "192.0.2.2").protocol(4).payload(packet.bytes).build();
  };
  const auto outer = tests::fragments_of(in_tunnel(inner[1]), 112, 6);
  Player player({}, true);
  EXPECT_EQ(player.play(outer[1]), FragmentFate::kHeld);
  EXPECT_EQ(player.play(outer[0]), FragmentFate::kHeld);
  TestPacket whole_first = in_tunnel(inner[0]);
  EXPECT_EQ(player.play(whole_first), FragmentFate::kGoesOn);
  EXPECT_EQ(player.trail.size(), 3u);
  for (const std::string& step : player.trail) EXPECT_EQ(step.substr(0, 2), "7/") << step;
}

struct Outcome {
  Trail trail;
  std::uint64_t orphans = 0;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// Parts of many datagrams in random order, some lost, some twice, identifications used again; workers
// release at their own pace (worker_seed).
Outcome play_at_random(std::uint64_t seed, std::uint64_t worker_seed) {
  base::Random random(seed), worker(worker_seed);
  Player player({.datagrams_max = 32, .held_max = 16, .held_bytes_max = 2'000});
  std::int64_t now_ns = 0;
  std::uint64_t offered = 0;
  for (int i = 0; i < 2'000; ++i) {
    const auto connection = static_cast<std::uint32_t>(random.below(40));
    const auto parts =
        datagram(static_cast<std::uint16_t>(1'000 + connection), connection, 2 + connection % 3);
    now_ns += static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(kSecond)));
    const TestPacket& part = parts[random.below(parts.size())];
    while (player.play(part, now_ns) == FragmentFate::kWait) player.release_one();
    ++offered;
    while (player.with_workers() > 0 && worker.below(2) == 0) player.release_one();
  }
  player.tracker.give_up_all();
  EXPECT_EQ(player.trail.size() + player.tracker.statistics().orphans, offered) << "seed " << seed;
  return {player.trail, player.tracker.statistics().orphans};
}

TEST(Fragments, EveryPartGoesOnOnceOrIsAnOrphanWhateverThePaceOfWorkers) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Outcome expected = play_at_random(seed, 1);
    EXPECT_GT(expected.orphans, 0u);
    EXPECT_EQ(play_at_random(seed, 2), expected) << "seed " << seed;
  }
}

}  // namespace
}  // namespace evenkeel::packet
