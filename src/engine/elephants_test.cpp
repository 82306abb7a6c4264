#include "engine/elephants.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace evenkeel::engine {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

// Shows a tracker samples of connection `id`, at a packet time that is also the clock's.
struct Herd {
  ElephantTracker tracker{{}, 0, kSecond / 10};
  std::uint64_t busy = 0;  // all of its time is that of the samples
  bool note(std::uint16_t id, std::uint64_t now, std::uint64_t bytes, std::uint64_t ticks) {
    Packet packet;
    packet.now_ns = static_cast<std::int64_t>(now);
    packet.key.low_port = {static_cast<std::uint8_t>(id >> 8), static_cast<std::uint8_t>(id)};
    std::uint64_t state = id;
    busy += ticks;
    return tracker.note(packet, base::splitmix64(state), 1, bytes, ticks, now, busy);
  }
};

TEST(Elephants, AGigabyteInTenSecondsIsNamedAndLessIsNot) {
  Herd herd;
  for (std::uint64_t second = 0; second < 60; ++second) {
    herd.note(1, second * kSecond, 101'000'000, 1000);
    herd.note(2, second * kSecond, 99'000'000, 1000);
  }
  const auto named = herd.tracker.named();
  ASSERT_EQ(named.size(), 1u);
  EXPECT_EQ(named[0].key.low_port[1], 1);
  EXPECT_EQ(named[0].bytes, 6'060'000'000u);
  EXPECT_EQ(named[0].packets, 60u);
}

TEST(Elephants, MoreThanHalfAWorkerIsNamedAndLessIsNot) {
  Herd herd;
  for (std::uint64_t now = 0; now < 20 * kSecond; now += kSecond / 100) {
    herd.note(1, now, 1, kSecond / 100 * 55 / 100);
    herd.note(2, now, 1, kSecond / 100 * 45 / 100);
  }
  const auto named = herd.tracker.named();
  ASSERT_EQ(named.size(), 1u);
  EXPECT_EQ(named[0].key.low_port[1], 1);
  EXPECT_NEAR(named[0].share_max, 0.55, 0.06);
}

TEST(Elephants, AShareIsNotToldOfTheFirstInstants) {
  Herd herd;
  EXPECT_FALSE(herd.note(1, kSecond / 1000, 1, kSecond / 1000));
  EXPECT_TRUE(herd.tracker.named().empty());
}

TEST(Elephants, OneAmongAHundredThousandMiceIsFound) {
  Herd herd;
  base::Random random(1);
  for (std::uint64_t now = 0; now < 20 * kSecond; now += kSecond / 10'000) {
    const bool elephant = random.below(10) == 0;  // a tenth of the samples
    herd.note(elephant ? 7 : static_cast<std::uint16_t>(8 + random.below(60'000)), now, 150'000, 1000);
  }
  const auto named = herd.tracker.named();
  ASSERT_EQ(named.size(), 1u);
  EXPECT_EQ(named[0].key.low_port[1], 7);
  EXPECT_NEAR(static_cast<double>(named[0].bytes), 0.1 * 200'000 * 150'000, 0.05 * 0.1 * 200'000 * 150'000);
}

TEST(Elephants, CountsWhatWasShedAndBypassed) {
  Herd herd;
  herd.note(1, kSecond, 2 * kSecond, 1);
  std::uint64_t state = 1;
  const std::uint64_t hash = base::splitmix64(state);
  for (int i = 0; i < 5; ++i) herd.tracker.note_shed(Packet{}, hash);
  herd.tracker.note_bypassed(hash);
  herd.tracker.note_shed(Packet{}, hash + 1);
  ASSERT_EQ(herd.tracker.named().size(), 1u);
  EXPECT_EQ(herd.tracker.named()[0].shed, 5u);
  EXPECT_EQ(herd.tracker.named()[0].bypassed, 1u);
}

// Fair queueing serves it no more than its share; what it asks for is what makes it an elephant.
TEST(Elephants, WhatIsShedOfAConnectionCountsAsAskedFor) {
  Herd herd;
  std::uint64_t state = 1;
  const std::uint64_t hash = base::splitmix64(state);
  for (std::uint64_t now = 0; now < 20 * kSecond; now += kSecond / 100) {
    herd.note(1, now, 1, kSecond / 100 * 20 / 100);
    for (std::uint16_t other = 2; other < 6; ++other) herd.note(other, now, 1, kSecond / 100 * 20 / 100);
    for (int i = 0; i < 9; ++i) herd.tracker.note_shed(Packet{}, hash);
  }
  const auto named = herd.tracker.named();
  ASSERT_EQ(named.size(), 1u);
  EXPECT_EQ(named[0].hash, hash);
  EXPECT_NEAR(named[0].share_max, 0.2, 0.05) << "what it took";
}

// The handler is a part of what a packet costs; the share is that of the worker's whole time.
TEST(Elephants, ASharesBasisIsTheTimeThatTheWorkerWasBusy) {
  Herd herd;
  for (std::uint64_t now = 0; now < 20 * kSecond; now += kSecond / 100) {
    herd.note(1, now, 1, 300);
    herd.note(2, now, 1, 100);
    herd.busy += kSecond / 100 * 8 / 10;
  }
  const auto named = herd.tracker.named();
  ASSERT_EQ(named.size(), 1u);
  EXPECT_NEAR(named[0].share_max, 0.6, 0.07) << "three quarters of 80 %";
}

TEST(Elephants, OneWhoseBucketMovesIsNamedOnceWithAllItsBytes) {
  Herd a, b;
  const auto bytes_of = [](const std::vector<Elephant>& named) {
    std::uint64_t sum = 0;
    for (const Elephant& one : named) sum += one.bytes;
    return sum;
  };
  for (std::uint64_t second = 0; second < 10; ++second) {
    Herd& owner = second % 2 == 0 ? a : b;
    Herd& next = second % 2 == 0 ? b : a;
    owner.note(1, second * kSecond, 101'000'000, 1000);
    owner.note(2, second * kSecond, 1'000, 1000);
    next.tracker.put(owner.tracker.take(0));
  }
  EXPECT_EQ(b.tracker.named().size(), 0u);
  ASSERT_EQ(a.tracker.named().size(), 1u);
  EXPECT_EQ(bytes_of(a.tracker.named()), 1'010'000'000u);
}

}  // namespace
}  // namespace evenkeel::engine
