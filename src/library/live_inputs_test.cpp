// An engine of the library on a live interface, between two hosts on this machine.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

#include "evenkeel/engine.h"
#include "tests/frame_sender.h"
#include "tests/packet_builder.h"
#include "tests/two_hosts.h"

namespace evenkeel {
namespace {

using tests::Host;
using tests::PacketBuilder;

constexpr int kConnections = 16, kRounds = 50;
constexpr std::uint16_t kFirstPort = 2000, kBeaconPort = 1000;

// Counts packets of the test's own connections; all handlers count together, as the test waits for the sum.
struct Counter {
  struct State {
    std::uint64_t packets = 0;
  };
  void on_packet(Connection<State>& connection, const Packet&) {
    if (connection.initiator().port < kFirstPort) return;
    ++connection->packets;
    packets->fetch_add(1);
  }
  void on_close(Connection<State>& connection, CloseReason) {
    if (connection.initiator().port >= kFirstPort && connection->packets == kRounds) whole->fetch_add(1);
  }
  std::atomic<std::uint64_t>*packets, *whole;
};

tests::Bytes frame_of(std::uint16_t port) {
  return PacketBuilder().ipv4("10.9.0.1", "10.9.0.2").udp(port, 9).payload(30).build().bytes;
}

// Sends a beacon now and then until the engine has begun to receive, and then the packets that are counted:
// never more at a time than any ring holds, as the kernel drops what does not fit, and nobody sends it again.
void send(const std::string& interface, const Engine<Counter>& engine,
          const std::atomic<std::uint64_t>& seen) {
  constexpr std::uint64_t kOnTheWay = 64;
  tests::FrameSender sender(interface);
  while (engine.report().packets.received == 0) {
    sender.send(frame_of(kBeaconPort));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (std::uint64_t i = 0; i < kConnections * kRounds; ++i) {
    while (i >= seen + kOnTheWay) std::this_thread::yield();
    sender.send(frame_of(static_cast<std::uint16_t>(kFirstPort + i % kConnections)));
  }
}

// How an interface is received, and the mode that allows it.
struct Way {
  const char *kind, *xdp_mode;
};

class LiveInputs : public testing::TestWithParam<Way> {};

TEST_P(LiveInputs, AHandlerSeesEveryPacketOfAnInterfaceUntilStop) {
  if (const std::string why = tests::TwoHosts::why_not(); !why.empty()) GTEST_SKIP() << why;
  const tests::TwoHosts hosts;
  for (const Host host : {Host::kA, Host::kB})
    hosts.run_on(host, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
  std::atomic<std::uint64_t> packets{0}, whole{0};
  hosts
      .thread_on(
          Host::kB,
          [&] {
            auto engine = Engine<Counter>::make({.inputs = {GetParam().kind + hosts.interface(Host::kB)},
                                                 .xdp_mode = GetParam().xdp_mode,
                                                 .workers = 2},
                                                [&](ProcessorId) {
                                                  return Counter{&packets, &whole};
                                                });
            ASSERT_TRUE(engine.ok()) << engine.error().message;
            ASSERT_TRUE(engine->start().ok());
            hosts.thread_on(Host::kA, [&] { send(hosts.interface(Host::kA), *engine, packets); }).join();
            for (std::uint64_t seen = 0; seen < kConnections * kRounds; seen = packets.load())
              std::this_thread::yield();
            engine->stop();
            const auto report = engine->wait();
            ASSERT_TRUE(report.ok()) << report.error().message;
            EXPECT_EQ(report->order_violations, 0u);
            EXPECT_EQ(report->packets.received, report->packets.processed + total(report->packets.malformed) +
                                                    total(report->packets.unclassified) +
                                                    total(report->packets.dropped));
          })
      .join();
  EXPECT_EQ(packets, kConnections * kRounds);
  EXPECT_EQ(whole, kConnections);
}

INSTANTIATE_TEST_SUITE_P(Ways, LiveInputs,
                         testing::Values(Way{"af_packet:", "tap"}, Way{"af_xdp:", "consume"}),
                         [](const auto& way) { return std::string(way.param.xdp_mode); });

TEST(LiveOptions, ToTakePacketsFromTheKernelMustBeAskedFor) {
  std::atomic<std::uint64_t> unused{0};
  const auto engine = Engine<Counter>::make({.inputs = {"af_xdp:lo"}, .workers = 1}, [&](ProcessorId) {
    return Counter{&unused, &unused};
  });
  ASSERT_FALSE(engine.ok());
  if (engine.error().kind == ErrorKind::kRuntime) GTEST_SKIP() << engine.error().message;
  EXPECT_EQ(
      engine.error().message,
      "af_xdp:lo would take packets away from this machine's own network stack: ask for that by the XDP "
      "mode \"consume\", or use af_packet:lo, which copies them");
}

TEST(LiveOptions, AnInterfaceThatIsNotThereIsARuntimeError) {
  std::atomic<std::uint64_t> unused{0};
  const auto make = [&](const char* input) {
    return Engine<Counter>::make({.inputs = {input}, .workers = 1}, [&](ProcessorId) {
      return Counter{&unused, &unused};
    });
  };
  for (const char* const input : {"af_packet:ek-none", "af_xdp:ek-none"}) {
    auto engine = make(input);
    const Error error = engine.ok() ? engine->run().error() : engine.error();
    EXPECT_EQ(error.kind, ErrorKind::kRuntime) << error.message;
  }
}

}  // namespace
}  // namespace evenkeel
