// How late timers fire while calls never cease, in virtual time, where every call and every expiry has its
// exact cost.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/random.h"
#include "sim/virtual_clock.h"
#include "timer/core.h"
#include "timer/worker.h"

namespace evenkeel::sim {
namespace {

constexpr std::int64_t kTick_ns = 1'000'000;
constexpr std::int64_t kCall_ns = 150, kExpiry_ns = 300;
constexpr std::uint32_t kConnections = 20'000, kBuckets = 256;

struct Costs {
  std::uint64_t* now_ns;
  std::int64_t* late_max_ns;
  std::uint64_t* fired;

  void operator()(const TimerExpiry& expiry) const {
    *late_max_ns = std::max(*late_max_ns, expiry.late_ns);
    EXPECT_GE(expiry.late_ns, 0);
    *now_ns += kExpiry_ns;
    ++*fired;
  }
  void executed(const timer::TimerCommand&) const { *now_ns += kCall_ns; }
};

TEST(TimerLateness, IsAtMostATickAndASliceHoweverManyCallsWait) {
  auto made = timer::Core::make({.workers = 1,
                                 .caller_lanes = 1,
                                 .buckets = kBuckets,
                                 .connections_max = kConnections,
                                 .resolution_ns = kTick_ns});
  ASSERT_TRUE(made.ok());
  timer::Core& core = **made;
  std::uint64_t now_ns = 1'000'000'000, fired = 0;
  std::int64_t late_max_ns = 0;
  timer::TimerWorker<VirtualClock, Costs> worker(core, ProcessorId(0), VirtualClock(&now_ns),
                                                 Costs{&now_ns, &late_max_ns, &fired});
  base::Random random(8);
  for (std::uint32_t i = 0; i < kConnections; ++i)
    ASSERT_TRUE(core.connections->add(BucketId(i % kBuckets), i).has_value());
  timer::Lane& lane = core.lane(1);
  // More calls than are served: the ring is always full. They come from connections at random, so at this
  // rate some thousand timers expire in a second of work.
  const std::uint64_t end_ns = now_ns + 1'000'000'000;
  while (now_ns < end_ns) {
    for (bool taken = true; taken;) {
      const auto slot = static_cast<std::uint32_t>(random.below(kConnections));
      taken = lane.send({.kind = timer::TimerCommand::Kind::kStart,
                         .bucket = static_cast<std::uint16_t>(slot % kBuckets),
                         .slot_or_version = slot,
                         .deadline_ns = static_cast<std::int64_t>(now_ns + 1 + random.below(20'000'000))});
    }
    worker.step();
  }
  constexpr std::int64_t kSlice_ns = timer::kSliceEntries * kExpiry_ns;
  EXPECT_GT(fired, 10'000u);
  EXPECT_LE(late_max_ns, kTick_ns + kSlice_ns);
}

// Starts its timer again, as a handler of the service does: at once where it may, else through the thread's
// own lane. In the midst of a slice a new table is adopted there.
struct Restarting {
  timer::Core* core;
  timer::TimerWorker<VirtualClock, Restarting>** worker;
  std::uint64_t* now_ns;
  std::uint64_t *at_once, *queued, *refused;
  bool* adopts;

  void operator()(const TimerExpiry& expiry) const {
    if (std::exchange(*adopts, false)) core->adopt_newest();
    const timer::TimerCommand command{.kind = timer::TimerCommand::Kind::kStart,
                                      .bucket = expiry.connection.bucket,
                                      .generation = expiry.connection.generation,
                                      .slot_or_version = expiry.connection.slot,
                                      .deadline_ns = static_cast<std::int64_t>(*now_ns)};
    if ((*worker)->try_directly(command)) {
      ++*at_once;
    } else {
      ++*(core->lane(0).send(command) ? queued : refused);
    }
  }
};

TEST(TimerCalls, OfHandlersForTheirOwnThreadAreDoneAtOnceAgainAfterAMark) {
  auto made = timer::Core::make({.workers = 2,
                                 .caller_lanes = 1,
                                 .buckets = 4,
                                 .connections_max = kConnections,
                                 .resolution_ns = kTick_ns});
  ASSERT_TRUE(made.ok());
  timer::Core& core = **made;
  std::uint64_t now_ns = 1'000'000'000, at_once = 0, queued = 0, refused = 0;
  bool adopts = false;
  timer::TimerWorker<VirtualClock, Restarting>* worker = nullptr;
  timer::TimerWorker<VirtualClock, Restarting> first(
      core, ProcessorId(0), VirtualClock(&now_ns),
      Restarting{&core, &worker, &now_ns, &at_once, &queued, &refused, &adopts});
  worker = &first;
  ASSERT_EQ(core.board.newest().owner[0], 0u);
  ASSERT_EQ(core.board.newest().owner[1], 1u);
  // All due again in each tick: far more than a slice.
  for (std::uint32_t i = 0; i < kConnections; ++i) {
    const auto connection = core.connections->add(BucketId(0), i);
    ASSERT_TRUE(connection.has_value());
    ASSERT_TRUE(worker->try_directly({.kind = timer::TimerCommand::Kind::kStart,
                                      .bucket = 0,
                                      .generation = connection->generation,
                                      .slot_or_version = connection->slot,
                                      .deadline_ns = static_cast<std::int64_t>(now_ns)}));
  }
  const auto run_steps = [&] {
    for (int step = 0; step < 100; ++step) {
      now_ns += kTick_ns / 4;
      worker->step();
    }
  };
  run_steps();
  EXPECT_EQ(queued, 0u);
  core.board.publish(std::array{bucket::Reassignment{BucketId(1), ProcessorId(1), ProcessorId(0)}});
  adopts = true;
  run_steps();
  EXPECT_GT(queued, 0u) << "the mark stood in the ring for the rest of a slice";
  EXPECT_LE(queued, timer::kSliceEntries);
  EXPECT_EQ(refused, 0u);
}

}  // namespace
}  // namespace evenkeel::sim
