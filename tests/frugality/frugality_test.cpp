// Laws 7 and 6, by steps: dispatcher and worker are driven in one thread, and every call of the allocator is
// counted. A program of its own, as it replaces malloc.
//
// What may allocate after start-up, and is left out here on purpose:
//   - control events: publishing a table version (the control thread), and adopting one that moves more than
//     a few hundred buckets at once (the list of marks that a full ring has not taken yet);
//   - the sink of the records, which is the handler's: here it only counts.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <memory>

#include "base/clock.h"
#include "engine/engine.h"
#include "flow/meter.h"
#include "packet_builder.h"
#include "run_support.h"
#include "source/make_source.h"

#if defined(__GLIBC__)
namespace {
std::atomic<std::uint64_t> allocations{0};
void count_allocation() {
  allocations.fetch_add(1, std::memory_order_relaxed);
}  // a count, read in this thread
}  // namespace

// operator new comes here, too.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* malloc(std::size_t size) {
  count_allocation();
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  count_allocation();
  return __libc_calloc(count, size);
}
void* realloc(void* memory, std::size_t size) {
  count_allocation();
  return __libc_realloc(memory, size);
}
}

namespace evenkeel::tests {
namespace {

using MeterEngine = engine::Engine<flow::FlowMeter, base::CycleClock>;

class CountingSink : public flow::RecordSink {
 public:
  void write(const flow::FlowRecord&) override { ++records; }
  std::uint64_t records = 0;
};

// An engine that the test steps by hand.
class SteppedRun {
 public:
  SteppedRun(const std::string& input, engine::EngineOptions options) : counters_(options.workers) {
    auto source = source::make_source(input, {});
    EXPECT_TRUE(source.ok()) << source.error().message;
    source_ = std::move(*source);
    auto engine = MeterEngine::make(
        options, {source_.get()}, std::move(*packet::Hasher::make("toeplitz", "")),
        [&](ProcessorId id) { return flow::FlowMeter({}, &sink_, counters_[id.value()]); },
        [](ProcessorId) { return base::CycleClock{}; });
    EXPECT_TRUE(engine.ok());
    engine_ = std::move(*engine);
  }

  // The dispatcher once, every worker once.
  void step() {
    engine_->dispatchers().front()->step();
    for (const auto& worker : engine_->workers()) worker->step();
  }
  bool drained() const { return engine_->drained(); }
  MeterEngine& engine() { return *engine_; }

  std::uint64_t received() const { return engine_->dispatcher_meters().front().received.read(); }
  std::uint64_t sum(meter::Counter meter::WorkerMeters::*counter) const {
    std::uint64_t total = 0;
    for (const auto& meters : engine_->worker_meters()) total += (meters.*counter).read();
    return total;
  }
  std::uint64_t live() const {
    return sum(&meter::WorkerMeters::connections_opened) - sum(&meter::WorkerMeters::connections_closed) -
           sum(&meter::WorkerMeters::connections_expired) - sum(&meter::WorkerMeters::connections_evicted);
  }

 private:
  std::unique_ptr<Source> source_;
  CountingSink sink_;
  std::vector<flow::MeterCounters> counters_;
  std::unique_ptr<MeterEngine> engine_;
};

engine::EngineOptions options_of(std::uint32_t workers, std::uint32_t connections_max) {
  engine::EngineOptions options;
  options.workers = workers;
  options.buckets = 256;
  options.connections_max = connections_max;
  options.lifetimes.idle_ns = base::kNanosecondsPerSecond;  // connections come, end and expire all along
  return options;
}

// From the tenth part of the input on, where lists have their size.
std::uint64_t allocations_when_warm(SteppedRun& run, std::uint64_t packets) {
  while (run.received() < packets / 10) run.step();
  const std::uint64_t before = allocations.load(std::memory_order_relaxed);
  while (!run.drained()) run.step();
  return allocations.load(std::memory_order_relaxed) - before;
}

TEST(Frugality, TheCounterCounts) {
  const std::uint64_t before = allocations.load(std::memory_order_relaxed);
  auto memory = std::make_unique<std::vector<int>>(100);
  EXPECT_EQ(memory->size(), 100u);
  EXPECT_EQ(allocations.load(std::memory_order_relaxed) - before, 2u);
}

TEST(Frugality, ThePacketPathAllocatesNothingAfterStart) {
  for (const char* profile : {"campus", "mice", "elephants"}) {
    SteppedRun run(std::string("generator:") + profile + ",packets=300000,connections=3000,rate=30000",
                   options_of(2, 100'000));
    EXPECT_EQ(allocations_when_warm(run, 300'000), 0u) << profile;
    EXPECT_EQ(run.sum(&meter::WorkerMeters::processed), 300'000u);
    EXPECT_GT(run.sum(&meter::WorkerMeters::connections_closed) +
                  run.sum(&meter::WorkerMeters::connections_expired),
              1'000u)
        << "no connection ended: the test says little";
  }
}

TEST(Frugality, FragmentsAndMalformedPacketsFromAFileAllocateNothing) {
  const ScratchFolder folder;
  std::vector<TestPacket> kinds = packets_of_every_kind(), packets;
  std::erase_if(kinds, [](const TestPacket& packet) { return packet.link != LinkType::kEthernet; });
  for (int round = 0; round < 200; ++round) {
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      // Every third one is cut short; fragments come in other orders in other rounds.
      const TestPacket& packet = kinds[(i * 7 + static_cast<std::size_t>(round)) % kinds.size()];
      const TestPacket whole = packet.at(1'700'000'000'000'000'000 + round * 1'000'000'000LL);
      packets.push_back((i + static_cast<std::size_t>(round)) % 3 == 0 ? whole.cut(whole.bytes.size() / 3)
                                                                       : whole);
    }
  }
  write_file(folder / "kinds.pcap", pcap_file(packets));
  SteppedRun run(folder / "kinds.pcap", options_of(2, 10'000));
  EXPECT_EQ(allocations_when_warm(run, packets.size()), 0u);
  EXPECT_EQ(run.received(), packets.size());
}

TEST(Frugality, EvictionAllocatesNothing) {
  SteppedRun run("generator:syn-flood,packets=300000,connections=20000", options_of(2, 1'000));
  EXPECT_EQ(allocations_when_warm(run, 300'000), 0u);
  EXPECT_GT(run.sum(&meter::WorkerMeters::connections_evicted), 10'000u);
}

// Moves are control events; what the packets after them cost is still nothing.
TEST(Frugality, NothingIsAllocatedForPacketsAfterAMove) {
  SteppedRun run("generator:campus,packets=300000,connections=3000,rate=30000", options_of(2, 100'000));
  while (run.received() < 30'000) run.step();
  std::uint64_t in_steps = 0;
  for (std::uint32_t j = 0; !run.drained(); ++j) {
    if (run.engine().board().settled()) {
      const std::uint32_t from = run.engine().board().newest().owner[j % 256];
      const bucket::Reassignment move{BucketId(j % 256), ProcessorId(from), ProcessorId(1 - from)};
      run.engine().board().publish({&move, 1});
    }
    const std::uint64_t before = allocations.load(std::memory_order_relaxed);
    for (int i = 0; i < 10; ++i) run.step();
    in_steps += allocations.load(std::memory_order_relaxed) - before;
  }
  EXPECT_EQ(in_steps, 0u);
  EXPECT_GT(run.sum(&meter::WorkerMeters::buckets_taken_over), 100u);
}

TEST(Boundedness, AFloodOfConnectionsNeverHasMoreThanTheLimitLive) {
  constexpr std::uint32_t kLimit = 2'000;
  SteppedRun run("generator:syn-flood,packets=500000,connections=50000", options_of(3, kLimit));
  std::uint64_t most = 0;
  while (!run.drained()) {
    run.step();
    most = std::max(most, run.live());
  }
  EXPECT_LE(most, kLimit);
  EXPECT_GT(most, kLimit / 2);
  EXPECT_GT(run.sum(&meter::WorkerMeters::connections_evicted), 100'000u);
}

// Also those of the first burst, before which a worker has no packet time.
TEST(Boundedness, ConnectionsExpireByTimersAloneFromTheFirstBurstOn) {
  const ScratchFolder folder;
  std::vector<TestPacket> packets;
  constexpr std::int64_t kStart = 1'700'000'000'000'000'000;
  for (std::uint16_t port = 1; port <= 20; ++port) {
    packets.push_back(
        PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").udp(port, 9).payload(1).time_ns(kStart + port).build());
  }
  packets.push_back(packets.back().at(kStart + 3 * base::kNanosecondsPerSecond));
  write_file(folder / "burst.pcap", pcap_file(packets));
  SteppedRun run(folder / "burst.pcap", options_of(2, 100));
  while (!run.drained()) run.step();
  for (int i = 0; i < 100; ++i) run.step();
  EXPECT_EQ(run.live(), 1u);
}

}  // namespace
}  // namespace evenkeel::tests
#endif
