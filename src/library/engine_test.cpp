// The library's engine with real threads: what handlers see, and what bad use gives.
#include "evenkeel/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "evenkeel/push_source.h"
#include "tests/packet_builder.h"

namespace evenkeel {
namespace {

using namespace std::chrono_literals;
using tests::PacketBuilder;
using tests::TestPacket;

const std::string kTraffic = "generator:campus,packets=60000,connections=800,rate=8000";

// What a handler saw of one connection, in a form that can be compared between runs.
struct Life {
  std::string connection;
  std::uint64_t packets = 0, bytes = 0, reverse = 0;
  std::uint64_t timers = 0;  // a checksum over their times and the packets before them
  CloseReason reason = CloseReason::kIdle;
  std::int64_t end_ns = 0;

  auto as_tuple() const { return std::tie(connection, packets, bytes, reverse, timers, reason, end_ns); }
  bool operator<(const Life& other) const { return as_tuple() < other.as_tuple(); }
  bool operator==(const Life& other) const { return as_tuple() == other.as_tuple(); }
};

// Writes the lives of connections, with a timer that runs now and then and another that is restarted by each
// packet.
struct Biographer {
  struct State {
    Life life;
    std::vector<std::int64_t> times;  // owns memory: constructors and destructors run
  };
  static_assert(sizeof(State) <= kStateBytesMax);
  static constexpr std::uint32_t kTimers = 2;

  void on_open(Connection<State>& connection, const Packet& packet) {
    connection->life.connection = to_string(connection.initiator()) + " " + to_string(connection.responder());
    EXPECT_EQ(connection.initiator(), source_of(packet));
    EXPECT_TRUE(connection.start_timer(300ms, 0));
  }
  void on_packet(Connection<State>& connection, const Packet& packet) {
    ++connection->life.packets;
    connection->life.bytes += packet.ip_octets;
    if (!connection.forward(packet)) ++connection->life.reverse;
    EXPECT_TRUE(connection.start_timer(50ms, 1));
    connection->times.push_back(packet.now_ns);
    EXPECT_TRUE(std::is_sorted(connection->times.begin(), connection->times.end()));
  }
  void on_timer(Connection<State>& connection, std::uint32_t timer) {
    const auto now = static_cast<std::uint64_t>(connection.now_ns());
    connection->life.timers = connection->life.timers * 31 + now * 7 + connection->life.packets * 3 + timer;
    connection->times.push_back(connection.now_ns());
    EXPECT_TRUE(std::is_sorted(connection->times.begin(), connection->times.end()));
    ++fired;
    EXPECT_FALSE(connection.timer_runs(timer));
    EXPECT_FALSE(connection.restart_timer(1s, timer)) << "it has fired: it does not run";
    if (timer == 0 && connection->times.size() < 40) connection.start_timer(120ms, 0);
    if (timer == 0 && connection->life.packets % 3 == 0) connection.cancel_timer(1);
  }
  void on_close(Connection<State>& connection, CloseReason reason) {
    connection->life.reason = reason;
    connection->life.end_ns = connection.now_ns();
    lives.push_back(connection->life);
  }

  std::vector<Life> lives;
  std::uint64_t fired = 0;
};

struct Outcome {
  std::vector<Life> lives;
  Report report;
};

template <typename Handler>
Outcome outcome_of(Engine<Handler>& engine, Report report) {
  Outcome outcome{{}, std::move(report)};
  for (std::size_t i = 0; i < engine.size(); ++i) {
    const auto& lives = engine.handler(i).lives;
    outcome.lives.insert(outcome.lives.end(), lives.begin(), lives.end());
  }
  std::sort(outcome.lives.begin(), outcome.lives.end());
  return outcome;
}

Outcome run(const Options& options) {
  auto engine = Engine<Biographer>::make(options);
  EXPECT_TRUE(engine.ok()) << engine.error().message;
  auto report = engine->run();
  EXPECT_TRUE(report.ok()) << report.error().message;
  return outcome_of(*engine, *report);
}

void expect_laws(const Report& report) {
  EXPECT_TRUE(report.ended);
  EXPECT_EQ(report.order_violations, 0u);
  EXPECT_EQ(report.ownership_violations, 0u);
  EXPECT_FALSE(report.input_error());
  EXPECT_EQ(report.packets.received, report.packets.processed + total(report.packets.malformed) +
                                         total(report.packets.unclassified) + total(report.packets.dropped));
}

std::uint64_t dropped(const Report& report, const std::string& reason) {
  for (const ReasonCount& count : report.packets.dropped)
    if (count.reason == reason) return count.packets;
  return 0;
}

// Moves a bucket each round, whatever the loads say.
class RestlessPolicy : public Policy {
 public:
  std::string_view name() const override { return "restless"; }
  Result<void> plan(const Snapshot& snapshot, Plan& plan) override {
    plan.moves.clear();
    const auto workers = static_cast<std::uint32_t>(snapshot.capacity.size());
    for (int i = 0; i < 16; ++i) {
      next_ = (next_ + 7) % snapshot.owner.size();
      const ProcessorId from = snapshot.owner[next_];
      const auto bucket = BucketId(static_cast<std::uint32_t>(next_));
      plan.moves.push_back({bucket, from, ProcessorId((from.value() + 1) % workers)});
    }
    return {};
  }

 private:
  std::size_t next_ = 0;
};

TEST(Sameness, HandlersSeeTheSameLivesAndTimersAtAnyNumberOfWorkersAndMoves) {
  const Outcome reference = run({.inputs = {kTraffic}, .workers = 1, .idle_timeout = 1s, .policy = "static"});
  expect_laws(reference.report);
  EXPECT_GT(reference.lives.size(), 800u);
  for (const std::uint32_t workers : {2u, 5u}) {
    const Outcome moved = run({.inputs = {kTraffic},
                               .workers = workers,
                               .buckets = 64,
                               .idle_timeout = 1s,
                               .own_policy = std::make_shared<RestlessPolicy>(),
                               .rebalance_interval = 1ms});
    expect_laws(moved.report);
    EXPECT_GT(moved.report.moves, 0u);
    EXPECT_EQ(moved.lives, reference.lives) << workers << " workers";
  }
}

TEST(Timers, FireInOrderAmongPacketsAndOftenEnoughToMatter) {
  auto engine = Engine<Biographer>::make({.inputs = {kTraffic}, .workers = 1, .idle_timeout = 1s});
  ASSERT_TRUE(engine->run().ok());
  EXPECT_GT(engine->handler(0).fired, 2000u);
}

// Each packet 100 ms after the one before, of one connection.
std::vector<TestPacket> steady_packets(int count) {
  std::vector<TestPacket> packets;
  for (int i = 0; i < count; ++i)
    packets.push_back(PacketBuilder()
                          .ipv4("10.0.0.1", "10.0.0.2")
                          .udp(1000, 53)
                          .payload(10)
                          .time_ns(1'700'000'000'000'000'000 + i * 100'000'000LL)
                          .build());
  return packets;
}

void push_all(PushSource& source, const std::vector<TestPacket>& packets) {
  for (const TestPacket& packet : packets)
    ASSERT_EQ(source.push({packet.bytes, packet.time_ns}), PushStatus::kTaken);
}

struct TimerTimes {
  struct State {};
  void on_packet(Connection<State>& connection, const Packet&) {
    if (packets++ == 0) connection.start_timer(250ms);
  }
  void on_timer(Connection<State>& connection, std::uint32_t) {
    fired.push_back({connection.now_ns() - 1'700'000'000'000'000'000, packets});
    connection.start_timer(250ms);
  }
  int packets = 0;
  std::vector<std::pair<std::int64_t, int>> fired;
};

TEST(Timers, FireAtTheirOwnTimeBetweenTheConnectionsPackets) {
  auto source = *PushSource::make({});
  push_all(*source, steady_packets(11));
  source->end();
  auto engine = Engine<TimerTimes>::make({.sources = {source}, .workers = 1});
  ASSERT_TRUE(engine->run().ok());
  const std::vector<std::pair<std::int64_t, int>> expected = {
      {250'000'000, 3}, {500'000'000, 5}, {750'000'000, 8}, {1'000'000'000, 10}};
  EXPECT_EQ(engine->handler(0).fired, expected);
}

TEST(Timers, FireWhileASourceIsSilentWhenItSaysThatTimePasses) {
  auto source = *PushSource::make({});
  auto engine = Engine<TimerTimes>::make({.sources = {source}, .workers = 1, .idle_timeout = 2s});
  ASSERT_TRUE(engine->start().ok());
  push_all(*source, steady_packets(1));
  source->pass_time(1'700'000'000'000'000'000 + 10'000'000'000);
  while (engine->report().connections.expired == 0) std::this_thread::yield();
  source->end();
  ASSERT_TRUE(engine->wait().ok());
  EXPECT_EQ(engine->handler(0).fired.size(), 8u) << "every 250 ms, until the connection ended after 2 s";
}

TEST(Timers, APacketAtTheEndOfTimeDoesNotHoldUpTheEngine) {
  auto source = *PushSource::make({});
  push_all(*source, steady_packets(3));
  auto packets = steady_packets(1);
  packets[0].time_ns = std::numeric_limits<std::int64_t>::max();
  push_all(*source, packets);
  source->end();
  auto engine = Engine<TimerTimes>::make({.sources = {source}, .workers = 1});
  ASSERT_TRUE(engine->run().ok());
  EXPECT_EQ(engine->report().packets.processed, 4u);
}

struct Restless {
  struct State {};
  void on_packet(Connection<State>& connection, const Packet&) { connection.start_timer(1ms); }
  void on_timer(Connection<State>& connection, std::uint32_t) {
    connection.start_timer(1ms);
    ++fired;
  }
  void on_close(Connection<State>& connection, CloseReason) {
    timers_in_close += connection.start_timer(1ms) || connection.timer_runs();
  }
  int timers_in_close = 0;
  static inline std::atomic<int> fired{0};
};

TEST(Timers, AllThatIsDueFiresWhenTimePassesAtOnceAndNoneRunsInOnClose) {
  constexpr std::int64_t kBegin_ns = 1'700'000'000'000'000'000;
  auto source = *PushSource::make({});
  push_all(*source, {PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").udp(1000, 53).time_ns(kBegin_ns).build()});
  auto engine = Engine<Restless>::make({.sources = {source}, .workers = 1});
  ASSERT_TRUE(engine->start().ok());
  source->pass_time(kBegin_ns + 1'000'000'000);
  while (Restless::fired < 1000) std::this_thread::yield();
  source->end();
  ASSERT_TRUE(engine->wait().ok());
  EXPECT_EQ(Restless::fired, 1000);
  EXPECT_EQ(engine->handler(0).timers_in_close, 0);
}

// Callbacks whose addresses cannot be taken are called all the same.
struct Generic {
  struct State {};
  void on_packet(Connection<State>& connection, const Packet&) {
    started += connection.start_timer(1ms) ? 1 : 0;
  }
  void on_open(auto&, const auto&) { ++opened; }
  void on_timer(auto&, std::uint32_t) { ++fired; }
  void on_close(auto&, CloseReason) { ++closed; }
  int opened = 0, started = 0, fired = 0, closed = 0;
};

TEST(Handler, GenericCallbacksAreCalled) {
  auto source = *PushSource::make({});
  push_all(*source, steady_packets(3));
  source->end();
  auto engine = *Engine<Generic>::make({.sources = {source}, .workers = 1});
  ASSERT_TRUE(engine.run().ok());
  const Generic& handler = engine.handler(0);
  EXPECT_EQ(handler.opened, 1);
  EXPECT_EQ(handler.started, 3);
  EXPECT_GT(handler.fired, 0);
  EXPECT_EQ(handler.closed, 1);
}

struct EndTimes {
  struct State {};
  void on_packet(Connection<State>&, const Packet&) {}
  void on_close(Connection<State>& connection, CloseReason) { ended_ns.push_back(connection.now_ns()); }
  std::vector<std::int64_t> ended_ns;
};

TEST(Timers, AHandshakeThatNobodyCompletesEndsAfterItsOwnTimeout) {
  constexpr std::int64_t kBegin_ns = 1'700'000'000'000'000'000;
  auto source = *PushSource::make({});
  push_all(*source, {PacketBuilder()
                         .ipv4("10.0.0.1", "10.0.0.2")
                         .tcp(1000, 80, tests::kTcpSyn)
                         .time_ns(kBegin_ns)
                         .build()});
  source->pass_time(kBegin_ns + 10'000'000'000);
  source->end();
  auto engine = Engine<EndTimes>::make({.sources = {source}, .workers = 1, .half_open_timeout = 2s});
  ASSERT_TRUE(engine->run().ok());
  EXPECT_EQ(engine->handler(0).ended_ns, std::vector{kBegin_ns + 2'000'000'000});
}

struct BadTimers {
  struct State {};
  static constexpr std::uint32_t kTimers = 1;
  void on_packet(Connection<State>& connection, const Packet&) {
    refused += !connection.start_timer(1s, 1) + !connection.start_timer(-1s) +
               !connection.start_timer(24h * 365) + !connection.cancel_timer(7) + !connection.timer_runs(7);
  }
  void on_timer(Connection<State>&, std::uint32_t) { ++fired; }
  int refused = 0, fired = 0;
};

TEST(Timers, OneThatIsNotThereOrADelayThatCannotBeIsRefused) {
  auto source = *PushSource::make({});
  push_all(*source, steady_packets(1));
  source->end();
  auto engine = Engine<BadTimers>::make({.sources = {source}, .workers = 1});
  ASSERT_TRUE(engine->run().ok());
  EXPECT_EQ(engine->handler(0).refused, 5);
  EXPECT_EQ(engine->handler(0).fired, 0);
}

struct Bypasser {
  struct State {
    int packets = 0;
  };
  void on_packet(Connection<State>& connection, const Packet&) {
    if (++connection->packets == 3) connection.bypass();
    ++packets;
  }
  void on_close(Connection<State>& connection, CloseReason) {
    EXPECT_EQ(connection->packets, 3);
    ++closed;
  }
  int packets = 0, closed = 0;
};

TEST(Bypass, PacketsAfterItAreCountedAndNotShown) {
  auto source = *PushSource::make({});
  push_all(*source, steady_packets(20));
  source->end();
  auto engine = Engine<Bypasser>::make({.sources = {source}, .workers = 1});
  const auto report = engine->run();
  ASSERT_TRUE(report.ok());
  expect_laws(*report);
  EXPECT_EQ(engine->handler(0).packets, 3);
  EXPECT_EQ(engine->handler(0).closed, 1);
  EXPECT_EQ(report->packets.processed, 3u);
  EXPECT_EQ(dropped(*report, "bypassed"), 17u);
}

struct Constructed {
  struct State {
    State() { ++alive; }
    ~State() { --alive; }
    std::string text = std::string(100, 'x');
    static inline std::atomic<int> alive{0};
  };
  void on_packet(Connection<State>& connection, const Packet&) { sum += connection->text.size(); }
  std::size_t sum = 0;
};

TEST(State, EachIsConstructedAndDestroyedOnceWhateverEndsItsConnection) {
  auto engine = Engine<Constructed>::make({.inputs = {"generator:syn-flood,packets=30000,connections=5000"},
                                           .connections_max = 500,
                                           .idle_timeout = 1s});
  const auto report = engine->run();
  ASSERT_TRUE(report.ok());
  expect_laws(*report);
  EXPECT_GT(report->connections.evicted, 0u);
  EXPECT_EQ(Constructed::State::alive.load(), 0);
}

template <std::size_t kBytes>
struct Sized {
  struct State {
    std::array<std::uint8_t, kBytes> bytes{};
  };
  void on_packet(Connection<State>& connection, const Packet& packet) {
    std::array<std::uint8_t, kBytes>& bytes = connection->bytes;
    wrong += std::any_of(bytes.begin(), bytes.end(), [&](std::uint8_t b) { return b != bytes[0]; });
    bytes.fill(static_cast<std::uint8_t>(packet.sequence));
  }
  std::uint64_t wrong = 0;
};

template <std::size_t kBytes>
void expect_state_kept() {
  auto engine = Engine<Sized<kBytes>>::make({.inputs = {"generator:campus,packets=5000,connections=100"}});
  ASSERT_TRUE(engine.ok()) << engine.error().message;
  const auto report = engine->run();
  ASSERT_TRUE(report.ok());
  expect_laws(*report);
  EXPECT_EQ(engine->handler(0).wrong + engine->handler(1).wrong, 0u) << kBytes << " bytes";
}

TEST(State, OfEverySizeIsKeptWhole) {
  expect_state_kept<1>();
  expect_state_kept<24>();
  expect_state_kept<25>();
  expect_state_kept<56>();
  expect_state_kept<120>();
  expect_state_kept<kStateBytesMax>();
}

TEST(Engine, TwoRunInOneProcessAndDoNotMeet) {
  auto one = Engine<Biographer>::make({.inputs = {kTraffic}, .workers = 1, .idle_timeout = 1s});
  auto two = Engine<Biographer>::make({.inputs = {kTraffic}, .workers = 2, .idle_timeout = 1s});
  ASSERT_TRUE(one->start().ok() && two->start().ok());
  const auto report_one = one->wait(), report_two = two->wait();
  ASSERT_TRUE(report_one.ok() && report_two.ok());
  EXPECT_EQ(outcome_of(*one, *report_one).lives, outcome_of(*two, *report_two).lives);
}

TEST(Engine, StopServesWhatIsInsideAndEnds) {
  auto engine = Engine<Biographer>::make({.inputs = {"generator:campus,packets=1000000000"}});
  ASSERT_TRUE(engine->start().ok());
  while (engine->report().packets.processed == 0) std::this_thread::yield();
  EXPECT_FALSE(engine->report().ended);
  engine->stop();
  const auto report = engine->wait();
  ASSERT_TRUE(report.ok());
  expect_laws(*report);
  EXPECT_EQ(report->packets.received, report->packets.processed + total(report->packets.unclassified));
  EXPECT_NE(engine->report_json().find("\"interrupted\": true"), std::string::npos);
}

TEST(Engine, TheDestructorEndsARunThatNobodyWaitedFor) {
  auto engine = Engine<Biographer>::make({.inputs = {"generator:campus,packets=1000000000"}});
  ASSERT_TRUE(engine->start().ok());
}

TEST(Engine, ASecondStartAndAWaitBeforeTheFirstAreUsageErrors) {
  auto engine = Engine<Biographer>::make({.inputs = {kTraffic}});
  ASSERT_FALSE(engine->wait().ok());
  EXPECT_EQ(engine->wait().error().kind, ErrorKind::kUsage);
  EXPECT_EQ(engine->report().packets.received, 0u);
  ASSERT_TRUE(engine->run().ok());
  EXPECT_EQ(engine->start().error().kind, ErrorKind::kUsage);
  EXPECT_EQ(engine->run().error().kind, ErrorKind::kUsage);
  engine->stop();
  EXPECT_TRUE(engine->wait().ok()) << "the report stays";
}

TEST(Engine, AfterAMoveTheOldOneGivesErrors) {
  auto engine = Engine<Biographer>::make({.inputs = {kTraffic}});
  Engine<Biographer> moved = std::move(*engine);
  EXPECT_EQ(engine->start().error().kind, ErrorKind::kUsage);
  EXPECT_EQ(engine->wait().error().kind, ErrorKind::kUsage);
  EXPECT_EQ(engine->report_json(), "");
  engine->stop();
  EXPECT_TRUE(moved.run().ok());
}

std::string refusal(const Options& options) {
  const auto engine = Engine<Biographer>::make(options);
  if (engine.ok()) return "accepted";
  EXPECT_EQ(engine.error().kind, ErrorKind::kUsage) << engine.error().message;
  return engine.error().message;
}

TEST(Options, WhatCannotBeIsAUsageErrorThatSaysWhatCan) {
  const std::vector<std::string> inputs = {kTraffic};
  EXPECT_EQ(refusal({}), "no packets: give an input, as \"capture.pcap\", or a source of your own");
  EXPECT_EQ(refusal({.inputs = inputs, .workers = 0}), "workers takes 1 to 1024, not 0");
  EXPECT_EQ(refusal({.inputs = inputs, .workers = 1025}), "workers takes 1 to 1024, not 1025");
  EXPECT_EQ(refusal({.inputs = inputs, .buckets = 1000}),
            "buckets takes a power of two from 1 to 65536, not 1000");
  EXPECT_EQ(refusal({.inputs = inputs, .connections_max = 0}), "connections_max takes 1 to 33000000, not 0");
  EXPECT_EQ(refusal({.inputs = inputs, .idle_timeout = 0s}), "idle_timeout takes 1ns to 2160h, not 0ns");
  EXPECT_EQ(refusal({.inputs = inputs, .half_open_timeout = -1s}),
            "half_open_timeout takes 1ns to 2160h, not -1s");
  EXPECT_EQ(refusal({.inputs = inputs, .rebalance_interval = 999us}),
            "rebalance_interval takes 1ms to 1h, not 999us");
  EXPECT_EQ(refusal({.inputs = inputs, .quantum = 2h}), "quantum takes 1ns to 1h, not 2h");
  EXPECT_EQ(refusal({.inputs = inputs, .duration = 0s}), "duration takes a time above 0, not 0ns");
  EXPECT_TRUE(refusal({.inputs = inputs, .hash = "md5"}).find("md5") != std::string::npos);
  EXPECT_TRUE(refusal({.inputs = inputs, .policy = "best"}).find("best") != std::string::npos);
  EXPECT_EQ(refusal({.inputs = inputs, .queueing = "lifo"}),
            "queueing takes fair, fifo or weighted, not 'lifo'");
  EXPECT_EQ(refusal({.inputs = inputs, .queueing = "weighted"}),
            "queueing \"weighted\" and a file of queueing rules go together: give both");
  EXPECT_EQ(refusal({.inputs = inputs, .queue_limit_worker = 0}),
            "queue_limit_worker takes 1 to 1000000, not 0");
  EXPECT_EQ(refusal({.inputs = inputs, .queue_limit_worker = 10, .queue_limit_bucket = 11}),
            "queue_limit_bucket 11 is above what may wait at a worker (10): raise queue_limit_worker, or "
            "lower it");
  EXPECT_EQ(refusal({.inputs = inputs, .elephant_bytes = 0}),
            "elephant_bytes takes 1 to 1000000000000000, not 0");
  EXPECT_EQ(refusal({.inputs = inputs, .elephant_window = 1us}),
            "elephant_window takes 1ms to 2160h, not 1us");
  EXPECT_EQ(refusal({.inputs = inputs, .elephant_share = 1.5}), "elephant_share takes 0 to 1, not 1.5");
  EXPECT_EQ(refusal({.inputs = inputs, .xdp_mode = "take"}), "xdp_mode takes tap or consume, not 'take'");
  EXPECT_EQ(refusal({.inputs = inputs, .speed = 0}), "speed takes 1e-06 to 1000000000, not 0");
  EXPECT_EQ(refusal({.inputs = inputs, .capacity = {1}}),
            "capacity takes a number for each of 2 workers, not 1");
  EXPECT_EQ(refusal({.inputs = inputs, .capacity = {1, -1}}), "capacity takes 0.001 to 1000000, not -1");
  EXPECT_EQ(refusal({.sources = {nullptr}}), "sources[0] is null");
  EXPECT_TRUE(refusal({.inputs = inputs, .pin = {{99'999}}})
                  .starts_with("pin: this process may not run on CPU 99999; it may on "));
  EXPECT_EQ(refusal({.inputs = inputs, .own_actuator = [](Actuator&) { return nullptr; }}),
            "own_actuator gave no actuator");
}

TEST(Options, WhatIsForInputsIsRefusedWithSourcesOfOnesOwn) {
  const std::vector<std::shared_ptr<Source>> sources = {*PushSource::make({})};
  EXPECT_EQ(refusal({.filter = "tcp", .sources = sources}),
            "filter is for inputs: a source of your own leaves away what it does not want");
  EXPECT_EQ(refusal({.inputs = {kTraffic}, .sources = sources, .speed = 1}),
            "speed is for inputs: a source of your own hands its packets out when they are due");
  EXPECT_EQ(refusal({.sources = sources, .duration = 1s}),
            "duration is for inputs: a source of your own says when it ends, and stop() ends the engine");
}

TEST(Options, TheThresholdsOfElephantsAreThoseGiven) {
  const Options options{.inputs = {"generator:elephants,packets=100000,connections=10"},
                        .workers = 1,
                        .elephant_bytes = 1'000'000,
                        .elephant_share = 1};
  EXPECT_FALSE(run(options).report.elephants.empty());
  Options high = options;
  high.elephant_bytes = 1'000'000'000'000;
  EXPECT_TRUE(run(high).report.elephants.empty());
}

// Does in its first packet what a handler may not do, or may; remembers what came of it.
struct Insider {
  struct State {};
  void on_packet(Connection<State>&, const Packet&) {
    if (packets++ != 0) return;
    act();
  }
  std::function<void()> act;
  std::uint64_t packets = 0;
};

TEST(Inside, WaitIsAUsageErrorAndStopAndReportAreNot) {
  std::optional<Engine<Insider>> engine;
  std::string waited;
  std::uint64_t received = 0;
  const auto act = [&] {
    const auto outcome = engine->wait();
    waited = outcome.ok() ? "waited" : outcome.error().message;
    received = engine->report().packets.received;
    EXPECT_EQ(engine->report_json().front(), '{');
    engine->stop();
  };
  auto made = Engine<Insider>::make({.inputs = {"generator:campus"}, .workers = 1},
                                    [&](ProcessorId) { return Insider{.act = act}; });
  ASSERT_TRUE(made.ok()) << made.error().message;
  engine.emplace(std::move(*made));
  const auto report = engine->run();
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(waited, "wait() from a call that the engine made would wait for itself: use stop()");
  EXPECT_GT(received, 0u);
  expect_laws(*report);
}

TEST(Inside, AnEngineMayRunAnotherFromItsHandler) {
  std::optional<Report> inner;
  const auto act = [&] {
    const auto report = Engine<Biographer>::make({.inputs = {kTraffic}, .workers = 1})->run();
    if (report.ok()) inner = *report;
  };
  auto outer = Engine<Insider>::make({.inputs = {"generator:campus,packets=2000"}, .workers = 1},
                                     [&](ProcessorId) { return Insider{.act = act}; });
  const auto report = outer->run();
  ASSERT_TRUE(report.ok() && inner);
  expect_laws(*report);
  expect_laws(*inner);
}

TEST(InsideDeathTest, AnEngineThatIsDestroyedByItsOwnHandlerEndsTheProcess) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        std::optional<Engine<Insider>> engine;
        auto made = Engine<Insider>::make({.inputs = {"generator:campus"}, .workers = 1}, [&](ProcessorId) {
          return Insider{.act = [&] { engine.reset(); }};
        });
        engine.emplace(std::move(*made));
        (void)engine->run();
      },
      "is_called_from_inside");
}

struct Thrower {
  struct State {};
  void on_packet(Connection<State>&, const Packet&) { throw std::runtime_error("thrown by a handler"); }
};

TEST(HandlerDeathTest, AnExceptionEndsTheProcess) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH((void)Engine<Thrower>::make({.inputs = {kTraffic}, .workers = 1})->run(), "terminate called");
}

// Holds its worker until another worker has served a packet.
struct Blocker {
  struct State {};
  void on_packet(Connection<State>&, const Packet&) {
    if (worker == 1 && !served->exchange(true)) served->notify_all();
    if (worker == 0) served->wait(false);
  }
  std::uint32_t worker;
  std::atomic<bool>* served;
};

TEST(Handler, OneThatBlocksHoldsUpItsOwnWorkerOnly) {
  std::atomic<bool> served{false};
  auto engine =
      Engine<Blocker>::make({.inputs = {kTraffic}, .workers = 2, .policy = "static"}, [&](ProcessorId id) {
        return Blocker{id.value(), &served};
      });
  const auto report = engine->run();
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_TRUE(served);
  expect_laws(*report);
}

TEST(OwnSource, FeedsOneEngineAtATime) {
  auto source = *PushSource::make({.name = "shared"});
  {
    auto first = Engine<Biographer>::make({.sources = {source}});
    ASSERT_TRUE(first.ok()) << first.error().message;
    const auto second = Engine<Biographer>::make({.sources = {source}});
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().kind, ErrorKind::kUsage);
    EXPECT_EQ(second.error().message,
              "source shared feeds another engine: each engine needs a source of its own");
    source->end();
    EXPECT_TRUE(first->run().ok());
  }
  const auto third = Engine<Biographer>::make({.sources = {source}});
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().message, "source shared was closed with the engine that it fed: make another one");
}

TEST(OwnSource, IsLeftAsItWasByAnEngineThatCannotBeMade) {
  auto source = *PushSource::make({});
  EXPECT_NE(refusal({.sources = {source}, .hash = "md5"}), "accepted");
  push_all(*source, steady_packets(3));
  source->end();
  auto engine = Engine<EndTimes>::make({.sources = {source}});
  const auto report = engine->run();
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->packets.processed, 3u);
}

TEST(Options, ValuesFarOutOfReachAreErrors) {
  const auto is_made = [](const Options& options) { return Engine<Biographer>::make(options).ok(); };
  constexpr auto kMost = std::numeric_limits<std::uint32_t>::max();
  constexpr auto kEver = std::chrono::nanoseconds::max();
  EXPECT_FALSE(is_made({.inputs = {kTraffic}, .workers = kMost}));
  EXPECT_FALSE(is_made({.inputs = {kTraffic}, .buckets = kMost}));
  EXPECT_FALSE(is_made({.inputs = {kTraffic}, .buckets = 1u << 31}));
  EXPECT_FALSE(is_made({.inputs = {kTraffic}, .connections_max = kMost}));
  EXPECT_FALSE(is_made({.inputs = {kTraffic}, .idle_timeout = kEver}));
  EXPECT_FALSE(is_made({.inputs = {kTraffic}, .rebalance_interval = kEver}));
  EXPECT_FALSE(is_made({.inputs = {kTraffic}, .quantum = kEver}));
  EXPECT_FALSE(is_made({.inputs = {kTraffic}, .speed = std::numeric_limits<double>::infinity()}));
  EXPECT_FALSE(is_made({.inputs = {kTraffic}, .speed = std::nan("")}));
  EXPECT_FALSE(is_made({.inputs = {kTraffic}, .capacity = {1, std::numeric_limits<double>::infinity()}}));
  EXPECT_FALSE(is_made({.inputs = {kTraffic}, .pin = std::vector<std::uint32_t>{kMost, kMost}}));
  EXPECT_FALSE(is_made({.inputs = std::vector<std::string>(100'000, kTraffic)}));
}

TEST(Options, AFileThatIsNotThereIsARuntimeError) {
  const auto engine = Engine<Biographer>::make({.inputs = {"/nonexistent.pcap"}});
  ASSERT_FALSE(engine.ok());
  EXPECT_EQ(engine.error().kind, ErrorKind::kRuntime);
}

TEST(Options, MoreConnectionsThanCanBeIsAnError) {
  const auto engine = Engine<Sized<200>>::make({.inputs = {kTraffic}, .connections_max = 1u << 30});
  ASSERT_FALSE(engine.ok());
  EXPECT_FALSE(engine.error().message.empty());
}

// A table of calls that no C++ handler could give, as other languages may.
TEST(Calls, ATableThatCannotBeIsAUsageError) {
  const Options options{.inputs = {kTraffic}, .workers = 1};
  Biographer handler;
  const auto refused = [&](auto change, std::vector<void*> handlers) {
    detail::HandlerCalls calls = detail::Calls<Biographer>::kTable;
    change(calls);
    const auto core = detail::EngineCore::make(options, calls, handlers);
    return !core.ok() && core.error().kind == ErrorKind::kUsage;
  };
  EXPECT_TRUE(refused([](auto&) {}, {}));
  EXPECT_TRUE(refused([](auto&) {}, {&handler, &handler}));
  EXPECT_TRUE(refused([](auto& calls) { calls.state_bytes = kStateBytesMax + 1; }, {&handler}));
  EXPECT_TRUE(refused([](auto& calls) { calls.timers = kTimersMax + 1; }, {&handler}));
  EXPECT_TRUE(refused([](auto& calls) { calls.timer = nullptr; }, {&handler}));
  EXPECT_TRUE(refused([](auto& calls) { calls.packet = nullptr; }, {&handler}));
}

// A policy whose plans cannot be carried out.
class WrongPolicy : public Policy {
 public:
  explicit WrongPolicy(std::vector<Move> moves) : moves_(std::move(moves)) {}
  std::string_view name() const override { return "wrong"; }
  Result<void> plan(const Snapshot&, Plan& plan) override {
    plan.moves = moves_;
    return {};
  }

 private:
  std::vector<Move> moves_;
};

std::string error_of(std::vector<Move> moves) {
  auto engine = Engine<Biographer>::make({.inputs = {"generator:campus,packets=1000000000"},
                                          .buckets = 64,
                                          .own_policy = std::make_shared<WrongPolicy>(std::move(moves)),
                                          .rebalance_interval = 1ms});
  const auto report = engine->run();
  if (report.ok()) return "accepted";
  EXPECT_EQ(report.error().kind, ErrorKind::kRuntime);
  return report.error().message;
}

TEST(OwnPolicy, APlanThatCannotBeEndsTheRunWithAnError) {
  const BucketId bucket(6);
  const ProcessorId zero(0), one(1), two(2);
  EXPECT_EQ(error_of({{BucketId(64), zero, one}}),
            "policy wrong: cannot move bucket 64 from worker 0 to worker 1: there are 64 buckets");
  EXPECT_EQ(error_of({{bucket, zero, two}}),
            "policy wrong: cannot move bucket 6 from worker 0 to worker 2: there are 2 workers");
  EXPECT_EQ(error_of({{bucket, one, zero}}),
            "policy wrong: cannot move bucket 6 from worker 1 to worker 0: its owner is worker 0");
  EXPECT_EQ(error_of({{bucket, zero, zero}}),
            "policy wrong: cannot move bucket 6 from worker 0 to worker 0: it is there already");
  EXPECT_EQ(error_of({{bucket, zero, one}, {bucket, zero, one}}),
            "policy wrong: cannot move bucket 6 from worker 0 to worker 1: the same plan moves it twice");
}

class FailingPolicy : public Policy {
 public:
  std::string_view name() const override { return "failing"; }
  Result<void> plan(const Snapshot&, Plan&) override { return usage_error("no idea"); }
};

TEST(OwnPolicy, ItsErrorEndsTheRunAndNamesIt) {
  const auto report = Engine<Biographer>::make({.inputs = {"generator:campus,packets=1000000000"},
                                                .own_policy = std::make_shared<FailingPolicy>(),
                                                .rebalance_interval = 1ms})
                          ->run();
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().kind, ErrorKind::kRuntime);
  EXPECT_EQ(report.error().message, "policy failing: no idea");
}

class RefusingActuator : public Actuator {
 public:
  std::string_view name() const override { return "refusing"; }
  bool ready() override { return true; }
  Result<void> apply(std::span<const Move>) override { return usage_error("not today"); }
  std::span<const ProcessorId> owners() const override { return {}; }
};

TEST(OwnActuator, ItsErrorEndsTheRunAndNamesIt) {
  const auto report = Engine<Biographer>::make(
                          {.inputs = {"generator:campus,packets=1000000000"},
                           .own_policy = std::make_shared<RestlessPolicy>(),
                           .rebalance_interval = 1ms,
                           .own_actuator = [](Actuator&) { return std::make_shared<RefusingActuator>(); }})
                          ->run();
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().kind, ErrorKind::kRuntime);
  EXPECT_EQ(report.error().message, "actuator refusing: not today");
}

// Lets every other plan through.
class HoldingActuator : public Actuator {
 public:
  explicit HoldingActuator(Actuator& engine) : engine_(engine) {}
  std::string_view name() const override { return "holding"; }
  bool ready() override { return true; }
  Result<void> apply(std::span<const Move> moves) override {
    const bool through = ++plans % 2 == 0;
    moved += through ? moves.size() : 0;
    return through ? engine_.apply(moves) : Result<void>();
  }
  std::span<const ProcessorId> owners() const override { return {}; }  // nobody asks

  std::uint64_t plans = 0, moved = 0;

 private:
  Actuator& engine_;
};

TEST(OwnActuator, StandsBetweenPolicyAndEngine) {
  std::shared_ptr<HoldingActuator> holding;
  const Outcome outcome = run({.inputs = {kTraffic},
                               .buckets = 64,
                               .idle_timeout = 1s,
                               .own_policy = std::make_shared<RestlessPolicy>(),
                               .rebalance_interval = 1ms,
                               .own_actuator = [&](Actuator& engine) {
                                 return holding = std::make_shared<HoldingActuator>(engine);
                               }});
  expect_laws(outcome.report);
  EXPECT_GT(holding->plans, 1u);
  EXPECT_GT(holding->moved, 0u);
}

TEST(PushSource, BringsEveryPacketWhereTheEngineWaits) {
  auto source = *PushSource::make({.packets_max = 64, .engine_waits = true});
  auto engine = Engine<Biographer>::make({.sources = {source}, .idle_timeout = 60s});
  ASSERT_TRUE(engine->start().ok());
  const std::vector<TestPacket> packets = steady_packets(500);
  for (int round = 0; round < 20; ++round) {
    for (const TestPacket& packet : packets) {
      while (source->push({packet.bytes, packet.time_ns}) == PushStatus::kFull) std::this_thread::yield();
    }
  }
  source->end();
  EXPECT_EQ(source->push({packets[0].bytes, 0}), PushStatus::kClosed);
  const auto report = engine->wait();
  ASSERT_TRUE(report.ok());
  expect_laws(*report);
  EXPECT_EQ(report->packets.processed, 10'000u);
}

TEST(PushSource, TakesNoMoreThanItsMemoryAndSaysSo) {
  auto source = *PushSource::make({.packets_max = 64});
  const std::vector<TestPacket> packets = steady_packets(1);
  std::vector<PushPacket> many(1000, PushPacket{packets[0].bytes, 1});
  EXPECT_EQ(source->push(many), 64u);
  EXPECT_EQ(source->push(many[0]), PushStatus::kFull);
  const std::vector<std::uint8_t> huge(PushSource::kPacketBytesMax + 1);
  EXPECT_EQ(source->push({huge, 1}), PushStatus::kTooLong);
  EXPECT_EQ(source->push(std::vector<PushPacket>{{huge, 1}}), 0u);
}

TEST(PushSource, SaysClosedWhenItsEngineWasStopped) {
  auto source = *PushSource::make({});
  auto engine = Engine<Biographer>::make({.sources = {source}});
  ASSERT_TRUE(engine->start().ok());
  engine->stop();
  ASSERT_TRUE(engine->wait().ok());
  EXPECT_EQ(source->push({steady_packets(1)[0].bytes, 1}), PushStatus::kClosed);
}

TEST(PushSource, SizesThatCannotBeAreUsageErrors) {
  EXPECT_EQ(PushSource::make({.packets_max = 63}).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(PushSource::make({.packets_max = 1'048'577}).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(PushSource::make({.packet_bytes_mean = 0}).error().kind, ErrorKind::kUsage);
}

TEST(PushSource, SeveralFeedOneEngine) {
  std::vector<std::shared_ptr<Source>> sources;
  for (int i = 0; i < 3; ++i) {
    auto source = *PushSource::make({});
    push_all(*source, steady_packets(100));
    source->end();
    sources.push_back(source);
  }
  auto engine = Engine<TimerTimes>::make({.inputs = {kTraffic}, .sources = sources});
  const auto report = engine->run();
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->inputs.size(), 4u);
  EXPECT_EQ(report->packets.received, 60'300u);
  EXPECT_EQ(report->order_violations, 0u);
}

// Learns that its engine has ended, and stops it once more.
class StoppingSource : public Source {
 public:
  ReceiveStatus receive(std::span<Packet*>, std::size_t& count) override {
    count = 0;
    return ReceiveStatus::kIdle;
  }
  bool can_wait() const override { return true; }
  SourceStatistics statistics() const override { return {}; }
  void closed() override { stop(); }
  std::string name() const override { return "stopping"; }

  std::function<void()> stop;
};

TEST(OwnSource, MayStopItsEngineWhenItIsClosedAndFeedAnother) {
  const auto source = std::make_shared<StoppingSource>();
  for (int turn = 0; turn < 2; ++turn) {
    auto engine = Engine<Biographer>::make({.sources = {source}, .workers = 1});
    ASSERT_TRUE(engine.ok()) << engine.error().message;
    source->stop = [&] { engine->stop(); };
    ASSERT_TRUE(engine->start().ok());
    engine->stop();
    EXPECT_TRUE(engine->wait().ok());
    source->stop = [] {};
  }
}

// A source that breaks its contract.
class WrongSource : public Source {
 public:
  explicit WrongSource(std::size_t count) : count_(count) {}
  ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) override {
    std::fill(out.begin(), out.end(), nullptr);
    count = count_;
    return ReceiveStatus::kMore;
  }
  bool can_wait() const override { return true; }
  SourceStatistics statistics() const override { return {}; }
  std::string name() const override { return "wrong"; }

 private:
  const std::size_t count_;
};

TEST(OwnSource, OneThatHandsOutWhatIsNotThereEndsByAnError) {
  for (const std::size_t count : {std::size_t{1}, std::size_t{1000}}) {
    auto engine = Engine<Biographer>::make({.sources = {std::make_shared<WrongSource>(count)}});
    const auto report = engine->run();
    ASSERT_TRUE(report.ok());
    EXPECT_TRUE(report->inputs[0].error.starts_with("source wrong handed out")) << report->inputs[0].error;
  }
}

// A source that ends by an error, and does not or does say why.
class FailingSource : public Source {
 public:
  explicit FailingSource(std::optional<Error> error) : error_(std::move(error)) {}
  ReceiveStatus receive(std::span<Packet*>, std::size_t& count) override {
    count = 0;
    return ReceiveStatus::kError;
  }
  bool can_wait() const override { return true; }
  SourceStatistics statistics() const override { return {}; }
  std::optional<Error> error() const override { return error_; }
  std::string name() const override { return "failing"; }

 private:
  const std::optional<Error> error_;
};

TEST(OwnSource, OneThatFailsIsReportedAsFailedWhetherItSaysWhyOrNot) {
  const auto error_of_source = [](std::optional<Error> error) {
    auto engine = Engine<Biographer>::make({.sources = {std::make_shared<FailingSource>(std::move(error))}});
    const auto report = engine->run();
    if (!report.ok() || !report->input_error()) return std::string("not reported");
    EXPECT_EQ(report->input_error()->kind, ErrorKind::kRuntime);
    EXPECT_EQ(report->input_error()->message, report->inputs[0].error);
    return report->inputs[0].error;
  };
  EXPECT_EQ(error_of_source(runtime_error("the line is cut")), "the line is cut");
  for (const auto& silent : {std::optional<Error>(), std::optional<Error>(runtime_error(""))})
    EXPECT_EQ(error_of_source(silent),
              "source failing failed without saying why: with kError, error() gives the reason");
}

struct Declaring {
  struct State {};
  void on_packet(Connection<State>&, const Packet&) {}
  std::int64_t cost_ns(const Packet& packet) const { return packet.captured_length; }
  void on_idle() { ++idle; }
  std::uint64_t idle = 0;
};

TEST(Handler, MayDeclareCostsAndIsToldWhenThereIsNothingToDo) {
  auto source = *PushSource::make({});
  push_all(*source, steady_packets(4000));
  source->end();
  auto engine = Engine<Declaring>::make({.sources = {source}, .workers = 1});
  const auto report = engine->run();
  ASSERT_TRUE(report.ok());
  expect_laws(*report);
  EXPECT_GT(engine->handler(0).idle, 0u);
}

TEST(Handler, EachWorkerHasItsOwn) {
  std::vector<std::uint32_t> made;
  auto engine = Engine<Biographer>::make({.inputs = {kTraffic}, .workers = 3}, [&](ProcessorId worker) {
    made.push_back(worker.value());
    return Biographer();
  });
  ASSERT_TRUE(engine.ok());
  EXPECT_EQ(made, (std::vector<std::uint32_t>{0, 1, 2}));
  EXPECT_EQ(engine->size(), 3u);
}

TEST(Report, OfARunningEngineIsConsistentEnoughToShow) {
  auto engine = Engine<Biographer>::make({.inputs = {kTraffic}, .rebalance_interval = 1ms});
  ASSERT_TRUE(engine->start().ok());
  std::uint64_t before = 0;
  for (bool ended = false; !ended;) {
    const Report report = engine->report();
    ended = report.ended;
    EXPECT_GE(report.packets.received, before);
    before = report.packets.received;
    EXPECT_EQ(report.bucket_owners.size(), 1024u);
    EXPECT_FALSE(engine->report_json().empty());
  }
  EXPECT_EQ(engine->wait()->packets.received, 60'000u);
}

}  // namespace
}  // namespace evenkeel
