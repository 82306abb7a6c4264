#include "evenkeel/timer_service.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "base/random.h"

namespace evenkeel {
namespace {

using namespace std::chrono_literals;

TimerTuple tuple_of(std::uint32_t i) {
  TimerTuple tuple;
  tuple.local_address = {10, 0, 0, 1};
  tuple.remote_address = {192, 168, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)};
  tuple.local_port = 80;
  tuple.remote_port = static_cast<std::uint16_t>(1024 + i % 50'000);
  return tuple;
}

// Waits for what must come; the bound is only for the case that it never does.
template <typename Condition>
bool comes_true(Condition&& condition) {
  for (int i = 0; i < 6000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

std::unique_ptr<TimerService> make(const TimerServiceOptions& options, TimerHandler handler) {
  auto made = TimerService::make(options, std::move(handler));
  EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
  return std::move(*made);
}

TEST(TimerService, EveryTimerThatIsStartedFiresOnceWithItsTag) {
  constexpr std::uint32_t kConnections = 5000;
  std::vector<std::atomic<int>> fired(kConnections);
  std::atomic<std::uint32_t> total{0}, early{0};
  const auto service =
      make({.threads = 2, .connections_max = kConnections}, [&](TimerService&, const TimerExpiry& expiry) {
        ++fired[expiry.tag];
        early += expiry.late_ns < 0;
        ++total;
      });
  for (std::uint32_t i = 0; i < kConnections; ++i) {
    const auto connection = service->add(tuple_of(i), i);
    ASSERT_TRUE(connection.has_value());
    ASSERT_EQ(service->start(*connection, 0, std::chrono::milliseconds(1 + i % 100)), TimerCall::kDone);
  }
  ASSERT_TRUE(comes_true([&] { return total == kConnections; }));
  for (const auto& count : fired) ASSERT_EQ(count, 1);
  EXPECT_EQ(early, 0u);
  const TimerReport report = service->report();
  EXPECT_EQ(report.all.started, kConnections);
  EXPECT_EQ(report.all.fired, kConnections);
  EXPECT_EQ(report.all.fired_off_owner, 0u);
}

TEST(TimerService, CancelledAndRemovedTimersDoNotFireAndRestartNeedsARunningTimer) {
  std::atomic<std::uint32_t> fired{0};
  const auto service =
      make({.threads = 2, .connections_max = 10},
           [&](TimerService&, const TimerExpiry& expiry) { fired += expiry.tag == 9 ? 1 : 100; });
  const auto cancelled = service->add(tuple_of(1), 1), removed = service->add(tuple_of(2), 2),
             idle = service->add(tuple_of(3), 3), last = service->add(tuple_of(4), 9);
  service->start(*cancelled, 0, 1h);
  service->restart(*cancelled, 0, 2h);
  service->cancel(*cancelled, 0);
  service->start(*removed, 0, 1h);
  service->remove(*removed);
  service->start(*removed, 0, 20ms);  // its handle is dead
  service->restart(*idle, 0, 20ms);
  service->start(*last, 0, 10s);
  service->restart(*last, 0, 100ms);
  ASSERT_TRUE(comes_true([&] { return fired != 0; }));
  EXPECT_EQ(fired, 1u);
  EXPECT_EQ(service->report().all.cancelled, 2u);
}

TEST(TimerService, CallsOfManyThreadsAndMovesOfBucketsLoseNothing) {
  constexpr std::uint32_t kThreads = 3, kEach = 300, kRounds = 20;
  std::atomic<std::uint64_t> fired{0};
  // Handlers of a few connections are much slower, so that buckets move; all start again until their rounds
  // are over.
  std::vector<std::uint32_t> rounds(kThreads * kEach);  // touched by handlers of one connection only
  const auto service =
      make({.threads = 2, .buckets = 64, .connections_max = kThreads * kEach, .rebalance_interval = 2ms},
           [&](TimerService& timers, const TimerExpiry& expiry) {
             ++fired;
             volatile std::uint32_t spin = expiry.connection.bucket % 8 == 0 ? 3000 : 10;
             while (spin != 0) spin = spin - 1;
             if (++rounds[expiry.tag] == kRounds) return;
             while (timers.start(expiry.connection, 0, 1ms) == TimerCall::kBusy) {
             }
           });
  std::vector<std::thread> callers;
  for (std::uint32_t caller = 0; caller < kThreads; ++caller) {
    callers.emplace_back([&, caller] {
      for (std::uint32_t i = 0; i < kEach; ++i) {
        const std::uint32_t tag = caller * kEach + i;
        const auto connection = service->add(tuple_of(tag), tag);
        service->start(*connection, 0, 5s);
        service->restart(*connection, 0, 2ms);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_TRUE(comes_true([&] { return fired == std::uint64_t{kThreads} * kEach * kRounds; })) << fired;
  EXPECT_EQ(service->report().all.fired_off_owner, 0u);
}

TEST(TimerService, MadeUpHandlesChangeNoOtherConnection) {
  constexpr std::uint32_t kConnections = 200, kBuckets = 64;
  std::vector<std::atomic<int>> fired(kConnections);
  std::atomic<std::uint32_t> total{0};
  const auto service = make(
      {.threads = 2, .buckets = kBuckets, .connections_max = 2 * kConnections, .rebalance_interval = 2ms},
      [&](TimerService&, const TimerExpiry& expiry) {
        if (expiry.tag >= kConnections) return;
        ++fired[expiry.tag];
        ++total;
      });
  // All that are watched are in one bucket: no handle that names another bucket is one of theirs.
  std::vector<TimerConnection> watched;
  for (std::uint32_t i = 0; i < kConnections; ++i) watched.push_back(*service->add(tuple_of(1), i));
  const auto foreign_bucket = [&](base::Random& random) {
    return static_cast<std::uint16_t>((watched[0].bucket + 1 + random.below(kBuckets - 1)) % kBuckets);
  };
  std::atomic<bool> over{false};
  std::vector<std::thread> callers;
  for (std::uint32_t seed = 1; seed <= 2; ++seed) {
    callers.emplace_back([&, seed] {
      base::Random random(seed);
      while (!over) {
        // Sometimes it names what the thread below has just added: that may happen to it.
        const TimerConnection guess{static_cast<std::uint32_t>(random.below(3 * kConnections)),
                                    foreign_bucket(random), static_cast<std::uint32_t>(random.below(8))};
        random.below(2) == 0 ? service->start(guess, 0, 1ms) : service->remove(guess);
      }
    });
  }
  callers.emplace_back([&] {
    base::Random random(3);
    while (!over) {
      const auto some =
          service->add(tuple_of(static_cast<std::uint32_t>(random.below(50'000))), kConnections);
      if (!some) continue;
      service->start(*some, 0, 1ms);
      service->remove(*some);
    }
  });
  for (std::uint32_t i = 0; i < kConnections; ++i)
    service->start(watched[i], 0, std::chrono::milliseconds(1 + i));
  EXPECT_TRUE(comes_true([&] { return total == kConnections; })) << total;
  over = true;
  for (std::thread& caller : callers) caller.join();
  for (const auto& count : fired) EXPECT_EQ(count, 1);
  EXPECT_EQ(service->report().all.fired_off_owner, 0u);
}

TEST(TimerService, BucketsMoveWhenTheWorkOfTimerThreadsDriftsApart) {
  // Buckets are dealt out in turn, so the odd ones are all thread 1's: only their handlers have work to do.
  std::atomic<bool> over{false};
  const auto service = make({.threads = 2, .buckets = 16, .connections_max = 2000, .rebalance_interval = 5ms},
                            [&](TimerService& timers, const TimerExpiry& expiry) {
                              volatile std::uint32_t spin = expiry.connection.bucket % 2 == 1 ? 5000 : 1;
                              while (spin != 0) spin = spin - 1;
                              if (!over) timers.start(expiry.connection, 0, 2ms);
                            });
  for (std::uint32_t i = 0; i < 2000; ++i) service->start(*service->add(tuple_of(i), i), 0, 1ms);
  EXPECT_TRUE(comes_true([&] { return service->report().moves > 0; }));
  over = true;
}

TEST(TimerService, TheBucketComesFromBothAddressesAndBothPorts) {
  const auto service =
      make({.buckets = 65'536, .connections_max = 100}, [](TimerService&, const TimerExpiry&) {});
  const auto bucket = [&](const TimerTuple& tuple) { return service->add(tuple, 0)->bucket; };
  const TimerTuple base = tuple_of(1);
  EXPECT_EQ(bucket(base), bucket(base));
  TimerTuple other = base;
  other.local_address[3] = 77;
  EXPECT_NE(bucket(base), bucket(other));
  other = base;
  other.remote_address[3] = 77;
  EXPECT_NE(bucket(base), bucket(other));
  other = base;
  other.local_port = 77;
  EXPECT_NE(bucket(base), bucket(other));
  other = base;
  other.remote_port = 77;
  EXPECT_NE(bucket(base), bucket(other));
}

TEST(TimerService, RefusesOptionsOutOfRangeWithOneLine) {
  const auto refused = [](const TimerServiceOptions& options) {
    const auto made = TimerService::make(options, [](TimerService&, const TimerExpiry&) {});
    return !made.ok() && made.error().kind == ErrorKind::kUsage && !made.error().message.empty();
  };
  EXPECT_TRUE(refused({.threads = 0}));
  EXPECT_TRUE(refused({.buckets = 3}));
  EXPECT_TRUE(refused({.timers_per_connection = 17}));
  EXPECT_TRUE(refused({.resolution = 1ns}));
  EXPECT_TRUE(refused({.policy = "fair"}));
  EXPECT_TRUE(refused({.hash = "sum"}));
  EXPECT_TRUE(refused({.connections_max = 100'000'000}));
  EXPECT_TRUE(refused({.connections_max = UINT32_MAX}));
}

TEST(TimerService, WhatIsNotThereIsAnAnswerAndNotTheEnd) {
  const auto service =
      make({.connections_max = 1, .timers_per_connection = 1}, [](TimerService&, const TimerExpiry&) {});
  const auto connection = *service->add(tuple_of(1), 1);
  EXPECT_EQ(service->start(connection, 1, 1s), TimerCall::kUnknown) << "it has timer 0 only";
  const auto cancel = [&](TimerConnection other) { return service->cancel(other, 0); };
  EXPECT_EQ(cancel(connection), TimerCall::kDone);
  EXPECT_EQ(cancel({4'000'000'000, connection.bucket, 0}), TimerCall::kUnknown);
  EXPECT_EQ(cancel({connection.slot + 1, connection.bucket, 0}), TimerCall::kUnknown) << "not given yet";
  EXPECT_EQ(cancel({connection.slot, 60'000, 0}), TimerCall::kUnknown);
  const auto another = static_cast<std::uint16_t>(connection.bucket ^ 1);
  EXPECT_EQ(cancel({connection.slot, another, 0}), TimerCall::kUnknown) << "it is in another bucket";
  EXPECT_EQ(cancel({connection.slot, connection.bucket, 1}), TimerCall::kUnknown) << "yet to come";
  service->remove(connection);
  EXPECT_TRUE(comes_true([&] { return cancel(connection) == TimerCall::kUnknown; }));
  EXPECT_FALSE(TimerService::make({}, nullptr).ok());
}

TEST(TimerService, EveryConnectionThatItTakesHasTimers) {
  const auto service = make({.connections_max = 1}, [](TimerService&, const TimerExpiry&) {});
  std::uint32_t added = 0;
  while (const auto connection = service->add(tuple_of(added), added)) {
    EXPECT_EQ(service->start(*connection, 0, 1h), TimerCall::kDone);
    ++added;
  }
  EXPECT_TRUE(comes_true([&] { return service->report().all.started == added; }));
}

TEST(TimerService, ADelayBeyondItsRangeIsRefused) {
  const auto service = make({.connections_max = 1}, [](TimerService&, const TimerExpiry&) {});
  const auto connection = service->add(tuple_of(1), 1);
  EXPECT_EQ(service->start(*connection, 0, 24h * 49), TimerCall::kDone);
  EXPECT_EQ(service->start(*connection, 0, 24h * 200), TimerCall::kTooLong);
  EXPECT_EQ(service->start(*connection, 0, -1ns), TimerCall::kTooLong);
}

TEST(TimerService, TheRangeIsOfTicksSoThatFinerOnesReachLessFar) {
  const auto service =
      make({.connections_max = 1, .resolution = 10us}, [](TimerService&, const TimerExpiry&) {});
  const auto connection = service->add(tuple_of(1), 1);
  EXPECT_EQ(service->start(*connection, 0, 23h), TimerCall::kDone);
  EXPECT_EQ(service->start(*connection, 0, 24h), TimerCall::kTooLong);
}

}  // namespace
}  // namespace evenkeel
