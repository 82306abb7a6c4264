// `evenkeel run` on a live interface, as an operator runs it: between two hosts on this machine.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "source/make_source.h"
#include "tests/frame_sender.h"
#include "tests/packet_builder.h"
#include "tests/run_support.h"
#include "tests/running.h"
#include "tests/two_hosts.h"

namespace evenkeel::tests {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

std::uint64_t dropped_total(const json& packets) {
  std::uint64_t sum = 0;
  for (const auto& [reason, count] : packets["dropped"].items()) sum += count.get<std::uint64_t>();
  return sum;
}

// Of 64 connections over both families, some in VLANs, some fragmented.
std::vector<Bytes> frames_of_many_kinds(int rounds) {
  std::vector<Bytes> frames;
  for (int i = 0; i < rounds * 64; ++i) {
    const int connection = i % 64;
    const auto port = static_cast<std::uint16_t>(1'000 + connection);
    PacketBuilder builder;
    if (connection % 8 == 1) builder.vlan(static_cast<std::uint16_t>(connection));
    if (connection % 16 == 3) builder.vlan(5, 0x88a8).vlan(7);
    if (connection % 2 == 0) {
      builder.ipv4("10.9.0.1", "10.9.0.2");
    } else {
      builder.ipv6("fd09::1", "fd09::2");
    }
    const TestPacket packet = builder.udp(port, 9).payload(connection % 4 == 2 ? 400 : 20).build();
    if (connection % 4 != 2) {
      frames.push_back(packet.bytes);
      continue;
    }
    for (const TestPacket& part : fragments_of(packet, 160, static_cast<std::uint32_t>(i)))
      frames.push_back(part.bytes);
  }
  return frames;
}

// A way to receive: the input is kind + interface + options.
struct Way {
  const char* name;
  const char* kind;
  const char* options;
  // A ring for all that a test sends: a machine that leaves the receiver no time is to lose nothing.
  const char* ample;
  std::size_t mtu;  // as large as this way takes
};
// In the names of tests.
void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }
constexpr Way kAfPacket{"AfPacket", "af_packet:", "", "", 60'000};
constexpr Way kXdpNative{"AfXdpNative", "af_xdp:", ",mode=native", ",frames=32768", 1'500};
constexpr Way kXdpGeneric{"AfXdpGeneric", "af_xdp:", ",mode=generic", ",frames=32768", 1'500};

class LiveTest : public testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    if (const std::string why = TwoHosts::why_not(); !why.empty()) GTEST_SKIP() << why;
    hosts_ = std::make_unique<TwoHosts>();
    for (const Host host : {Host::kA, Host::kB}) {
      // The hosts' own chatter would be counted with what the test sends.
      hosts_->run_on(host, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
      hosts_->run_on(host,
                     "ip link set " + hosts_->interface(host) + " mtu " + std::to_string(GetParam().mtu));
    }
    report_path_ = scratch_ / "report.json";
  }

  std::string interface() const { return hosts_->interface(Host::kB); }
  std::string kind() const { return GetParam().kind; }
  std::string input() const { return kind() + interface() + GetParam().options; }
  std::string command(const std::string& options) const {
    return hosts_->prefix(Host::kB) + EVENKEEL_BINARY " run --report " + report_path_ + " " + options;
  }
  std::string live(const std::string& options) const {
    return command("--input " + input() + GetParam().ample + " --xdp-mode consume " + options);
  }
  json report() const {
    std::ifstream file(report_path_);
    return json::parse(file, nullptr, false);
  }
  int process() const {
    return std::atoi(run("pgrep -f 'evenkeel run .*" + interface() + "'").output.c_str());
  }
  void stop(Running& running) const {
    kill(process(), SIGINT);
    const Ended ended = running.wait();
    EXPECT_EQ(ended.code, 0) << running.seen() << ended.output;
  }
  // Returns how many were sent.
  std::uint64_t send(const std::vector<Bytes>& frames) const {
    std::uint64_t sent = 0;
    hosts_
        ->thread_on(Host::kA,
                    [&] {
                      FrameSender sender(hosts_->interface(Host::kA));
                      for (const Bytes& frame : frames) sender.send(frame);
                      sent = sender.sent();
                    })
        .join();
    return sent;
  }
  void expect_conservation(std::uint64_t sent) const {
    const json packets = report()["packets"];
    ASSERT_TRUE(packets.is_object());
    EXPECT_EQ(packets["received"].get<std::uint64_t>(), sent) << packets;
    EXPECT_EQ(packets["received"].get<std::uint64_t>(),
              packets["processed"].get<std::uint64_t>() + packets["malformed"].get<std::uint64_t>() +
                  packets["unclassified"].get<std::uint64_t>() + dropped_total(packets));
    EXPECT_EQ(report()["order_violations"], 0);
    EXPECT_EQ(report()["ownership_violations"], 0);
  }

  std::unique_ptr<TwoHosts> hosts_;
  ScratchFolder scratch_;
  std::string report_path_;
};

TEST_P(LiveTest, EveryPacketSentIsInTheReport) {
  for (const char* const workers : {"1", "2", "5"}) {
    Running running(live("--interval 10ms --workers " + std::string(workers)));
    running.wait_for("receiving");
    const std::uint64_t sent = send(frames_of_many_kinds(100));
    stop(running);
    expect_conservation(sent);
    EXPECT_EQ(dropped_total(report()["packets"]), 0u) << report()["packets"];
    EXPECT_EQ(report()["packets"]["processed"].get<std::uint64_t>(), sent);
    EXPECT_EQ(report()["connections"]["opened"], 64);
  }
}

// Records as a set, without times.
using Untimed = std::map<std::string, int>;
Untimed untimed_records(const std::string& path) {
  Untimed records;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    json record = json::parse(line);
    for (const char* const time :
         {"flowStartMilliseconds", "flowEndMilliseconds", "smoothedRoundTripMicroseconds",
          "reverseSmoothedRoundTripMicroseconds", "retransmissionTimeoutMicroseconds"})
      record.erase(time);
    ++records[record.dump()];
  }
  return records;
}

std::vector<Bytes> frames_of_capture(const std::string& path) {
  std::vector<Bytes> frames;
  auto source = source::make_source(path, {});
  if (!source) return frames;
  std::array<Packet*, 32> burst;
  ReceiveStatus status = ReceiveStatus::kMore;
  while (status != ReceiveStatus::kEnd && status != ReceiveStatus::kError) {
    std::size_t count = 0;
    status = (*source)->receive(burst, count);
    for (std::size_t i = 0; i < count; ++i) {
      frames.emplace_back(burst[i]->data, burst[i]->data + burst[i]->captured_length);
      burst[i]->block->release(1);
    }
  }
  return frames;
}

class LiveReplayTest : public LiveTest {
 protected:
  void expect_same_as_file(const std::string& capture) {
    const std::string flows = scratch_ / "flows.jsonl";
    const std::string options = " --idle-timeout 5h --active-timeout 5h --flows " + flows;
    ASSERT_EQ(run(command("--input " + capture + options)).code, 0);
    const Untimed from_file = untimed_records(flows);
    Running running(live("--interval 10ms" + options));
    running.wait_for("receiving");
    const std::uint64_t sent = send(frames_of_capture(capture));
    stop(running);
    ASSERT_GT(sent, 0u);
    expect_conservation(sent);
    EXPECT_EQ(untimed_records(flows), from_file) << capture;
  }
};

TEST_P(LiveReplayTest, ACaptureReplayedGivesTheRecordsOfItsFileButForTimes) {
  std::vector<TestPacket> packets;
  for (const Bytes& frame : frames_of_many_kinds(20)) {
    TestPacket packet;
    packet.bytes = frame;
    packet.wire_length = static_cast<std::uint32_t>(frame.size());
    packets.push_back(packet);
  }
  write_file(scratch_ / "built.pcap", pcap_file(packets));
  expect_same_as_file(scratch_ / "built.pcap");
}

TEST_P(LiveReplayTest, RealCapturesReplayedGiveTheRecordsOfTheirFilesButForTimes) {
  const std::string folder = EVENKEEL_SHARED_DIR "/traces/captures/";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "needs " << folder;
  for (const char* const name : {"ndpi__netflix.pcap", "ndpi__reddit.pcap", "ndpi__vxlan.pcap",
                                 "zeek__gtp1_gn_normal_incl_fragmentation.pcap"}) {
    const std::vector<Bytes> frames = frames_of_capture(folder + name);
    const bool fit = std::all_of(frames.begin(), frames.end(),
                                 [](const Bytes& frame) { return frame.size() <= GetParam().mtu + 14; });
    if (fit) expect_same_as_file(folder + name);
  }
}

TEST_P(LiveTest, AStoppedReceiverThatGoesOnHasEveryPacketOrCountsIt) {
  const std::string small = input() + (kind() == "af_packet:" ? ",block-size=64k,blocks=4" : ",frames=256");
  Running running(command("--xdp-mode consume --input " + small));
  running.wait_for("receiving");
  std::uint64_t sent = send(frames_of_many_kinds(5));
  kill(process(), SIGSTOP);
  sent += send(frames_of_many_kinds(100));
  kill(process(), SIGCONT);
  sent += send(frames_of_many_kinds(5));
  stop(running);
  expect_conservation(sent);
  EXPECT_GT(report()["packets"]["dropped"].value("kernel", 0), 0) << "the test shall overrun the ring";
}

TEST_P(LiveTest, TimersFireThoughNoPacketComes) {
  Running running(live("--idle-timeout 300ms --flows " + std::string(scratch_ / "flows.jsonl")));
  running.wait_for("receiving");
  send(frames_of_many_kinds(1));
  for (int tries = 0; tries < 50 && std::filesystem::file_size(scratch_ / "flows.jsonl") == 0; ++tries)
    std::this_thread::sleep_for(100ms);
  std::this_thread::sleep_for(300ms);
  stop(running);
  EXPECT_EQ(report()["connections"]["expired"], 64);
  EXPECT_EQ(report()["connections"]["live"], 0);
}

TEST_P(LiveTest, ADurationEndsARunWithoutPackets) {
  const Ended ended = run(live("--duration 300ms"));
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_EQ(report()["packets"]["received"], 0);
  EXPECT_FALSE(report()["interrupted"].get<bool>());
}

TEST_P(LiveTest, AFilterMeansTheSameLiveAsOnAFile) {
  std::vector<TestPacket> packets;
  for (const Bytes& frame : frames_of_many_kinds(4)) {
    TestPacket packet;
    packet.bytes = frame;
    packet.wire_length = static_cast<std::uint32_t>(frame.size());
    packets.push_back(packet);
  }
  write_file(scratch_ / "built.pcap", pcap_file(packets));
  for (const char* const filter : {"udp port 9", "vlan 9", "vlan and udp src port 1001", "ip6"}) {
    const std::string option = std::string(" --filter '") + filter + "' ";
    ASSERT_EQ(run(command(option + "--input " + std::string(scratch_ / "built.pcap"))).code, 0);
    const std::uint64_t wanted = report()["packets"]["received"].get<std::uint64_t>();
    Running running(live(option));
    running.wait_for("receiving");
    send(frames_of_many_kinds(4));
    stop(running);
    EXPECT_GT(wanted, 0u) << filter;
    expect_conservation(wanted);
  }
}

TEST_P(LiveTest, AnInterfaceThatGoesAndReturnsIsPickedUpAgain) {
  const std::string both = " --input " + input() + " --input " + kind() + "lo";
  Running running(command("--xdp-mode consume" + both));
  running.wait_for("receiving from " + kind() + interface());
  std::uint64_t sent = send(frames_of_many_kinds(2));
  std::this_thread::sleep_for(100ms);
  hosts_->run_on(Host::kB, "ip link del " + interface());
  running.wait_for("is gone");
  hosts_->run_on(Host::kA, "ip link add " + hosts_->interface(Host::kA) + " type veth peer name " +
                               interface() + " netns " + hosts_->network(Host::kB));
  hosts_->run_on(Host::kA, "ip link set " + hosts_->interface(Host::kA) + " mtu " +
                               std::to_string(GetParam().mtu) + " up");
  hosts_->run_on(Host::kB, "ip link set " + interface() + " mtu " + std::to_string(GetParam().mtu) + " up");
  running.wait_for("receiving from " + kind() + interface());
  sent += send(frames_of_many_kinds(2));
  stop(running);
  expect_conservation(sent);
}

TEST_P(LiveTest, TenStartsLeaveNothingBehindThoughOneIsKilled) {
  // What ip says on standard error is about namespaces of other tests that end just now.
  const auto left = [&] {
    return run("ip -n " + hosts_->network(Host::kB) + " -d link show " + interface() + " 2>/dev/null")
               .output +
           run(hosts_->prefix(Host::kB) + "sh -c 'tail -n +2 /proc/net/packet | wc -l'").output;
  };
  const std::string before = left();
  for (int i = 0; i < 10; ++i) {
    Running running(live(""));
    running.wait_for("receiving");
    EXPECT_NE(left(), before) << "the test shall see what is there meanwhile";
    if (i % 2 == 0) {
      stop(running);
    } else {
      kill(process(), SIGKILL);
      EXPECT_EQ(running.wait().code, 128 + SIGKILL);
    }
  }
  std::string after = left();
  for (int tries = 0; tries < 50 && after != before; ++tries) {
    std::this_thread::sleep_for(100ms);
    after = left();
  }
  EXPECT_EQ(after, before);
}

TEST_P(LiveTest, RingsThatDoNotFitIntoMemoryAreRefusedBeforeTheyAreMade) {
  if (kind() != "af_packet:") GTEST_SKIP() << "of packet sockets";
  const Ended ended =
      run(command("--workers 1024 --duration 100ms --input " + input() + ",block-size=4M,blocks=1024"));
  EXPECT_EQ(ended.code, 1) << ended.output;
  EXPECT_NE(ended.output.find("MB are free"), std::string::npos) << ended.output;
  EXPECT_EQ(std::count(ended.output.begin(), ended.output.end(), '\n'), 1) << ended.output;
}

TEST_P(LiveTest, OfOneDirectionOnlyWhatComesInIsCounted) {
  if (kind() != "af_packet:") GTEST_SKIP() << "XDP sees only what comes in";
  Running running(command("--input " + input() + ",direction=in"));
  running.wait_for("receiving");
  const std::uint64_t came = send(frames_of_many_kinds(3));
  hosts_
      ->thread_on(Host::kB,
                  [&] {
                    FrameSender sender(interface());
                    for (const Bytes& frame : frames_of_many_kinds(5)) sender.send(frame);
                  })
      .join();
  stop(running);
  expect_conservation(came);
}

TEST_P(LiveTest, WithTheRightsThatItAsksForItRuns) {
  const std::string rights = "+net_raw,+net_admin,+bpf,+perfmon,+ipc_lock";
  const std::string as_nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all," +
                                rights + " --ambient-caps=-all," + rights + " ";
  if (run(as_nobody + "true").code != 0) GTEST_SKIP() << "needs a setpriv that knows these rights";
  const Ended ended = run(hosts_->prefix(Host::kB) + as_nobody +
                          EVENKEEL_BINARY " run --xdp-mode consume --duration 100ms --input " + input());
  EXPECT_EQ(ended.code, 0) << ended.output;
}

TEST_P(LiveTest, AMissingRightIsNamedWithItsRemedy) {
  if (run("setpriv --version").code != 0) GTEST_SKIP() << "needs setpriv (package util-linux)";
  const Ended ended = run(hosts_->prefix(Host::kB) +
                          "setpriv --bounding-set=-all --inh-caps=-all " EVENKEEL_BINARY
                          " run --xdp-mode consume --duration 1s --input " +
                          input());
  EXPECT_EQ(ended.code, 1);
  EXPECT_NE(ended.output.find("cap_net_raw"), std::string::npos) << ended.output;
  EXPECT_NE(ended.output.find("setcap"), std::string::npos) << ended.output;
  EXPECT_EQ(std::count(ended.output.begin(), ended.output.end(), '\n'), 1) << ended.output;
}

TEST_P(LiveTest, WrongOptionsAreOneLineThatSaysWhatIsRight) {
  for (const std::string& wrong :
       {"--input " + input() + ",size=3", "--input " + input() + ",promiscuous=maybe",
        "--input " + input() + " --input generator:campus", "--input " + input() + " --hash crc32c",
        "--input " + input() + " --filter 'tcp prot 3'", "--input " + input() + " --speed 2",
        "--input " + input() + " --xdp-mode take", "--input " + kind()}) {
    const Ended ended = run(command("--duration 1s " + wrong));
    EXPECT_EQ(ended.code, 2) << wrong << ended.output;
    EXPECT_EQ(std::count(ended.output.begin(), ended.output.end(), '\n'), 1) << ended.output;
  }
  const Ended nowhere = run(command("--duration 1s --input " + kind() + "nowhere0"));
  EXPECT_EQ(nowhere.code, 1);
  EXPECT_NE(nowhere.output.find(interface()), std::string::npos)
      << "names those that there are: " << nowhere.output;
}

std::string name_of(const testing::TestParamInfo<Way>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Ways, LiveTest, testing::Values(kAfPacket, kXdpNative, kXdpGeneric), name_of);
INSTANTIATE_TEST_SUITE_P(Ways, LiveReplayTest, testing::Values(kAfPacket, kXdpNative, kXdpGeneric), name_of);

}  // namespace
}  // namespace evenkeel::tests
