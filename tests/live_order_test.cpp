// Workers that receive for themselves, while all buckets move: what handlers see, told by the packets' own
// numbers and not by the engine.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "actuator/in_process/steered_table_actuator.h"
#include "base/clock.h"
#include "base/random.h"
#include "engine/engine.h"
#include "engine/threads.h"
#include "source/live/live_inputs.h"
#include "tests/frame_sender.h"
#include "tests/packet_builder.h"
#include "tests/two_hosts.h"

namespace evenkeel::tests {
namespace {

constexpr std::uint32_t kWorkers = 3;
constexpr std::uint32_t kConnections = 32;
constexpr std::uint32_t kBuckets = 64;
constexpr int kMoves = 50;  // of all buckets

struct Seen {
  std::atomic<std::uint64_t> packets{0};
  std::atomic<std::uint64_t> out_of_order{0};
  std::atomic<std::uint64_t> misread{0};
};

struct Numbered {
  std::uint32_t connection;
  std::uint32_t number;
};

class NumberWitness {
 public:
  struct State {
    std::uint32_t next = 0;
  };
  using Connection = engine::Connection<State>;

  explicit NumberWitness(Seen& seen) : seen_(&seen) {}
  void open(Connection&, const Packet&) {}
  void packet(Connection& connection, const Packet& packet) {
    Numbered numbered{};
    if (packet.captured_length < packet.payload_offset + sizeof numbered) {
      ++seen_->misread;
      return;
    }
    std::memcpy(&numbered, packet.data + packet.payload_offset, sizeof numbered);
    ++seen_->packets;
    if (numbered.number < connection.state.next) ++seen_->out_of_order;
    connection.state.next = numbered.number + 1;
  }
  std::int64_t deadline_ns(const Connection&) const { return engine::kNoDeadline; }
  void due(const ConnectionKey&, Connection&, std::int64_t) {}
  void close(const ConnectionKey&, Connection&, engine::CloseReason, std::int64_t) {}
  void idle() {}

 private:
  Seen* seen_;
};

using WitnessEngine = engine::Engine<NumberWitness, base::CycleClock>;

TestPacket numbered_packet(const Numbered& numbered) {
  const auto port = static_cast<std::uint16_t>(3'000 + numbered.connection);
  PacketBuilder builder;
  if (numbered.connection % 4 == 3) builder.vlan(9);
  if (numbered.connection % 2 == 0) {
    builder.ipv4("10.9.0.1", "10.9.0.2");
  } else {
    builder.ipv6("fd09::1", "fd09::2");
  }
  Bytes payload(sizeof numbered);
  std::memcpy(payload.data(), &numbered, sizeof numbered);
  return builder.udp(port, 7).payload(payload).build();
}

// Sends numbered packets of all connections in turn, on one CPU, until told to stop.
std::uint64_t send_until(const std::atomic<bool>& stop, const std::string& interface) {
  const std::uint32_t cpus[] = {0};
  engine::pin_this_thread(cpus);
  FrameSender sender(interface);
  std::vector<TestPacket> packets;
  for (std::uint32_t i = 0; i < kConnections; ++i) packets.push_back(numbered_packet({i, 0}));
  for (std::uint32_t number = 0; !stop.load(); ++number) {
    for (TestPacket& packet : packets) {
      std::memcpy(packet.bytes.data() + packet.bytes.size() - sizeof number, &number, sizeof number);
      sender.send(packet.bytes);
    }
  }
  return sender.sent();
}

// Moves every bucket to another worker, kMoves times.
void move_all(actuator::SteeredTableActuator& actuator, base::Random& random) {
  for (int round = 0; round < kMoves; ++round) {
    while (!actuator.ready()) {
      ASSERT_TRUE(actuator.advance().ok());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::vector<Move> moves;
    for (std::uint32_t bucket = 0; bucket < kBuckets; ++bucket) {
      const ProcessorId from = actuator.owners()[bucket];
      const auto further = 1 + static_cast<std::uint32_t>(random.below(kWorkers - 1));
      moves.push_back(
          {.bucket = BucketId(bucket), .from = from, .to = ProcessorId((from.value() + further) % kWorkers)});
    }
    ASSERT_TRUE(actuator.apply(moves).ok());
  }
}

struct Outcome {
  std::uint64_t sent = 0;
  std::uint64_t ownership_violations = 0;
  std::uint64_t dropped = 0;
  std::string error;
};

// On the receiving host.
Outcome receive_while_all_moves(const std::string& input, Seen& seen, std::atomic<bool>& receiving,
                                const std::function<std::uint64_t()>& end_sending) {
  Outcome outcome;
  auto live = source::open_live_inputs({input}, {.workers = kWorkers,
                                                 .buckets = kBuckets,
                                                 .filter = "udp port 7 or (vlan and udp port 7)",
                                                 .xdp_use = source::XdpUse::kConsume});
  if (!live) {
    outcome.error = live.error().message;
    receiving = true;
    end_sending();
    return outcome;
  }
  engine::EngineOptions options;
  options.workers = kWorkers;
  options.buckets = kBuckets;
  options.connections_max = 1'000;
  options.steered = (*live)->steered();
  options.moves = &(*live)->moves();
  auto engine = WitnessEngine::make(
      options, (*live)->sources(), std::move(*packet::Hasher::make("toeplitz", "")),
      [&](ProcessorId) { return NumberWitness(seen); }, [](ProcessorId) { return base::CycleClock{}; });
  actuator::SteeredTableActuator actuator((*engine)->board(), (*live)->moves(), **live);
  if (auto started = (*live)->start((*engine)->board().newest().owner); !started)
    outcome.error = started.error().message;
  engine::EngineThreads<WitnessEngine> threads(
      **engine, {}, {},
      {.wait = [&](std::size_t worker) { (*live)->wait(worker); },
       .backlogged = [&](std::size_t worker,
                         std::size_t packets) { return (*live)->backlogged(worker, packets); }});
  if (auto begun = threads.start(); !begun) outcome.error = begun.error().message;
  receiving = true;
  base::Random random(7);
  if (outcome.error.empty()) move_all(actuator, random);
  outcome.sent = end_sending();
  (*live)->stop();
  while (!(*engine)->drained()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  threads.finish();
  threads.join();
  for (const auto& meters : (*engine)->worker_meters())
    outcome.ownership_violations += meters.ownership_violations.read();
  for (const auto& meters : (*engine)->dispatcher_meters()) {
    for (const auto& counter : meters.dropped) outcome.dropped += counter.read();
  }
  for (const auto& meters : (*engine)->worker_meters()) {
    for (const auto& counter : meters.dropped) outcome.dropped += counter.read();
  }
  return outcome;
}

// The parameter stands in front of the interface's name.
class LiveOrderTest : public testing::TestWithParam<const char*> {};

TEST_P(LiveOrderTest, EveryConnectionStaysInOrderWhileAllBucketsMoveFiftyTimes) {
  if (const std::string why = TwoHosts::why_not(); !why.empty()) GTEST_SKIP() << why;
  const TwoHosts hosts;
  for (const Host host : {Host::kA, Host::kB})
    hosts.run_on(host, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
  Seen seen;
  Outcome outcome;
  std::atomic<bool> receiving{false}, stop{false};
  std::uint64_t sent = 0;
  std::thread sender = hosts.thread_on(Host::kA, [&] {
    while (!receiving.load()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    sent = send_until(stop, hosts.interface(Host::kA));
  });
  hosts
      .thread_on(Host::kB,
                 [&] {
                   outcome =
                       receive_while_all_moves(GetParam() + hosts.interface(Host::kB), seen, receiving, [&] {
                         stop = true;
                         sender.join();
                         return sent;
                       });
                 })
      .join();
  ASSERT_EQ(outcome.error, "");
  EXPECT_GT(seen.packets.load(), 10'000u);
  EXPECT_EQ(seen.packets.load() + outcome.dropped, outcome.sent) << "a slow machine may drop, but counts it";
  EXPECT_EQ(seen.misread.load(), 0u);
  EXPECT_EQ(seen.out_of_order.load(), 0u);
  EXPECT_EQ(outcome.ownership_violations, 0u);
}

INSTANTIATE_TEST_SUITE_P(Ways, LiveOrderTest, testing::Values("af_packet:", "af_xdp:"));

}  // namespace
}  // namespace evenkeel::tests
