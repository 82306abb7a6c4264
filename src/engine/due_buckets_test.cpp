#include "engine/due_buckets.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <vector>

#include "base/random.h"
#include "engine/timer_test_support.h"

namespace evenkeel::engine {
namespace {

using testing::ManualClock;
using testing::ManualTick;
using testing::StateArray;

// Some buckets, each with a wheel, on workers that each have an index of them.
struct Machine {
  Machine(std::uint32_t buckets, std::uint32_t workers, std::uint32_t slots)
      : arena(
            TimerArena::make(
                {.timers = std::uint64_t{buckets} * slots, .buckets = buckets + workers, .workers = workers})
                .value()),
        wheels(buckets),
        owner(buckets, 0),
        states(buckets, StateArray(slots)) {
    for (std::uint32_t i = 0; i < workers; ++i) {
      caches.push_back(std::make_unique<TimerChunkCache>(*arena));
      due.push_back(std::make_unique<DueBuckets<ManualClock>>(buckets));
    }
  }

  void start(std::uint32_t bucket, std::uint32_t slot, std::uint64_t delay) {
    const std::uint32_t worker = owner[bucket];
    ASSERT_EQ(wheels[bucket].start(*caches[worker], states[bucket], {slot, 0}, now, now + delay),
              TimerStart::kStarted);
    model[{bucket, slot}] = wheels[bucket].deadline(states[bucket].state({slot, 0})).value;
    due[worker]->note(BucketId(bucket), now, wheels[bucket].next_due());
  }

  void move(std::uint32_t bucket, std::uint32_t to) {
    due[owner[bucket]]->remove(BucketId(bucket));
    owner[bucket] = to;
    due[to]->note(BucketId(bucket), now, wheels[bucket].next_due());
  }

  bool serve(std::uint32_t worker, std::uint32_t budget) {
    return due[worker]->advance(now, budget, [&](BucketId bucket, std::uint32_t& turn) {
      EXPECT_EQ(owner[bucket.value()], worker) << "off its owner";
      ++served;
      const bool done = wheels[bucket.value()].advance(
          *caches[worker], states[bucket.value()], now, turn, [&](TimerName name, ManualTick deadline) {
            const auto expected = model.find({bucket.value(), name.slot});
            ASSERT_NE(expected, model.end());
            EXPECT_EQ(expected->second, deadline.value);
            EXPECT_LE(deadline, now);
            model.erase(expected);
            ++fired;
          });
      return done ? wheels[bucket.value()].next_due() : now;
    });
  }

  void serve_all() {
    for (std::uint32_t worker = 0; worker < due.size(); ++worker) {
      while (!serve(worker, 100)) {
      }
      EXPECT_GT(due[worker]->next_due(), now);
    }
    for (const auto& [name, deadline] : model) ASSERT_GT(deadline, now.value) << "never fired";
  }

  std::unique_ptr<TimerArena> arena;
  std::vector<std::unique_ptr<TimerChunkCache>> caches;
  std::vector<std::unique_ptr<DueBuckets<ManualClock>>> due;
  std::vector<TimerWheel<ManualClock>> wheels;
  std::vector<std::uint32_t> owner;
  std::vector<StateArray> states;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> model;
  ManualTick now{0};
  std::uint64_t fired = 0;
  std::uint64_t served = 0;
};

TEST(DueBuckets, OnlyBucketsThatAreDueAreVisited) {
  Machine machine(4096, 1, 1);
  for (std::uint32_t bucket = 0; bucket < 4096; ++bucket)
    machine.start(bucket, 0, bucket == 77 ? 5 : 1'000'000);
  machine.now = ManualTick{5};
  machine.serve_all();
  EXPECT_EQ(machine.fired, 1u);
  EXPECT_EQ(machine.served, 1u);
}

TEST(DueBuckets, ABucketWithManyDueTimersDelaysOthersByItsTurnOnly) {
  Machine machine(2, 1, 100'000);
  for (std::uint32_t slot = 0; slot < 100'000; ++slot) machine.start(0, slot, 5);
  machine.start(1, 0, 5);
  machine.now = ManualTick{5};
  EXPECT_FALSE(machine.serve(0, 4 * DueBuckets<ManualClock>::kTurnEntries));
  EXPECT_FALSE(machine.model.contains({1, 0})) << "the other bucket had to wait";
  machine.serve_all();
  EXPECT_EQ(machine.fired, 100'001u);
}

TEST(DueBuckets, NoTimerFiresTwiceEarlyOffItsOwnerOrNeverUnderRandomMoves) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    base::Random random(seed);
    Machine machine(16, 3, 50);
    const std::uint64_t delay_max = seed % 2 == 0 ? 200 : 20'000'000;
    for (int step = 0; step < 3000; ++step) {
      const auto bucket = static_cast<std::uint32_t>(random.below(16));
      machine.start(bucket, static_cast<std::uint32_t>(random.below(50)), random.below(delay_max));
      machine.move(static_cast<std::uint32_t>(random.below(16)), static_cast<std::uint32_t>(random.below(3)));
      // Slices that stop in the midst of a bucket, which then moves.
      machine.serve(static_cast<std::uint32_t>(random.below(3)), static_cast<std::uint32_t>(random.below(5)));
      if (random.below(10) == 0) machine.now = machine.now + random.below(delay_max / 20);
      if (random.below(50) == 0) machine.serve_all();
      if (HasFatalFailure()) return;
    }
    machine.now = machine.now + delay_max;
    machine.serve_all();
    EXPECT_TRUE(machine.model.empty());
  }
}

TEST(DueBuckets, ABucketIsDueAtItsTickWhateverTheCalendarsTurn) {
  for (const std::uint64_t begin : {0, 1, 63, 64, 4095, 4096, 1'000'000}) {
    for (const std::uint64_t delay : {1, 63, 64, 65, 4094, 4095, 4096, 4097, 8191, 8192, 100'000}) {
      Machine machine(2, 1, 1);
      machine.now = ManualTick{begin};
      machine.start(0, 0, delay);
      machine.start(1, 0, delay + 1);
      // As a worker does: it looks when the index says so, and not between.
      while (machine.due[0]->next_due() <= ManualTick{begin + delay - 1}) {
        machine.now = machine.due[0]->next_due();
        machine.serve_all();
      }
      EXPECT_EQ(machine.fired, 0u);
      machine.now = ManualTick{begin + delay};
      machine.serve_all();
      EXPECT_EQ(machine.fired, 1u) << "begin " << begin << ", delay " << delay;
      machine.now = ManualTick{begin + delay + 1};
      machine.serve_all();
      EXPECT_EQ(machine.fired, 2u);
    }
  }
}

TEST(DueBuckets, ATimerBeyondTheRangeOfTheIndexIsNotLost) {
  Machine machine(1, 1, 1);
  machine.start(0, 0, TimerWheel<ManualClock>::kRange);
  machine.now = ManualTick{TimerWheel<ManualClock>::kRange};
  machine.serve_all();
  EXPECT_EQ(machine.fired, 1u);
}

}  // namespace
}  // namespace evenkeel::engine
