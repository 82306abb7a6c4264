// An engine of the library on a live interface, between two hosts on this machine.
#include <gtest/gtest.h>

#include <atomic>
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

// Sends beacons until the engine has begun to receive, and then the packets that are counted.
void send(const std::string& interface, const Engine<Counter>& engine) {
  tests::FrameSender sender(interface);
  while (engine.report().packets.received == 0) {
    sender.send(frame_of(kBeaconPort));
    std::this_thread::yield();
  }
  for (int i = 0; i < kConnections * kRounds; ++i)
    sender.send(frame_of(static_cast<std::uint16_t>(kFirstPort + i % kConnections)));
}

TEST(LiveInputs, AHandlerSeesEveryPacketOfAnInterfaceUntilStop) {
  if (const std::string why = tests::TwoHosts::why_not(); !why.empty()) GTEST_SKIP() << why;
  const tests::TwoHosts hosts;
  for (const Host host : {Host::kA, Host::kB})
    hosts.run_on(host, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
  std::atomic<std::uint64_t> packets{0}, whole{0};
  hosts
      .thread_on(
          Host::kB,
          [&] {
            auto engine = Engine<Counter>::make(
                {.inputs = {"af_packet:" + hosts.interface(Host::kB)}, .workers = 2}, [&](ProcessorId) {
                  return Counter{&packets, &whole};
                });
            ASSERT_TRUE(engine.ok()) << engine.error().message;
            ASSERT_TRUE(engine->start().ok());
            hosts.thread_on(Host::kA, [&] { send(hosts.interface(Host::kA), *engine); }).join();
            for (std::uint64_t seen = 0; seen < kConnections * kRounds; seen = packets.load())
              std::this_thread::yield();
            engine->stop();
            const auto report = engine->wait();
            ASSERT_TRUE(report.ok()) << report.error().message;
            EXPECT_EQ(report->order_violations, 0u);
            EXPECT_EQ(report->packets.received, report->packets.processed + total(report->packets.malformed) +
                                                    total(report->packets.unclassified));
          })
      .join();
  EXPECT_EQ(packets, kConnections * kRounds);
  EXPECT_EQ(whole, kConnections);
}

TEST(LiveInputs, AnInterfaceThatIsNotThereIsARuntimeError) {
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
