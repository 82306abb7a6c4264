// What workers measure of their buckets' costs, against costs that are known exactly, in virtual time.
#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "engine/engine.h"
#include "sim/synthetic_source.h"
#include "sim/virtual_clock.h"

namespace evenkeel::sim {
namespace {

constexpr std::uint32_t kBuckets = 16;

// What packets cost, and what was spent.
struct Costs {
  std::uint64_t now_ticks = 0;
  std::uint64_t heavy_ticks = 200;                            // of a packet of some connections; else 200
  std::uint64_t interrupted_each = 0;                         // one packet in so many; 0: none
  std::vector<double> spent = std::vector<double>(kBuckets);  // without interruptions
  std::uint64_t interruptions = 0;
  base::Random random{3};
};

class CostlyHandler {
 public:
  struct State {};
  using Connection = engine::Connection<State>;

  explicit CostlyHandler(Costs& costs) : costs_(&costs) {}
  void open(Connection&, const Packet&) {}
  void packet(Connection&, const Packet& packet) {
    // Of those that send much: what is too rare to be sampled often enough is another matter
    // (sample_limit.h).
    const std::uint32_t connection = SyntheticSource::connection_of(packet);
    const std::uint64_t ticks = connection < 150 && connection % 10 == 0 ? costs_->heavy_ticks : 200;
    costs_->now_ticks += ticks;
    costs_->spent[packet.bucket] += static_cast<double>(ticks);
    if (costs_->interrupted_each == 0 || costs_->random.below(costs_->interrupted_each) != 0) return;
    costs_->now_ticks += 4'000'000;
    ++costs_->interruptions;
  }
  std::int64_t deadline_ns(const Connection&) const { return engine::kNoDeadline; }
  void due(const ConnectionKey&, Connection&, std::int64_t) {}
  void close(const ConnectionKey&, Connection&, engine::CloseReason, std::int64_t) {}
  void idle() {}

 private:
  Costs* costs_;
};

// By bucket: measured cost over true cost.
std::vector<double> measured_over_true(Costs& costs) {
  SyntheticSource source({.seed = 9, .packets = 1'000'000, .connections = 300, .packets_per_block = 256});
  engine::EngineOptions options;
  options.buckets = kBuckets;
  auto engine = engine::Engine<CostlyHandler, VirtualClock>::make(
      options, {&source}, std::move(*packet::Hasher::make("toeplitz", "")),
      [&](ProcessorId) { return CostlyHandler(costs); },
      [&](ProcessorId) { return VirtualClock(&costs.now_ticks); });
  EXPECT_TRUE(engine.ok());
  auto& dispatcher = *(*engine)->dispatchers()[0];
  auto& worker = *(*engine)->workers()[0];
  dispatcher.finish();
  while (dispatcher.step() != engine::DispatchStatus::kFinished) worker.step();
  while (!worker.finished()) worker.step();
  std::vector<double> ratios;
  for (std::uint32_t j = 0; j < kBuckets; ++j) {
    const auto measured = static_cast<double>((*engine)->bucket_meters()[j].cost_ticks.read());
    if (costs.spent[j] > 0) ratios.push_back(measured / costs.spent[j]);
  }
  return ratios;
}

TEST(MeasuredCost, IsTheTrueCostWhereNothingInterrupts) {
  Costs costs;
  for (const double ratio : measured_over_true(costs)) EXPECT_NEAR(ratio, 1, 0.05);
}

// Bursts are of 32 at most, of which one is timed: the estimate has an error of sampling.
TEST(MeasuredCost, ConnectionsAThousandTimesAsHeavyAreNotHidden) {
  Costs costs;
  costs.heavy_ticks = 200'000;
  const std::vector<double> ratios = measured_over_true(costs);
  for (const double ratio : ratios) EXPECT_NEAR(ratio, 1, 0.25);
  EXPECT_NEAR(std::accumulate(ratios.begin(), ratios.end(), 0.0) / static_cast<double>(ratios.size()), 1,
              0.05);
}

// 4 ms in one of 2,000 packets is ten times as much time as all packets take; counted in full, the buckets
// that happened to be hit in a timed packet would look tens of times as heavy as they are.
TEST(MeasuredCost, InterruptionsDoNotMakeABucketHeavy) {
  Costs costs;
  costs.interrupted_each = 2'000;
  const std::vector<double> ratios = measured_over_true(costs);
  EXPECT_GT(costs.interruptions, 400u);
  for (const double ratio : ratios) EXPECT_NEAR(ratio, 1, 0.2);
}

}  // namespace
}  // namespace evenkeel::sim
