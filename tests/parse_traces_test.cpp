// Real captures, walked with libpcap: every packet has a verdict, and connections are those that an
// independent tool found.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "packet/fragments.h"
#include "packet/hash.h"
#include "packet/parse.h"
#include "trace_support.h"

namespace evenkeel::packet {
namespace {

namespace fs = std::filesystem;
using tests::connection_name;
using tests::Connections;
using tests::Traffic;

void add_to(Connections& connections, const Packet& packet) {
  const bool counted = packet.key.protocol == 6 || packet.key.protocol == 17;
  if (!counted || (packet.flags & Packet::kLaterFragment) != 0) return;
  Traffic& traffic = connections[connection_name(packet.key)][packet.reversed() ? 1 : 0];
  ++traffic.frames;
  traffic.bytes += packet.wire_length;
}

void expect_same(const Connections& expected, const Connections& found) {
  for (const auto& [key, traffic] : expected) {
    const auto it = found.find(key);
    ASSERT_NE(it, found.end()) << key;
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(it->second[i].frames, traffic[i].frames) << key;
      EXPECT_EQ(it->second[i].bytes, traffic[i].bytes) << key;
    }
  }
  EXPECT_EQ(found.size(), expected.size());
}

TEST(ParseTraces, ConnectionsAreThoseOfTheGroundTruth) {
  const auto captures = tests::shared_captures("captures");
  if (captures.empty()) GTEST_SKIP() << "no captures in " EVENKEEL_SHARED_DIR "/traces";
  for (const fs::path& capture : captures) {
    SCOPED_TRACE(capture.filename().string());
    Connections connections;
    tests::walk_capture(capture, [&](Packet& packet) {
      if (parse(packet, {}).connection()) add_to(connections, packet);
    });
    expect_same(tests::ground_truth_of(capture), connections);
  }
}

struct Account {
  std::uint64_t connection = 0, malformed = 0, unclassified = 0, orphan = 0;
  std::uint64_t sum() const { return connection + malformed + unclassified + orphan; }
};

// A dispatcher without workers: parses, brings fragments together, hashes, and counts everything once.
class Accountant {
 public:
  Accountant(const ParseOptions& options, const Hasher& hasher) : options_(options), hasher_(hasher) {}

  void take(Packet& packet) {
    now_ns_ = std::max(now_ns_, packet.now_ns);
    packet.now_ns = now_ns_;
    const ParseResult result = parse(packet, options_);
    if (result.verdict() == Verdict::kMalformed) ++account_.malformed;
    if (result.verdict() == Verdict::kUnclassified) ++account_.unclassified;
    if (!result.connection()) return;
    check_fields(packet);
    if (result.fragments_count != 0 && tracker_.offer(packet, result) != FragmentFate::kGoesOn) return;
    while (Packet* released = tracker_.take_released()) {
      ++account_.connection;
      released->block->release(1);
    }
    const std::array<Packet*, 1> batch = {&packet};
    hasher_.hash(batch);
    ++account_.connection;
  }

  Account finish() {
    tracker_.give_up_all();
    account_.orphan = tracker_.statistics().orphans;
    return account_;
  }

 private:
  static void check_fields(const Packet& packet) {
    ASSERT_LE(packet.network_offset + packet.ip_octets, packet.wire_length);
    ASSERT_LT(packet.network_offset, packet.captured_length);
    ASSERT_LT(packet.transport_offset, packet.captured_length);
    if ((packet.flags & Packet::kTcpHeader) != 0) {
      ASSERT_LE(packet.transport_offset + 20u, packet.captured_length);
    }
    ASSERT_TRUE(packet.key.ip_version == 4 || packet.key.ip_version == 6);
  }

  ParseOptions options_;
  const Hasher& hasher_;
  FragmentTracker tracker_{{}, 1};
  Account account_;
  std::int64_t now_ns_ = 0;
};

TEST(ParseTraces, EveryPacketOfEveryCaptureIsAccountedForOnce) {
  const Hasher hasher = *Hasher::make("toeplitz", "standard");
  std::uint64_t total = 0;
  Account all;
  for (const char* folder : {"captures", "malformed"}) {
    for (const fs::path& capture : tests::shared_captures(folder)) {
      for (const bool inner_tunnel : {false, true}) {
        Accountant accountant({.inner_tunnel = inner_tunnel}, hasher);
        const std::uint64_t packets =
            tests::walk_capture(capture, [&](Packet& packet) { accountant.take(packet); });
        const Account account = accountant.finish();
        EXPECT_EQ(account.sum(), packets) << capture;
        total += packets;
        all.connection += account.connection;
        all.malformed += account.malformed;
      }
    }
  }
  if (total == 0) GTEST_SKIP() << "no captures in " EVENKEEL_SHARED_DIR "/traces";
  EXPECT_GT(all.connection, 0u);
  EXPECT_GT(all.malformed, 0u);
}

}  // namespace
}  // namespace evenkeel::packet
