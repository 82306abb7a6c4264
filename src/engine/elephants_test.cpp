#include "engine/elephants.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace evenkeel::engine {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

// Shows a tracker samples of connection `id`, at a packet time that is also the clock's.
struct Herd {
  ElephantTracker tracker{{}, 0, kSecond / 10};
  bool note(std::uint16_t id, std::uint64_t now, std::uint64_t bytes, std::uint64_t ticks) {
    Packet packet;
    packet.now_ns = static_cast<std::int64_t>(now);
    packet.key.low_port = {static_cast<std::uint8_t>(id >> 8), static_cast<std::uint8_t>(id)};
    std::uint64_t state = id;
    return tracker.note(packet, base::splitmix64(state), 1, bytes, ticks, now);
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
  for (int i = 0; i < 5; ++i) herd.tracker.note_shed(hash);
  herd.tracker.note_bypassed(hash);
  herd.tracker.note_shed(hash + 1);
  ASSERT_EQ(herd.tracker.named().size(), 1u);
  EXPECT_EQ(herd.tracker.named()[0].shed, 5u);
  EXPECT_EQ(herd.tracker.named()[0].bypassed, 1u);
}

}  // namespace
}  // namespace evenkeel::engine
