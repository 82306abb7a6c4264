// What `evenkeel steer` must never break: other owners, other users, the interface when an end goes wrong.
// EVENKEEL_BINARY.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/steer_fixture.h"

namespace evenkeel::tests {
namespace {

using namespace std::chrono_literals;

class SteerSafetyTest : public SteerTest {
 protected:
  std::string interface() const { return hosts_->interface(Host::kB); }
  std::string on_b(const std::string& command) const { return hosts_->prefix(Host::kB) + command; }
  void set_frame_size(int bytes) const {
    for (const Host host : {Host::kA, Host::kB}) {
      hosts_->run_on(host, "ip link set " + hosts_->interface(host) + " mtu " + std::to_string(bytes));
    }
  }
};

// The words of the unit's setting `name`.
std::vector<std::string> unit_setting(const std::string& name) {
  std::ifstream unit(EVENKEEL_SOURCE_DIR "/packaging/evenkeel-steer@.service");
  std::vector<std::string> words;
  for (std::string line; std::getline(unit, line);) {
    if (!line.starts_with(name + "=")) continue;
    std::istringstream rest(line.substr(name.size() + 1));
    for (std::string word; rest >> word;) words.push_back(word);
  }
  return words;
}

// From now on this thread, and what it starts, opens sockets of these families only: as systemd does it.
void restrict_address_families(const std::vector<int>& families) {
  std::vector<sock_filter> filter = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
  };
  for (const int family : families) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(family), 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT));
  const sock_fprog program = {.len = static_cast<unsigned short>(filter.size()), .filter = filter.data()};
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

void restrict_capabilities(const std::vector<int>& kept) {
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    if (std::find(kept.begin(), kept.end(), capability) != kept.end()) continue;
    ASSERT_EQ(prctl(PR_CAPBSET_DROP, capability), 0);
  }
}

std::vector<int> numbers_of(const std::vector<std::string>& names, const std::map<std::string, int>& known) {
  std::vector<int> numbers;
  for (const std::string& name : names) {
    EXPECT_TRUE(known.contains(name)) << name << ": tell this test what it is";
    if (known.contains(name)) numbers.push_back(known.at(name));
  }
  return numbers;
}

TEST_F(SteerSafetyTest, TheUnitsRestrictionsLetEveryWayOfSteeringRun) {
  const std::vector<int> families =
      numbers_of(unit_setting("RestrictAddressFamilies"), {{"AF_INET", AF_INET},
                                                           {"AF_INET6", AF_INET6},
                                                           {"AF_NETLINK", AF_NETLINK},
                                                           {"AF_PACKET", AF_PACKET},
                                                           {"AF_UNIX", AF_UNIX}});
  const std::vector<int> capabilities =
      numbers_of(unit_setting("CapabilityBoundingSet"), {{"CAP_BPF", CAP_BPF},
                                                         {"CAP_NET_ADMIN", CAP_NET_ADMIN},
                                                         {"CAP_NET_RAW", CAP_NET_RAW},
                                                         {"CAP_PERFMON", CAP_PERFMON},
                                                         {"CAP_SYS_ADMIN", CAP_SYS_ADMIN},
                                                         {"CAP_SYS_PTRACE", CAP_SYS_PTRACE},
                                                         {"CAP_SYS_RESOURCE", CAP_SYS_RESOURCE}});
  ASSERT_FALSE(families.empty());
  ASSERT_FALSE(capabilities.empty());
  std::vector<std::string> ways = {"--duration 100ms", "--restore", "--dry-run --duration 50ms"};
  if (run("mountpoint -q /sys/fs/bpf").code == 0) {
    ASSERT_NE(attach_a_program(), 0);
    ways.front() += " --take-over";
    ways.back() += " --take-over";
  }
  hosts_
      ->thread_on(Host::kB,
                  [&] {
                    restrict_capabilities(capabilities);
                    restrict_address_families(families);
                    for (const std::string& way : ways) {
                      const Ended ended = run(EVENKEEL_BINARY " steer " + interface() + " " + way);
                      EXPECT_EQ(ended.code, 0) << way << ": " << ended.output;
                    }
                  })
      .join();
}

TEST_F(SteerSafetyTest, NoUserButRootCanKeepSteeringAway) {
  Running running(steer("--interval 100ms --json"));
  running.wait_for("\"round\"");
  const std::string state = state_path();
  const std::string lock = state.substr(0, state.rfind('.')) + ".lock";
  struct stat status {};
  EXPECT_EQ(stat(lock.c_str(), &status), 0) << lock;
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_EQ(status.st_uid, 0u);
  EXPECT_EQ(stat("/run/evenkeel", &status), 0);
  EXPECT_EQ(status.st_mode & 0022, 0u) << "others may not put files there";
  kill(process_of(state), SIGTERM);
  EXPECT_EQ(running.wait().code, 0);
  EXPECT_NE(stat(lock.c_str(), &status), 0) << "the lock goes with its holder";
}

TEST_F(SteerSafetyTest, ToRestoreWhatIsLeftNeedsRootAndSaysSo) {
  if (run("sh -c 'command -v setpriv'").code != 0) GTEST_SKIP() << "needs setpriv";
  const std::string as_nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups ";
  if (run(as_nobody + EVENKEEL_BINARY " --version").code != 0)
    GTEST_SKIP() << "the program is where only root may run it";
  Running running(steer("--interval 100ms --json"));
  running.wait_for("\"round\"");
  kill(process_of(state_path()), SIGKILL);
  (void)running.wait();
  const Ended refused = run(on_b(as_nobody + EVENKEEL_BINARY " steer " + interface() + " --restore"));
  EXPECT_EQ(refused.code, 1) << refused.output;
  EXPECT_NE(refused.output.find("root"), std::string::npos) << refused.output;
  EXPECT_NE(run(steer("--restore")).output.find(": restored"), std::string::npos);
}

// Whether the process has ended, though its parent has not asked for it.
bool is_zombie(int process) {
  const Ended shown = run("sh -c 'cut -d\" \" -f3 /proc/" + std::to_string(process) + "/stat'");
  return shown.output.starts_with("Z");
}

TEST_F(SteerSafetyTest, OneThatWasKilledAndThatNobodyWaitedForKeepsNobodyAway) {
  // The shell becomes a program that never asks for its child.
  Running parent(on_b("sh -c '" EVENKEEL_BINARY " steer " + interface() +
                      " --interval 100ms --json & echo \"parent $$\"; exec sleep 1000'"));
  parent.wait_for("parent ");
  const int sleeper = std::stoi(parent.seen().substr(parent.seen().find("parent ") + 7));
  parent.wait_for("\"round\"");
  const int process = process_of(state_path());
  kill(process, SIGKILL);
  while (!is_zombie(process)) std::this_thread::sleep_for(1ms);
  const Ended restored = run(steer("--restore"));
  EXPECT_EQ(restored.code, 0) << restored.output;
  EXPECT_NE(restored.output.find(": restored"), std::string::npos) << restored.output;
  kill(sleeper, SIGKILL);
  (void)parent.wait();
}

TEST_F(SteerSafetyTest, AProgramThatCannotBePutBackStaysSafeUntilRestoreCanDoIt) {
  if (run("mountpoint -q /sys/fs/bpf").code != 0) GTEST_SKIP() << "needs bpffs at /sys/fs/bpf";
  const int before = attach_a_program(XDP_FLAGS_DRV_MODE);
  ASSERT_NE(before, 0);
  Running running(steer("--interval 100ms --json --take-over --xdp-mode generic"));
  running.wait_for("\"round\"");
  constexpr int kTooLargeForXdp = 9'000;
  set_frame_size(kTooLargeForXdp);
  const std::string state = state_path();
  kill(process_of(state), SIGTERM);
  const Ended ended = running.wait();
  if (attached_program() != 0) GTEST_SKIP() << "this kernel's veth takes programs with large frames";
  EXPECT_EQ(ended.code, 1) << ended.output;
  EXPECT_NE(ended.output.find("--restore"), std::string::npos) << ended.output;
  EXPECT_EQ(ended.event("end").value("restored", true), false) << ended.output;
  EXPECT_EQ(state_path(), state) << "kept";
  EXPECT_EQ(run(steer("--restore")).code, 1) << "still too large";
  set_frame_size(1'500);
  const Ended restored = run(steer("--restore"));
  EXPECT_EQ(restored.code, 0) << restored.output;
  EXPECT_EQ(restored.output.find("libbpf"), std::string::npos) << restored.output;
  EXPECT_EQ(attached_program(), before);
  EXPECT_EQ(state_path(), "");
}

TEST_F(SteerSafetyTest, RestoreDoesNotSayThatItPutBackWhatWentWithItsInterface) {
  Running running(steer("--interval 100ms --json"));
  running.wait_for("\"round\"");
  kill(process_of(state_path()), SIGKILL);
  (void)running.wait();
  const std::string peer = hosts_->interface(Host::kA);
  hosts_->run_on(Host::kB, "ip link del " + interface());
  hosts_->run_on(Host::kB, "ip link add " + interface() + " type veth peer name " + peer);
  const Ended restored = run(steer("--restore"));
  EXPECT_EQ(restored.code, 0) << restored.output;
  EXPECT_EQ(restored.output.find(": restored"), std::string::npos) << restored.output;
  EXPECT_NE(restored.output.find("nothing was put back"), std::string::npos) << restored.output;
  EXPECT_EQ(state_path(), "");
}

TEST_F(SteerSafetyTest, RefusesToReplaceAnotherProgramAndNamesTheOption) {
  const int before = attach_a_program();
  const Ended refused = run(steer("--duration 300ms"));
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.output.find("XDP program " + std::to_string(before)), std::string::npos)
      << refused.output;
  EXPECT_NE(refused.output.find("--take-over"), std::string::npos) << refused.output;
  EXPECT_EQ(attached_program(), before);
}

// Runs `body` on host B while a program is attached to the interface by a BPF link.
template <typename Body>
void with_linked_program(const TwoHosts& hosts, const Body& body) {
  hosts
      .thread_on(Host::kB,
                 [&] {
                   bpf::Object object = bpf::Object::open(bpf::steer_image());
                   object.set_configuration(evenkeel_steer_configuration{});
                   ASSERT_TRUE(object.load().ok());
                   LIBBPF_OPTS(bpf_link_create_opts, options);
                   options.flags = XDP_FLAGS_SKB_MODE;
                   const auto index = if_nametoindex(hosts.interface(Host::kB).c_str());
                   const base::FileDescriptor link(bpf_link_create(
                       object.program("evenkeel_steer"), static_cast<int>(index), BPF_XDP, &options));
                   ASSERT_TRUE(link.valid());
                   body();
                 })
      .join();
}

TEST_F(SteerSafetyTest, AProgramThatALinkHoldsIsNotToBeTakenOver) {
  with_linked_program(*hosts_, [&] {
    for (const char* const options :
         {"--duration 1s", "--duration 1s --take-over", "--dry-run --take-over"}) {
      const Ended refused = run(steer(options));
      EXPECT_EQ(refused.code, 1) << options << refused.output;
      EXPECT_NE(refused.output.find("BPF link"), std::string::npos) << refused.output;
      EXPECT_EQ(refused.output.find("--take-over"), std::string::npos) << refused.output;
    }
    const Ended explained = run(on_b(EVENKEEL_BINARY " explain " + interface() + " --duration 50ms --json"));
    EXPECT_EQ(explained.output.find("--take-over"), std::string::npos) << explained.output;
  });
}

TEST_F(SteerSafetyTest, ADryRunSaysWhyTheRealOneWouldBeRefused) {
  const auto expect_refused = [&](const std::string& options, const std::string& reason) {
    const Ended dry = run(steer("--dry-run --duration 50ms --json " + options));
    EXPECT_EQ(dry.code, 1) << options << dry.output;
    EXPECT_NE(dry.event("dry_run").value("refused", "").find(reason), std::string::npos) << dry.output;
    const Ended real = run(steer("--duration 50ms " + options));
    EXPECT_EQ(real.code, 1) << options << real.output;
    EXPECT_NE(real.output.find(reason), std::string::npos) << real.output;
  };
  expect_refused("--xdp-mode native", "leaves checksums to hardware");
  expect_refused("--actuator nic_table", "no indirection table");
  const Ended free = run(steer("--dry-run --duration 50ms --json"));
  EXPECT_EQ(free.code, 0) << free.output;
  EXPECT_TRUE(free.event("dry_run")["refused"].is_null()) << free.output;
  attach_a_program();
  expect_refused("", "XDP program");
}

TEST_F(SteerSafetyTest, ADryRunBesideOneThatSteersNamesThatOne) {
  Running running(steer("--interval 100ms --json"));
  running.wait_for("\"round\"");
  const int process = process_of(state_path());
  const Ended dry = run(steer("--dry-run --duration 50ms"));
  kill(process, SIGTERM);
  (void)running.wait();
  EXPECT_EQ(dry.code, 1) << dry.output;
  EXPECT_NE(dry.output.find("already steered by process " + std::to_string(process)), std::string::npos)
      << dry.output;
}

TEST_F(SteerSafetyTest, ANameThatIsNotTextIsRefusedAndAnyOtherIsNot) {
  const Ended bytes = run("sh -c '" EVENKEEL_BINARY " steer \"$(printf \"v\\377\")\" --json'");
  EXPECT_EQ(bytes.code, 2) << bytes.output;
  EXPECT_NE(bytes.output.find("UTF-8"), std::string::npos) << bytes.output;
  const Ended absent = run(EVENKEEL_BINARY " steer 'v{}%s' --json");
  EXPECT_EQ(absent.code, 1) << absent.output;
  EXPECT_NE(absent.output.find("v{}%s"), std::string::npos) << absent.output;
}

}  // namespace
}  // namespace evenkeel::tests
