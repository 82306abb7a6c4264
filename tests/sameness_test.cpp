// Laws 1, 2 and 4 with real threads: the same packets give the same records at any number of workers, for any
// policy and any schedule of moves, and no packet of a connection is out of order. Run under ThreadSanitizer
// as well.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <thread>
#include <tuple>

#include "actuator/in_process/table_actuator.h"
#include "base/clock.h"
#include "base/random.h"
#include "control/load_meter.h"
#include "engine/engine.h"
#include "engine/threads.h"
#include "evenkeel/policy.h"
#include "flow/meter.h"
#include "source/make_source.h"

namespace evenkeel {
namespace {

using MeterEngine = engine::Engine<flow::FlowMeter, base::CycleClock>;

struct Setting {
  std::string input;
  std::uint32_t workers = 1;
  std::uint32_t buckets = 1024;
  std::string policy =
      "static";            // of the registry, or "random": random moves as fast as they can be published
  std::uint64_t seed = 1;  // of the random moves
};

class Collector : public flow::RecordSink {
 public:
  void write(const flow::FlowRecord& record) override { records.push_back(record); }
  std::vector<flow::FlowRecord> records;
};

auto as_tuple(const flow::FlowRecord& r) {
  return std::tuple(r.start_ns, r.end_ns, r.source_address, r.destination_address, r.source_port,
                    r.destination_port, r.protocol, r.ip_version, r.tcp_control_bits,
                    r.reverse_tcp_control_bits, r.end_reason, r.packets, r.octets, r.reverse_packets,
                    r.reverse_octets);
}

struct Outcome {
  std::vector<flow::FlowRecord> records;  // sorted
  std::uint64_t received = 0;
  std::uint64_t accounted = 0;  // processed, dropped, malformed or unclassified
  std::uint64_t order_violations = 0;
  std::uint64_t ownership_violations = 0;
  std::uint64_t moves = 0;
};

// Moves a random part of all buckets whenever the moves before are done.
std::uint64_t move_at_random(MeterEngine& engine, std::uint64_t seed) {
  base::Random random(seed);
  std::uint64_t moved = 0;
  while (!engine.drained()) {
    if (!engine.board().settled()) {
      std::this_thread::yield();
      continue;
    }
    std::vector<bucket::Reassignment> moves;
    const auto& owners = engine.board().newest().owner;
    for (std::uint32_t j = 0; j < owners.size(); ++j) {
      const ProcessorId to(static_cast<std::uint32_t>(random.below(engine.workers().size())));
      if (to.value() != owners[j]) moves.push_back({BucketId(j), ProcessorId(owners[j]), to});
    }
    moved += moves.size();
    engine.board().publish(moves);
  }
  return moved;
}

std::uint64_t move_by_policy(MeterEngine& engine, const std::string& name) {
  auto policy = make_policy(name);
  EXPECT_TRUE(policy.ok());
  actuator::TableActuator actuator(engine.board());
  const auto workers = static_cast<std::uint32_t>(engine.workers().size());
  control::LoadMeter load_meter(engine.worker_meters(), engine.bucket_meters(),
                                std::vector<double>(workers, 1.0), base::CycleClock::ticks());
  std::uint64_t moved = 0;
  Plan plan;
  std::vector<std::uint64_t> waiting(workers);
  while (!engine.drained()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    load_meter.measure(base::CycleClock::ticks(), waiting, actuator.owners());
    if (!actuator.ready()) continue;
    EXPECT_TRUE((*policy)->plan(load_meter.snapshot(actuator.owners()), plan).ok());
    EXPECT_TRUE(actuator.apply(plan.moves).ok());
    moved += plan.moves.size();
  }
  return moved;
}

std::uint64_t total(const auto& counters) {
  std::uint64_t sum = 0;
  for (const auto& counter : counters) sum += counter.read();
  return sum;
}

Outcome run(const Setting& setting) {
  auto source = source::make_source(setting.input, {});
  EXPECT_TRUE(source.ok()) << source.error().message;
  std::vector<Collector> collectors(setting.workers);
  std::vector<flow::MeterCounters> counters(setting.workers);
  engine::EngineOptions options;
  options.workers = setting.workers;
  options.buckets = setting.buckets;
  options.ring_capacity = 256;
  options.lifetimes.idle_ns = 2 * base::kNanosecondsPerSecond;
  auto engine = MeterEngine::make(
      options, {source->get()}, std::move(*packet::Hasher::make("toeplitz", "")),
      [&](ProcessorId id) {
        return flow::FlowMeter({.active_ns = 3 * base::kNanosecondsPerSecond}, &collectors[id.value()],
                               counters[id.value()]);
      },
      [](ProcessorId) { return base::CycleClock{}; });
  EXPECT_TRUE(engine.ok());
  Outcome outcome;
  {
    engine::EngineThreads<MeterEngine> threads(**engine, {});
    threads.start();
    outcome.moves = setting.policy == "random" ? move_at_random(**engine, setting.seed)
                                               : move_by_policy(**engine, setting.policy);
    threads.finish();
  }
  for (const auto& collector : collectors)
    outcome.records.insert(outcome.records.end(), collector.records.begin(), collector.records.end());
  std::sort(outcome.records.begin(), outcome.records.end(),
            [](const auto& a, const auto& b) { return as_tuple(a) < as_tuple(b); });
  for (const auto& m : (*engine)->dispatcher_meters()) {
    outcome.received += m.received.read();
    outcome.accounted += total(m.by_parse_reason) + total(m.dropped);
  }
  for (const auto& m : (*engine)->worker_meters()) {
    outcome.accounted += m.processed.read() + total(m.dropped);
    outcome.ownership_violations += m.ownership_violations.read();
  }
  for (const auto& c : counters) outcome.order_violations += c.order_violations.read();
  return outcome;
}

void expect_laws(const Outcome& outcome) {
  EXPECT_EQ(outcome.received, outcome.accounted);
  EXPECT_EQ(outcome.order_violations, 0u);
  EXPECT_EQ(outcome.ownership_violations, 0u);
}

void expect_same_records(const Outcome& a, const Outcome& b, const Setting& setting) {
  const std::string name = setting.policy + ", " + std::to_string(setting.workers) + " workers, " +
                           std::to_string(setting.buckets) + " buckets";
  ASSERT_EQ(a.records.size(), b.records.size()) << name;
  for (std::size_t i = 0; i < a.records.size(); ++i)
    ASSERT_EQ(as_tuple(a.records[i]), as_tuple(b.records[i])) << name << ", record " << i;
}

// Against one worker that never moves anything.
void expect_sameness(const std::string& input) {
  const Outcome reference = run({.input = input});
  expect_laws(reference);
  ASSERT_GT(reference.records.size(), 0u);
  std::uint64_t random_moves = 0;
  for (const std::uint32_t workers : {1u, 2u, 3u, 8u}) {
    for (const char* policy : {"static", "index", "random"}) {
      const Setting setting{.input = input,
                            .workers = workers,
                            .buckets = workers == 3 ? 64u : 1024u,
                            .policy = policy,
                            .seed = workers};
      const Outcome outcome = run(setting);
      expect_laws(outcome);
      expect_same_records(reference, outcome, setting);
      if (setting.policy == "random") random_moves += outcome.moves;
    }
  }
  EXPECT_GT(random_moves, 0u) << "nothing moved: the test says nothing";
}

TEST(Sameness, GeneratedTrafficGivesTheSameRecordsAtAnyNumberOfWorkers) {
  expect_sameness("generator:campus,packets=200000,connections=3000,rate=20000");
}

TEST(Sameness, RealCapturesGiveTheSameRecordsAtAnyNumberOfWorkers) {
  const std::filesystem::path captures = EVENKEEL_SHARED_DIR "/traces/captures";
  if (!std::filesystem::exists(captures)) GTEST_SKIP() << captures << " is not here";
  for (const char* name : {"zeek__echo-connections.pcap", "ndpi__netflix.pcap",
                           "mix__dev_overlap_snap128.pcap", "zeek__gtp1_gn_normal_incl_fragmentation.pcap"})
    expect_sameness(captures / name);
}

}  // namespace
}  // namespace evenkeel
