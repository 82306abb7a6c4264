#include "run_support.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>

#include "actuator/in_process/table_actuator.h"
#include "base/clock.h"
#include "base/random.h"
#include "control/load_meter.h"
#include "engine/engine.h"
#include "engine/threads.h"
#include "evenkeel/policy.h"
#include "flow/meter.h"
#include "source/make_source.h"

namespace evenkeel::tests {
namespace {

using MeterEngine = engine::Engine<flow::FlowMeter, base::CycleClock>;

class Collector : public flow::RecordSink {
 public:
  void write(const flow::FlowRecord& record) override { records.push_back(record); }
  std::vector<flow::FlowRecord> records;
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
    load_meter.measure({.ticks = base::CycleClock::ticks(), .waiting = waiting}, actuator.owners());
    if (!actuator.ready()) continue;
    EXPECT_TRUE((*policy)->plan(load_meter.snapshot(actuator.owners()), plan).ok());
    EXPECT_TRUE(actuator.apply(plan.moves).ok());
    moved += plan.moves.size();
  }
  return moved;
}

engine::EngineOptions engine_options(const RunSetting& setting) {
  engine::EngineOptions options;
  options.workers = setting.workers;
  options.buckets = setting.buckets;
  options.ring_capacity = 256;  // small: dispatchers meet full rings
  options.lifetimes.idle_ns = setting.idle_ns;
  options.lifetimes.half_open_ns = setting.half_open_ns;
  options.connections_max = setting.connections_max;
  options.parse.inner_tunnel = setting.inner_tunnel;
  return options;
}

void add_dispatcher(const engine::DispatcherMeters& meters, RunOutcome& outcome) {
  outcome.received += meters.received.read();
  for (std::size_t i = 0; i < packet::kReasons; ++i) {
    const packet::Verdict verdict = packet::verdict_of(static_cast<packet::Reason>(i));
    const std::uint64_t packets = meters.by_parse_reason[i].read();
    if (verdict == packet::Verdict::kMalformed) outcome.malformed += packets;
    if (verdict == packet::Verdict::kUnclassified) outcome.unclassified += packets;
  }
  for (std::size_t i = 0; i < meter::kDropReasons; ++i) outcome.dropped[i] += meters.dropped[i].read();
}

void add_worker(const meter::WorkerMeters& meters, RunOutcome& outcome) {
  outcome.processed += meters.processed.read();
  for (std::size_t i = 0; i < meter::kDropReasons; ++i) outcome.dropped[i] += meters.dropped[i].read();
  outcome.opened += meters.connections_opened.read();
  outcome.closed += meters.connections_closed.read();
  outcome.expired += meters.connections_expired.read();
  outcome.evicted += meters.connections_evicted.read();
  outcome.live += meters.connections_flushed.read();
  outcome.ownership_violations += meters.ownership_violations.read() + meters.timers.fired_off_owner.read();
}

void sort(std::vector<flow::FlowRecord>& records) {
  std::sort(records.begin(), records.end(),
            [](const auto& a, const auto& b) { return as_tuple(a) < as_tuple(b); });
}

}  // namespace

std::string RunSetting::name() const {
  return (inputs.empty() ? "nothing" : inputs.front()) + ", " + policy + ", " + std::to_string(workers) +
         " workers, " + std::to_string(buckets) + " buckets, seed " + std::to_string(seed) +
         (inner_tunnel ? ", inner" : "");
}

std::uint64_t RunOutcome::dropped_total() const {
  return std::accumulate(dropped.begin(), dropped.end(), std::uint64_t{0});
}

RunOutcome run(const RunSetting& setting) {
  RunOutcome outcome;
  auto source = source::make_source(setting.inputs, {});
  if (!source) {
    ADD_FAILURE() << source.error().message;
    return outcome;
  }
  std::vector<Collector> collectors(setting.workers);
  std::vector<flow::MeterCounters> counters(setting.workers);
  auto engine = MeterEngine::make(
      engine_options(setting), {source->get()}, std::move(*packet::Hasher::make("toeplitz", "")),
      [&](ProcessorId id) {
        return flow::FlowMeter({.active_ns = setting.active_ns}, &collectors[id.value()],
                               counters[id.value()]);
      },
      [](ProcessorId) { return base::CycleClock{}; });
  EXPECT_TRUE(engine.ok());
  {
    engine::EngineThreads<MeterEngine> threads(**engine, {});
    EXPECT_TRUE(threads.start().ok());
    outcome.moves = setting.policy == "random" ? move_at_random(**engine, setting.seed)
                                               : move_by_policy(**engine, setting.policy);
    threads.finish();
  }
  for (const auto& collector : collectors)
    outcome.records.insert(outcome.records.end(), collector.records.begin(), collector.records.end());
  sort(outcome.records);
  for (const auto& meters : (*engine)->dispatcher_meters()) add_dispatcher(meters, outcome);
  for (const auto& meters : (*engine)->worker_meters()) add_worker(meters, outcome);
  for (const auto& c : counters) outcome.order_violations += c.order_violations.read();
  if (const auto error = (*source)->error()) outcome.input_error = error->message;
  return outcome;
}

void expect_laws(const RunOutcome& outcome, const std::string& name) {
  EXPECT_EQ(outcome.received,
            outcome.processed + outcome.dropped_total() + outcome.malformed + outcome.unclassified)
      << name;
  EXPECT_EQ(outcome.order_violations, 0u) << name;
  EXPECT_EQ(outcome.ownership_violations, 0u) << name;
  EXPECT_EQ(outcome.opened, outcome.closed + outcome.expired + outcome.evicted + outcome.live) << name;
  std::uint64_t packets = 0;
  for (const flow::FlowRecord& record : outcome.records) packets += record.packets + record.reverse_packets;
  EXPECT_EQ(packets, outcome.processed) << name;
}

void expect_same_records(const RunOutcome& a, const RunOutcome& b, const std::string& name) {
  ASSERT_EQ(a.records.size(), b.records.size()) << name;
  for (std::size_t i = 0; i < a.records.size(); ++i)
    ASSERT_EQ(as_tuple(a.records[i]), as_tuple(b.records[i])) << name << ", record " << i;
}

ScratchFolder::ScratchFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "evenkeel-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "cannot make a folder " << name;
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace evenkeel::tests
