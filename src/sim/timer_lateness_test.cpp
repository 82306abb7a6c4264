// How late timers fire while calls never cease, in virtual time, where every call and every expiry has its
// exact cost.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>

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

}  // namespace
}  // namespace evenkeel::sim
