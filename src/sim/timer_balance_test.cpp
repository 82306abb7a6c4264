// That the work of timers counts when load is balanced: in virtual time, of buckets whose packets cost
// nothing out of the ordinary, but whose timers do.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "actuator/in_process/table_actuator.h"
#include "control/loop.h"
#include "engine/engine.h"
#include "sim/synthetic_source.h"
#include "sim/virtual_clock.h"

namespace evenkeel::sim {
namespace {

constexpr std::uint32_t kBuckets = 64;
constexpr std::int64_t kPeriod_ns = 1'000'000'000;  // of each connection's timer

// A timer of a connection in the upper half of the buckets costs a hundred times as much as a packet.
class TimerHeavyHandler {
 public:
  struct State {
    std::int64_t next_ns = 0;
    bool is_heavy = false;
  };
  using Connection = engine::Connection<State>;

  explicit TimerHeavyHandler(std::uint64_t& now_ticks) : now_ticks_(&now_ticks) {}
  void open(Connection& connection, const Packet& packet) {
    connection.state = {packet.now_ns + kPeriod_ns, packet.bucket < kBuckets / 2};
  }
  void packet(Connection&, const Packet&) { *now_ticks_ += 100; }
  std::int64_t deadline_ns(const Connection& connection) const { return connection.state.next_ns; }
  void due(const ConnectionKey&, Connection& connection, std::int64_t now_ns) {
    connection.state.next_ns = now_ns + kPeriod_ns;
    *now_ticks_ += connection.state.is_heavy ? 10'000 : 10;
  }
  void close(const ConnectionKey&, Connection&, engine::CloseReason, std::int64_t) {}
  void idle() {}

 private:
  std::uint64_t* now_ticks_;
};

class TimerBalance : public ::testing::Test {
 protected:
  TimerBalance() {
    engine::EngineOptions options;
    options.workers = 2;
    options.buckets = kBuckets;
    auto engine = engine::Engine<TimerHeavyHandler, VirtualClock>::make(
        options, {&source_}, std::move(*packet::Hasher::make("toeplitz", "")),
        [this](ProcessorId) { return TimerHeavyHandler(now_ticks_); },
        [this](ProcessorId) { return VirtualClock(&now_ticks_); });
    EXPECT_TRUE(engine.ok());
    engine_ = std::move(*engine);
  }

  // All buckets of the lower half begin at worker 0, the others at worker 1.
  void deal_out() {
    std::vector<bucket::Reassignment> moves;
    for (std::uint32_t j = 0; j < kBuckets; ++j) {
      const ProcessorId from(engine_->board().newest().owner[j]), to(j < kBuckets / 2 ? 0 : 1);
      if (from != to) moves.push_back({BucketId(j), from, to});
    }
    engine_->board().publish(moves);
  }

  void run() {
    auto policy = make_policy("index");
    ASSERT_TRUE(policy.ok());
    actuator::TableActuator actuator(engine_->board());
    control::LoadMeter meter(engine_->worker_meters(), engine_->bucket_meters(), {1.0, 1.0}, 0);
    control::Loop loop(meter, **policy, actuator, [this](const control::Round& round) {
      usage_differences_.push_back(round.snapshot.usage[0] - round.snapshot.usage[1]);
    });
    auto& dispatcher = *engine_->dispatchers()[0];
    for (std::uint64_t step = 1; dispatcher.step() != engine::DispatchStatus::kFinished; ++step) {
      for (const auto& worker : engine_->workers()) worker->step();
      if (engine_->drained()) dispatcher.finish();
      if (step % 500 != 0 || !engine_->board().settled()) continue;
      const std::vector<std::uint64_t> waiting(2, 0);
      ASSERT_TRUE(
          loop.tick(
                  {.time_ns = static_cast<std::int64_t>(now_ticks_), .ticks = now_ticks_, .waiting = waiting})
              .ok());
    }
  }

  std::uint64_t now_ticks_ = 1;
  SyntheticSource source_{{.seed = 5, .packets = 200'000, .connections = 500, .packets_per_block = 256}};
  std::unique_ptr<engine::Engine<TimerHeavyHandler, VirtualClock>> engine_;
  std::vector<double> usage_differences_;  // between the two workers, by round
};

TEST_F(TimerBalance, BucketsThatAreHeavyInTimersMoveThoughTheirPacketsAreAsOthers) {
  deal_out();
  run();
  std::uint32_t heavy_moved = 0;
  for (std::uint32_t j = 0; j < kBuckets / 2; ++j) heavy_moved += engine_->board().newest().owner[j];
  EXPECT_GT(heavy_moved, kBuckets / 8) << "of 32 heavy buckets";
  EXPECT_LT(heavy_moved, kBuckets / 2 - kBuckets / 8);
  const double difference_max = *std::max_element(usage_differences_.begin(), usage_differences_.end());
  EXPECT_GT(difference_max, 0.5);
  EXPECT_LT(std::abs(usage_differences_.back()), difference_max / 2);
  for (const meter::WorkerMeters& meters : engine_->worker_meters()) {
    EXPECT_GT(meters.timers.fired.read(), 1000u);
    EXPECT_EQ(meters.timers.fired_off_owner.read(), 0u);
  }
}

}  // namespace
}  // namespace evenkeel::sim
