// `evenkeel steer` as an operator runs it, on an interface between two hosts on this machine.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tests/steer_fixture.h"

namespace evenkeel::tests {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

TEST_F(SteerTest, LeavesTheInterfaceAsItWasFound) {
  const Ended ended = run(steer("--duration 500ms --interval 100ms --json"));
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_FALSE(is_changed());
  EXPECT_EQ(state_path(), "");
  const json report = ended.event("end");
  EXPECT_EQ(report.value("restored", false), true) << ended.output;
  EXPECT_TRUE(report.contains("max_over_mean_first") && report["max_over_mean_first"].is_null())
      << "there was no load" << ended.output;
}

TEST_F(SteerTest, AnInterfaceThatGoesAwayEndsItWithAReason) {
  Running running(steer("--interval 100ms"));
  running.wait_for("steering");
  while (state_path().empty()) std::this_thread::sleep_for(10ms);
  hosts_->run_on(Host::kB, "ip link del " + hosts_->interface(Host::kB));
  const Ended ended = running.wait();
  EXPECT_EQ(ended.code, 1) << ended.output;
  EXPECT_NE(ended.output.find("is gone"), std::string::npos) << ended.output;
  EXPECT_EQ(ended.output.find("as it was found"), std::string::npos) << ended.output;
  EXPECT_EQ(state_path(), "");
}

TEST_F(SteerTest, AnInterfaceThatIsRenamedOrMovedAwayEndsItToo) {
  const std::string name = hosts_->interface(Host::kB);
  const std::string moves[] = {
      "sh -c 'ip link set " + name + " down && ip link set " + name + " name " + name + "x'",
      "ip link set " + name + "x down netns " + hosts_->network(Host::kA)};
  for (const std::string& move : moves) {
    const bool renamed = &move != &moves[0];
    Running running(hosts_->prefix(Host::kB) + EVENKEEL_BINARY " steer " + name + (renamed ? "x" : "") +
                    " --interval 100ms --json");
    running.wait_for("\"round\"");
    hosts_->run_on(Host::kB, move);
    const Ended ended = running.wait();
    EXPECT_EQ(ended.code, 1) << ended.output;
    EXPECT_NE(ended.output.find("renamed or moved"), std::string::npos) << ended.output;
  }
  EXPECT_EQ(state_path(), "");
}

TEST_F(SteerTest, OneshotDoesNotTakeRestForLevel) {
  const Ended ended = run(steer("--oneshot --duration 1500ms --interval 100ms"));
  EXPECT_EQ(ended.code, 1) << ended.output;
  EXPECT_NE(ended.output.find("not level after"), std::string::npos) << ended.output;
  EXPECT_FALSE(is_changed());
}

TEST_F(SteerTest, ExplainNamesTheProcessThatSteers) {
  Running running(steer("--interval 100ms --json"));
  running.wait_for("\"round\"");
  const int process = process_of(state_path());
  const Ended explained = run(hosts_->prefix(Host::kB) + EVENKEEL_BINARY " explain " +
                              hosts_->interface(Host::kB) + " --duration 50ms");
  kill(process, SIGTERM);
  (void)running.wait();
  EXPECT_NE(explained.output.find("steered by evenkeel (process " + std::to_string(process) + ")"),
            std::string::npos)
      << explained.output;
  EXPECT_EQ(explained.output.find("XDP program"), std::string::npos) << explained.output;
}

TEST_F(SteerTest, AKilledProcessLeavesNothingThatRestoreDoesNotUndo) {
  Running running(steer("--interval 100ms --json"));
  running.wait_for("\"round\"");
  EXPECT_TRUE(is_changed());
  const std::string state = state_path();
  ASSERT_NE(state, "");
  kill(process_of(state), SIGKILL);
  EXPECT_EQ(running.wait().code, 128 + SIGKILL);
  EXPECT_TRUE(host_answers()) << "traffic goes on without the one who steered it";
  const Ended restored = run(steer("--restore"));
  EXPECT_EQ(restored.code, 0) << restored.output;
  EXPECT_NE(restored.output.find("restored"), std::string::npos);
  EXPECT_FALSE(is_changed());
  EXPECT_EQ(state_path(), "");
}

// Killed between any two of its steps, the program that was there before is there again after --restore.
TEST_F(SteerTest, AProgramThatWasThereBeforeSurvivesAKillAtAnyStep) {
  const std::string on_b = hosts_->prefix(Host::kB);
  if (run("sh -c 'command -v strace'").code != 0) GTEST_SKIP() << "needs strace";
  if (run("mountpoint -q /sys/fs/bpf").code != 0) GTEST_SKIP() << "needs bpffs at /sys/fs/bpf";
  const int before = attach_a_program();
  ASSERT_NE(before, 0);
  const std::string command = EVENKEEL_BINARY " steer " + hosts_->interface(Host::kB) + " ";
  int was_killed = 0;
  // Writing the state, attaching and detaching, removing what was left.
  std::vector<std::pair<std::string, int>> steps = {{"fsync", 1}, {"rename", 1}, {"unlink", 1}};
  for (int message = 1; message <= 12; ++message) steps.emplace_back("sendto", message);
  for (const auto& [call, occurrence] : steps) {
    const std::string kill_there = "strace -f -qq -o /dev/null -e trace=" + call + " -e inject=" + call +
                                   ":signal=KILL:when=" + std::to_string(occurrence) + " ";
    const Ended ended = run(on_b + kill_there + command + "--take-over --interval 50ms --duration 200ms");
    was_killed += ended.code == 128 + SIGKILL;
    const Ended restored = run(on_b + command + "--restore");
    EXPECT_EQ(restored.code, 0) << call << occurrence << restored.output;
    EXPECT_EQ(attached_program(), before) << "killed at " << call << occurrence << ended.output;
  }
  EXPECT_GT(was_killed, 5) << "of " << steps.size();
  run("sh -c 'rm -f /sys/fs/bpf/evenkeel-" + hosts_->interface(Host::kB) + "-*'");
}

// Only the one that is refused ends by itself.
TEST_F(SteerTest, OfTwoThatStartAtOnceOneIsRefusedAndNothingIsLeft) {
  const std::string one = EVENKEEL_BINARY " steer " + hosts_->interface(Host::kB) + " --interval 100ms & ";
  const Ended both = run(hosts_->prefix(Host::kB) + "bash -c '" + one + "a=$!; " + one + "b=$!; " +
                         "while kill -0 $a 2>/dev/null && kill -0 $b 2>/dev/null; do sleep 0.02; done; " +
                         "kill $a $b 2>/dev/null; wait $a; a=$?; wait $b; echo codes $((a + $?))'");
  EXPECT_NE(both.output.find("codes 1\n"), std::string::npos) << both.output;
  EXPECT_NE(both.output.find("already steered"), std::string::npos) << both.output;
  EXPECT_FALSE(is_changed());
  EXPECT_EQ(state_path(), "");
}

TEST_F(SteerTest, OutputThatCannotBeWrittenIsToldAndEverythingIsPutBack) {
  const std::string full = hosts_->prefix(Host::kB) + "sh -c '" EVENKEEL_BINARY " %s >/dev/full'";
  for (const std::string& command :
       {"steer " + hosts_->interface(Host::kB) + " --duration 1s --interval 10ms",
        "explain " + hosts_->interface(Host::kB) + " --duration 50ms"}) {
    std::string line = full;
    const Ended ended = run(line.replace(line.find("%s"), 2, command));
    EXPECT_EQ(ended.code, 1) << ended.output;
    EXPECT_NE(ended.output.find("standard output"), std::string::npos) << ended.output;
    EXPECT_FALSE(is_changed());
  }
}

TEST_F(SteerTest, RestoreIsOnlyForInterfaces) {
  EXPECT_EQ(run(EVENKEEL_BINARY " steer ../lo --restore").code, 2);
  EXPECT_EQ(run(EVENKEEL_BINARY " steer nothing0 --restore").code, 1);
}

TEST_F(SteerTest, ASecondOneIsRefusedAndTheFirstOneGoesOn) {
  Running first(steer("--interval 100ms --json"));
  first.wait_for("\"round\"");
  const Ended second = run(steer("--duration 1s"));
  kill(process_of(state_path()), SIGTERM);
  EXPECT_EQ(second.code, 1);
  EXPECT_NE(second.output.find("already steered by process"), std::string::npos) << second.output;
  EXPECT_EQ(first.wait().code, 0);
}

TEST_F(SteerTest, RefusesToFightRps) {
  hosts_->run_on(Host::kB, "unshare -m sh -c 'mount -t sysfs none /sys && echo 3 > /sys/class/net/" +
                               hosts_->interface(Host::kB) + "/queues/rx-0/rps_cpus'");
  const Ended refused = run(steer("--duration 300ms"));
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.output.find("RPS"), std::string::npos) << refused.output;
  EXPECT_NE(refused.output.find("--take-over"), std::string::npos);
  EXPECT_EQ(run(steer("--duration 300ms --take-over")).code, 0);
}

TEST_F(SteerTest, RefusesNativeModeWhereChecksumsWouldBreakAndNamesTheRemedy) {
  const Ended refused = run(steer("--duration 300ms --xdp-mode native"));
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.output.find("ethtool -K " + hosts_->interface(Host::kA) + " tx off"), std::string::npos)
      << refused.output;
  EXPECT_FALSE(is_changed());
}

TEST_F(SteerTest, WrongOptionsAreOneLineThatSaysWhatIsRight) {
  for (const char* const options :
       {"--order quick", "--interval 1", "--cpus 4000", "--buckets 100", "--policy none", "--actuator magic",
        "--exclude-cpus 4000", "--queue 20000", "--dry-run --restore", "--bogus", "--cpus ''",
        "--interval 6s", "--actuator nic_table --cpus 0", "--actuator nic_table --exclude-cpus 0",
        "--actuator nic_table --tunnel inner"}) {
    const Ended ended = run(steer(options));
    EXPECT_EQ(ended.code, 2) << options << ended.output;
    EXPECT_EQ(std::count(ended.output.begin(), ended.output.end(), '\n'), 1) << ended.output;
  }
}

TEST_F(SteerTest, AnUnknownOptionTellsWhereTheOptionsAre) {
  for (const char* const arguments : {"steer", "steer lo --bogus"}) {
    const Ended ended = run(std::string(EVENKEEL_BINARY " ") + arguments);
    EXPECT_EQ(ended.code, 2);
    EXPECT_NE(ended.output.find("`evenkeel steer --help` lists the options"), std::string::npos)
        << ended.output;
  }
}

TEST_F(SteerTest, AnUnknownInterfaceIsNamed) {
  const Ended ended = run(hosts_->prefix(Host::kB) + EVENKEEL_BINARY " steer nothing0 --duration 1s");
  EXPECT_EQ(ended.code, 1);
  EXPECT_NE(ended.output.find("nothing0"), std::string::npos);
}

TEST_F(SteerTest, ADryRunChangesNothing) {
  Running dry(steer("--dry-run --json --duration 500ms"));
  EXPECT_FALSE(is_changed());
  const Ended ended = dry.wait();
  EXPECT_EQ(ended.code, 0) << ended.output;
  const json plan = ended.event("dry_run");
  ASSERT_TRUE(plan.is_object()) << ended.output;
  EXPECT_TRUE(plan.contains("moves"));
  EXPECT_EQ(state_path(), "");
}

TEST_F(SteerTest, ExplainSeesThatOneQueueServesAllCpusAndChangesNothing) {
  const TwoHosts one_queue(1, "1");
  const Ended ended = run(one_queue.prefix(Host::kB) + EVENKEEL_BINARY " explain " +
                          one_queue.interface(Host::kB) + " --duration 100ms --json");
  EXPECT_EQ(ended.code, 0) << ended.output;
  const json explained = json::parse(ended.output, nullptr, false);
  ASSERT_TRUE(explained.is_object()) << ended.output;
  ASSERT_FALSE(explained["findings"].empty());
  EXPECT_EQ(explained["findings"][0]["name"], "fewer_queues_than_cpus");
  EXPECT_NE(explained["findings"][0]["remedy"].get<std::string>().find("evenkeel steer"), std::string::npos);
}

TEST_F(SteerTest, AnInterfaceWithoutATableIsRefusedByNameAndTheOtherWayIsNamed) {
  const Ended ended = run(steer("--actuator nic_table --duration 1s"));
  EXPECT_EQ(ended.code, 1);
  EXPECT_NE(ended.output.find("xdp_cpumap"), std::string::npos) << ended.output;
}

// TCP in both directions over IPv4 and IPv6 passes, and all that was steered arrived.
TEST_F(SteerTest, TcpPassesInBothDirectionsAndEverythingThatWasSteeredArrives) {
  if (run("sh -c 'command -v iperf3'").code != 0) GTEST_SKIP() << "needs iperf3";
  for (const char* const mode : {"generic", "native"}) {
    if (std::string(mode) == "native") {
      hosts_->run_on(Host::kA, "ethtool -K " + hosts_->interface(Host::kA) + " tx off >/dev/null");
    }
    Running steering(steer("--json --interval 50ms --xdp-mode " + std::string(mode)));
    steering.wait_for("\"round\"");
    for (const char* const direction : {"-c 10.77.0.2", "-c 10.77.0.2 -R", "-c fd77::2", "-c fd77::2 -R"}) {
      Running server(hosts_->prefix(Host::kB) + "iperf3 -s -1 --forceflush");
      server.wait_for("listening");
      const Ended client = run(hosts_->prefix(Host::kA) + "iperf3 -J -t 1 -P 4 " + direction);
      EXPECT_EQ(client.code, 0) << client.output;
      const json result = json::parse(client.output, nullptr, false);
      ASSERT_TRUE(result.is_object()) << client.output;
      EXPECT_GT(result["end"]["sum_received"]["bytes"].get<double>(), 1e6) << mode << direction;
      (void)server.wait();
    }
    kill(process_of(state_path()), SIGTERM);
    const Ended ended = steering.wait();
    EXPECT_EQ(ended.code, 0) << ended.output;
    const json report = ended.event("end");
    ASSERT_TRUE(report.is_object()) << ended.output;
    EXPECT_GT(report["steered"].get<std::uint64_t>(), 1'000u);
    EXPECT_EQ(report["steered"].get<std::uint64_t>(), report["arrived"].get<std::uint64_t>() +
                                                          report["drops"].get<std::uint64_t>() +
                                                          report["in_flight"].get<std::uint64_t>());
    EXPECT_FALSE(is_changed());
  }
}

}  // namespace
}  // namespace evenkeel::tests
