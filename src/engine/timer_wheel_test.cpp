#include "engine/timer_wheel.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "engine/timer_test_support.h"

namespace evenkeel::engine {
namespace {

using testing::ManualClock;
using testing::ManualTick;
using testing::ModelledWheel;
using testing::StateArray;
using Wheel = TimerWheel<ManualClock>;

constexpr std::uint64_t kDay = std::uint64_t{24} * 3600 * 1000;  // in ticks of a millisecond
constexpr std::uint64_t kWindow = std::uint64_t{1} << 23;

static_assert(sizeof(Wheel) <= 128, "an empty bucket's wheel is small");

// Delays near the borders of levels, windows and range, and anything between.
std::uint64_t border_delay(base::Random& random) {
  static constexpr std::uint64_t kBorders[] = {0, 64, 64 * 64, 64 * 64 * 64, kWindow, 49 * kDay};
  const std::uint64_t border = kBorders[random.below(std::size(kBorders))];
  const std::uint64_t spread = random.below(2) == 0 ? 3 : 1 + border;
  const std::uint64_t offset = random.below(2 * spread);
  return border + offset < spread ? 0 : border + offset - spread;
}

TEST(TimerWheel, AnEmptyWheelIsNeverDue) {
  ModelledWheel modelled(1);
  EXPECT_EQ(modelled.wheel.next_due(), kNever<ManualClock>);
  modelled.advance(1000);
  EXPECT_EQ(modelled.wheel.next_due(), kNever<ManualClock>);
}

TEST(TimerWheel, FiresAtItsTickAndNotBefore) {
  ModelledWheel modelled(1);
  modelled.start({0, 0}, 10);
  modelled.advance(9);
  EXPECT_EQ(modelled.fired, 0u);
  modelled.advance(1);
  EXPECT_EQ(modelled.fired, 1u);
}

TEST(TimerWheel, ADelayOfZeroFiresAtTheNextTick) {
  ModelledWheel modelled(1);
  modelled.advance(5);
  modelled.start({0, 0}, 0);
  modelled.advance(1);
  EXPECT_EQ(modelled.fired, 1u);
}

// A wheel with `filler` timers besides uses levels instead of the flat list.
void expect_exact_at_every_carry(std::uint32_t filler) {
  static constexpr std::uint64_t kBorders[] = {64,      64 * 64,     64 * 64 * 64,
                                               kWindow, 2 * kWindow, 64 * 64 * 64 * 64};
  for (const std::uint64_t begin : kBorders) {
    for (const std::uint64_t span : kBorders) {
      for (std::uint64_t before = 0; before < 3; ++before) {
        ModelledWheel modelled(filler + 3, 1, begin - before);
        for (std::uint32_t i = 0; i < filler; ++i) modelled.start({3 + i, 0}, 60 * kDay);
        for (std::uint32_t i = 0; i < 3; ++i) modelled.start({i, 0}, span - 1 + i);
        modelled.advance(span - 2);
        ASSERT_EQ(modelled.fired, 0u);
        for (std::uint64_t i = 1; i <= 3; ++i) {
          modelled.advance(1);
          ASSERT_EQ(modelled.fired, i) << "begin " << begin << " - " << before << ", span " << span;
        }
      }
    }
  }
}

TEST(TimerWheel, EveryCarryOverBetweenLevelsIsExact) { expect_exact_at_every_carry(40); }
TEST(TimerWheel, AFlatWheelIsExactAtTheSameBorders) { expect_exact_at_every_carry(0); }

TEST(TimerWheel, EveryDelayOfTwoTurnsIsExactFromEveryPosition) {
  for (std::uint64_t begin = 0; begin < 130; ++begin) {
    ModelledWheel modelled(200, 1, begin);
    for (std::uint32_t delay = 1; delay <= 200; ++delay) modelled.start({delay - 1, 0}, delay);
    for (std::uint64_t tick = 1; tick <= 200; ++tick) {
      modelled.advance(1);
      ASSERT_EQ(modelled.fired, tick);
    }
  }
}

TEST(TimerWheel, DelaysOf49DaysAreExact) {
  ModelledWheel modelled(100);
  for (std::uint32_t slot = 0; slot < 100; ++slot) modelled.start({slot, 0}, 49 * kDay + slot);
  modelled.advance(49 * kDay - 1);
  EXPECT_EQ(modelled.fired, 0u);
  for (std::uint64_t tick = 0; tick < 100; ++tick) {
    modelled.advance(1);
    ASSERT_EQ(modelled.fired, tick + 1);
  }
}

TEST(TimerWheel, ADelayBeyondItsRangeIsRefusedAndChangesNothing) {
  ModelledWheel modelled(2);
  modelled.start({0, 0}, 10);
  EXPECT_EQ(modelled.wheel.start(modelled.chunks, modelled.states, {0, 0}, ManualTick{0},
                                 ManualTick{2 * Wheel::kRange}),
            TimerStart::kTooFar);
  EXPECT_EQ(modelled.wheel.start(modelled.chunks, modelled.states, {1, 0}, ManualTick{0},
                                 ManualTick{Wheel::kRange}),
            TimerStart::kStarted);
  modelled.model[{1, 0}] = Wheel::kRange;
  modelled.advance(10);
  EXPECT_EQ(modelled.fired, 1u);
}

TEST(TimerWheel, ReArmingToALaterTimeFiresOnceAndThen) {
  ModelledWheel modelled(1);
  modelled.start({0, 0}, 10);
  for (int i = 0; i < 100; ++i) {
    modelled.advance(9);
    modelled.start({0, 0}, 10);
  }
  EXPECT_EQ(modelled.fired, 0u);
  EXPECT_EQ(modelled.wheel.entries(), 1u);
  modelled.advance(10);
  EXPECT_EQ(modelled.fired, 1u);
}

TEST(TimerWheel, ReArmingToAnEarlierTimeFiresOnceAndThen) {
  for (const std::uint32_t slots : {1u, 50u}) {
    ModelledWheel modelled(slots);
    for (std::uint32_t slot = 0; slot < slots; ++slot) modelled.start({slot, 0}, 1'000'000);
    for (std::uint32_t slot = 0; slot < slots; ++slot) modelled.start({slot, 0}, 100);
    modelled.advance(99);
    EXPECT_EQ(modelled.fired, 0u);
    modelled.advance(1);
    EXPECT_EQ(modelled.fired, slots);
    modelled.advance(2'000'000);
    EXPECT_EQ(modelled.fired, slots);
  }
}

TEST(TimerWheel, ACancelledTimerDoesNotFireAndCanBeStartedAgain) {
  ModelledWheel modelled(1);
  modelled.start({0, 0}, 10);
  modelled.cancel({0, 0});
  modelled.advance(5);
  modelled.start({0, 0}, 20);
  modelled.cancel({0, 0});
  modelled.start({0, 0}, 2);
  modelled.advance(2);
  EXPECT_EQ(modelled.fired, 1u);
  modelled.advance(100);
  EXPECT_EQ(modelled.fired, 1u);
}

TEST(TimerWheel, ASlotThatIsUsedAgainIsNotFiredByItsOldTimer) {
  ModelledWheel modelled(1);
  modelled.start({0, 0}, 10);
  modelled.clear({0, 0});
  modelled.start({0, 0}, 15);
  modelled.advance(14);
  EXPECT_EQ(modelled.fired, 0u);
  modelled.advance(1);
  EXPECT_EQ(modelled.fired, 1u);
}

TEST(TimerWheel, KindsOfOneConnectionAreIndependent) {
  ModelledWheel modelled(3, kTimerKindsMax);
  for (std::uint32_t slot = 0; slot < 3; ++slot) {
    for (TimerKind kind = 0; kind < kTimerKindsMax; ++kind) modelled.start({slot, kind}, 10 + slot + kind);
  }
  modelled.cancel({1, 5});
  modelled.advance(5);
  modelled.start({2, 7}, 100);
  modelled.advance(95);
  EXPECT_EQ(modelled.fired, 3u * kTimerKindsMax - 2);
}

TEST(TimerWheel, ACallbackMayReArmItsTimerAndOthers) {
  for (const std::uint32_t slots : {4u, 100u}) {
    ModelledWheel modelled(slots);
    for (std::uint32_t slot = 0; slot < slots; ++slot) modelled.start({slot, 0}, 10);
    modelled.on_fire = [&](TimerName name) {
      modelled.start(name, name.slot % 3);
      modelled.start({(name.slot + 1) % slots, 0}, 1 + name.slot % 200);
    };
    for (int i = 0; i < 500; ++i) modelled.advance(1, 7);
    EXPECT_EQ(modelled.armed(), slots);
    EXPECT_GT(modelled.fired, slots);
  }
}

TEST(TimerWheel, ACallbackMayCancelATimerThatIsDueInTheSameTick) {
  ModelledWheel modelled(100);
  for (std::uint32_t slot = 0; slot < 100; ++slot) modelled.start({slot, 0}, 10);
  modelled.on_fire = [&](TimerName name) { modelled.cancel({name.slot ^ 1u, 0}); };
  modelled.advance(10);
  EXPECT_EQ(modelled.fired, 50u);
}

TEST(TimerWheel, AClockThatJumpsForwardFiresEverythingOnceInTickOrder) {
  ModelledWheel modelled(1000);
  base::Random random(3);
  for (std::uint32_t slot = 0; slot < 1000; ++slot) modelled.start({slot, 0}, 1 + random.below(10 * kDay));
  std::uint64_t last = 0;
  std::uint64_t budget_left = 0;
  modelled.now = modelled.now + 400 * kDay;
  while (budget_left == 0) {
    std::uint32_t budget = 10;
    modelled.wheel.advance(modelled.chunks, modelled.states, modelled.now, budget,
                           [&](TimerName, ManualTick deadline) {
                             EXPECT_LE(last, deadline.value);
                             last = deadline.value;
                             ++modelled.fired;
                           });
    budget_left = budget;
  }
  EXPECT_EQ(modelled.fired, 1000u);
}

TEST(TimerWheel, StartingWhileItLagsBehindAJumpIsNeitherEarlyNorLost) {
  ModelledWheel modelled(100);
  for (std::uint32_t slot = 0; slot < 99; ++slot) modelled.start({slot, 0}, 1 + slot * kDay / 2);
  modelled.now = modelled.now + 49 * kDay;
  modelled.start({99, 0}, 49 * kDay);
  modelled.advance(0, 3);
  EXPECT_EQ(modelled.fired, 98u);
  modelled.advance(49 * kDay - 1, 3);
  EXPECT_EQ(modelled.fired, 99u);
  modelled.advance(1);
  EXPECT_EQ(modelled.fired, 100u);
}

TEST(TimerWheel, AClockThatRunsBackFiresNothingAndLosesNothing) {
  ModelledWheel modelled(1);
  modelled.advance(1000);
  modelled.start({0, 0}, 100);
  modelled.now = ManualTick{500};
  std::uint32_t budget = 10;
  EXPECT_TRUE(modelled.wheel.advance(modelled.chunks, modelled.states, modelled.now, budget,
                                     [](TimerName, ManualTick) { FAIL(); }));
  modelled.now = ManualTick{1100};
  modelled.advance(0);
  EXPECT_EQ(modelled.fired, 1u);
}

TEST(TimerWheel, ASliceLooksAtNoMoreThanItsBudget) {
  constexpr std::uint32_t kTimers = 1'000'000;
  ModelledWheel modelled(kTimers);
  for (std::uint32_t slot = 0; slot < kTimers; ++slot) {
    modelled.wheel.start(modelled.chunks, modelled.states, {slot, 0}, modelled.now, ManualTick{1000});
  }
  std::uint64_t fired = 0;
  std::uint64_t slices = 0;
  for (bool done = false; !done; ++slices) {
    std::uint32_t budget = 256;
    std::uint64_t fired_now = 0;
    done = modelled.wheel.advance(modelled.chunks, modelled.states, ManualTick{1000}, budget,
                                  [&](TimerName, ManualTick) { ++fired_now; });
    ASSERT_LE(fired_now, 256u);
    fired += fired_now;
  }
  EXPECT_EQ(fired, kTimers);
  // Each was looked at 3 times at most: in levels 2, 1 and 0.
  EXPECT_LE(slices, 3 * kTimers / 256 + 2);
}

TEST(TimerWheel, EmptySpansAreSkippedByBitmaps) {
  ModelledWheel modelled(50);
  for (std::uint32_t slot = 0; slot < 50; ++slot) modelled.start({slot, 0}, kWindow - 1);
  // 8 million ticks: visiting each, or moving entries more than once a level, would spend more than this.
  modelled.now = modelled.now + kWindow;
  std::uint32_t budget = 5 * 50;
  EXPECT_TRUE(modelled.wheel.advance(modelled.chunks, modelled.states, modelled.now, budget,
                                     [](TimerName, ManualTick) {}));
}

TEST(TimerWheel, ReArmingToEarlierTimesLeavesNothingBehind) {
  constexpr std::uint32_t kTimers = 1000;
  ModelledWheel modelled(kTimers);
  base::Random random(11);
  for (std::uint32_t slot = 0; slot < kTimers; ++slot) modelled.start({slot, 0}, kWindow);
  for (int round = 0; round < 100'000; ++round) {
    // Far, then near, then far again once the near entry was looked at.
    const auto slot = static_cast<std::uint32_t>(random.below(round % 2 == 0 ? 1 : kTimers));
    modelled.start({slot, 0}, 1 + random.below(100));
    modelled.start({slot, 0}, kWindow - random.below(1000));
    if (round % 16 != 0) continue;
    std::uint32_t budget = ~std::uint32_t{0};
    modelled.now = modelled.now + 1;
    modelled.wheel.advance(modelled.chunks, modelled.states, modelled.now, budget,
                           [](TimerName, ManualTick) { FAIL() << "all are far"; });
    ASSERT_EQ(modelled.wheel.entries(), kTimers);
  }
  // Near ones have a chunk each at worst, 100 of them, and parts of levels; far ones share.
  EXPECT_LE(modelled.chunks.in_use(), 4 * 64 + 16 + kTimers / 7);
}

TEST(TimerWheel, ARemovedTimerIsNeverLookedAtAgain) {
  ModelledWheel modelled(200, 2);
  base::Random random(12);
  for (std::uint32_t slot = 0; slot < 200; ++slot) modelled.start({slot, 0}, 1 + random.below(10'000));
  for (std::uint32_t slot = 0; slot < 200; ++slot) modelled.start({slot, 1}, 1 + random.below(10'000));
  modelled.advance(100, 3);
  for (std::uint32_t slot = 0; slot < 200; ++slot) {
    modelled.clear({slot, 0});
    modelled.clear({slot, 1});
  }
  EXPECT_EQ(modelled.wheel.entries(), 0u);
  EXPECT_EQ(modelled.chunks.in_use(), 0);
}

TEST(TimerWheel, MillionTimersTakeAtMost16BytesEach) {
  constexpr std::uint32_t kTimers = 1'000'000;
  ModelledWheel modelled(kTimers);
  base::Random random(5);
  for (std::uint32_t slot = 0; slot < kTimers; ++slot) {
    modelled.wheel.start(modelled.chunks, modelled.states, {slot, 0}, ManualTick{0},
                         ManualTick{1 + random.below(60'000)});
  }
  EXPECT_LE(static_cast<double>(modelled.arena->touched()) * sizeof(TimerChunk) / kTimers, 16.0);
}

TEST(TimerWheel, WithoutMemoryStartIsRefusedAndTimersAreLateButNotLost) {
  const auto arena = TimerArena::make_of_chunks(20'000, 1).value();
  TimerChunkCache chunks(*arena);
  std::vector<ChunkIndex> held;
  for (std::uint32_t i = 0; i < 19'800; ++i) held.push_back(chunks.take());
  StateArray states(4000);
  Wheel wheel;
  base::Random random(6);
  std::vector<std::uint64_t> deadlines(4000, 0);
  std::uint32_t refused = 0;
  for (std::uint32_t slot = 0; slot < 4000; ++slot) {
    // So many in a slot of the third level that they must be spread over slots below, which takes memory.
    deadlines[slot] = 8192 + random.below(30'000);
    if (wheel.start(chunks, states, {slot, 0}, ManualTick{0}, ManualTick{deadlines[slot]}) ==
        TimerStart::kStarted) {
      continue;
    }
    deadlines[slot] = 0;
    ++refused;
  }
  EXPECT_GT(refused, 0u);
  std::uint32_t fired = 0, stopped = 0;
  for (std::uint64_t tick = 0; tick <= 100'000; tick += 10) {
    std::uint32_t budget = ~std::uint32_t{0};
    const bool done =
        wheel.advance(chunks, states, ManualTick{tick}, budget, [&](TimerName name, ManualTick deadline) {
          EXPECT_EQ(deadlines[name.slot], deadline.value);
          EXPECT_LE(deadline.value, tick);
          deadlines[name.slot] = 0;
          ++fired;
        });
    stopped += done ? 0 : 1;
    EXPECT_EQ(done, wheel.next_due().value > tick) << "it stopped and does not say so";
    if (tick != 50'000) continue;
    for (const ChunkIndex chunk : held) chunks.give_back(chunk);
  }
  EXPECT_GT(stopped, 0u) << "there was memory enough";
  EXPECT_EQ(fired, 4000 - refused);
  EXPECT_EQ(chunks.in_use(), 0);
}

// 1,000 timers over a minute: slots of 65 timers that become runs, from which timers are taken and to which
// others come in between.
TEST(TimerWheel, ARunFromWhichTimersAreTakenLosesNone) {
  ModelledWheel modelled(1000);
  base::Random random(21);
  for (std::uint32_t slot = 0; slot < 1000; ++slot) modelled.start({slot, 0}, 1 + random.below(60'000));
  for (int tick = 0; tick < 120'000; ++tick) {
    modelled.advance(1, 1 + static_cast<std::uint32_t>(random.below(8)));
    const TimerName name{static_cast<std::uint32_t>(random.below(1000)), 0};
    switch (random.below(20)) {
      case 0:
        modelled.clear(name);
        break;
      case 1:
        modelled.cancel(name);
        break;
      case 2:
        modelled.start(name, 1 + random.below(100));
        break;
      case 3:
        modelled.start(name, 1 + random.below(60'000));
    }
    if (HasFailure()) return;
  }
  modelled.advance(60'000, 5);
  EXPECT_EQ(modelled.armed(), 0u);
  EXPECT_EQ(modelled.chunks.in_use(), 0);
}

TEST(TimerWheel, AWheelThatIsEmptyAgainHoldsNoChunk) {
  ModelledWheel modelled(1000);
  base::Random random(9);
  for (int round = 0; round < 3; ++round) {
    for (std::uint32_t slot = 0; slot < 1000; ++slot) modelled.start({slot, 0}, 1 + random.below(100'000));
    modelled.advance(100'000);
    EXPECT_EQ(modelled.armed(), 0u);
    EXPECT_EQ(modelled.chunks.in_use(), 0);
  }
}

TEST(TimerWheel, MovesBetweenWorkersThatEachUseTheirOwnCache) {
  const auto arena = TimerArena::make({.timers = 20'000, .buckets = 1, .workers = 2}).value();
  TimerChunkCache caches[] = {TimerChunkCache(*arena), TimerChunkCache(*arena)};
  StateArray states(20'000);
  Wheel wheel;
  base::Random random(4);
  for (std::uint32_t slot = 0; slot < 20'000; ++slot) {
    wheel.start(caches[slot % 2], states, {slot, 0}, ManualTick{0}, ManualTick{1 + random.below(50'000)});
  }
  std::uint32_t fired = 0;
  for (std::uint64_t tick = 1; tick <= 50'000; ++tick) {
    std::uint32_t budget = 3;  // stop in the midst of lists, too
    wheel.advance(caches[tick / 100 % 2], states, ManualTick{tick}, budget,
                  [&](TimerName, ManualTick deadline) { fired += deadline.value <= tick ? 1 : 0; });
  }
  std::uint32_t budget = ~std::uint32_t{0};
  wheel.advance(caches[0], states, ManualTick{50'000}, budget, [&](TimerName, ManualTick) { ++fired; });
  EXPECT_EQ(fired, 20'000u);
  EXPECT_EQ(caches[0].in_use() + caches[1].in_use(), 0);
}

// One random life of a wheel. Everything follows from the seed, which RapidCheck prints and shrinks around.
void live_randomly(std::uint64_t seed, std::uint32_t slots, int steps) {
  base::Random random(seed);
  ModelledWheel modelled(slots, 2, random.below(std::uint64_t{1} << 40));
  bool nested = false;
  modelled.on_fire = [&](TimerName name) {
    if (nested || random.below(3) != 0) return;
    nested = true;
    const TimerName other{static_cast<std::uint32_t>(random.below(slots)), name.kind};
    random.below(2) == 0 ? modelled.start(other, border_delay(random)) : modelled.cancel(other);
    if (random.below(4) == 0) modelled.start(name, border_delay(random));
    nested = false;
  };
  for (int step = 0; step < steps; ++step) {
    const TimerName name{static_cast<std::uint32_t>(random.below(slots)),
                         static_cast<TimerKind>(random.below(2))};
    switch (random.below(10)) {
      default:
        modelled.start(name, border_delay(random));
        break;
      case 6:
        modelled.cancel(name);
        break;
      case 7:
        modelled.clear(name);
        break;
      case 8:
        modelled.now = modelled.now + random.below(100);
        modelled.serve(static_cast<std::uint32_t>(random.below(20)));
        break;
      case 9:
        modelled.advance(border_delay(random) >> random.below(32),
                         1 + static_cast<std::uint32_t>(random.below(30)));
    }
    if (::testing::Test::HasFailure()) return;
  }
  modelled.on_fire = nullptr;
  modelled.advance(100 * kDay);
  RC_ASSERT(modelled.armed() == 0u);
  RC_ASSERT(modelled.chunks.in_use() == 0);
}

RC_GTEST_PROP(TimerWheelProperty, BehavesAsASortedMapWithFewTimers, (std::uint64_t seed)) {
  live_randomly(seed, *rc::gen::inRange(1, 20), *rc::gen::inRange(1, 300));
  RC_ASSERT(!::testing::Test::HasFailure());
}

RC_GTEST_PROP(TimerWheelProperty, BehavesAsASortedMapWithManyTimers, (std::uint64_t seed)) {
  live_randomly(seed, *rc::gen::inRange(20, 2000), *rc::gen::inRange(500, 3000));
  RC_ASSERT(!::testing::Test::HasFailure());
}

RC_GTEST_PROP(TickScaleProperty, DividesExactly, (std::int64_t time, std::int64_t resolution)) {
  const std::int64_t time_ns = time & ((std::int64_t{1} << 62) - 1);
  const std::int64_t resolution_ns = 1 + (resolution & 0xfff'ffff);
  const TickScale<ManualClock> scale(resolution_ns);
  RC_ASSERT(scale.at(time_ns).value == static_cast<std::uint64_t>(time_ns / resolution_ns));
  RC_ASSERT(scale.begin_ns(scale.not_before(time_ns)) >= time_ns);
  RC_ASSERT(scale.begin_ns(scale.not_before(time_ns)) < time_ns + resolution_ns);
}

TEST(TickScale, IsExactAtItsBorders) {
  for (const std::int64_t resolution_ns : {1, 2, 3, 7, 1000, 1'000'000, 1'000'000'000}) {
    const TickScale<ManualClock> scale(resolution_ns);
    for (const std::int64_t tick :
         {std::int64_t{0}, std::int64_t{1}, std::int64_t{1} << 32, (std::int64_t{1} << 62) / resolution_ns}) {
      EXPECT_EQ(scale.at(tick * resolution_ns).value, static_cast<std::uint64_t>(tick));
      EXPECT_EQ(scale.at(tick * resolution_ns + resolution_ns - 1).value, static_cast<std::uint64_t>(tick));
      EXPECT_EQ(scale.not_before(tick * resolution_ns).value, static_cast<std::uint64_t>(tick));
    }
  }
}

}  // namespace
}  // namespace evenkeel::engine
