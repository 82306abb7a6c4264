// Two hosts on one machine: two network namespaces joined by a veth pair, made by a test and removed with it.
// Names carry the process' number, so that tests run side by side. Hosts: 10.77.0.1 and fd77::1; 10.77.0.2
// and fd77::2.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>

#include "base/file_descriptor.h"

namespace evenkeel::tests {

enum class Host { kA, kB };

class TwoHosts {
 public:
  // Why there can be none here, or "".
  static std::string why_not() {
    if (geteuid() != 0) return "network namespaces need root";
    if (std::system("ip -V >/dev/null 2>&1") != 0) return "needs the program ip (package iproute2)";
    return "";
  }

  // suffix: tells two pairs of one test apart.
  explicit TwoHosts(int queues = 4, const std::string& suffix = "")
      : number_(std::to_string(getpid()) + suffix) {
    const std::string q = " numtxqueues " + std::to_string(queues) + " numrxqueues " + std::to_string(queues);
    run("ip netns add " + network(Host::kA) + " && ip netns add " + network(Host::kB));
    run("ip link add " + interface(Host::kA) + " netns " + network(Host::kA) + q + " type veth peer name " +
        interface(Host::kB) + " netns " + network(Host::kB) + q);
    for (const Host host : {Host::kA, Host::kB}) {
      const std::string last = host == Host::kA ? "1" : "2";
      const std::string on = "ip -n " + network(host) + " ";
      const std::string name = interface(host);
      run(on + "link set lo up && " + on + "link set " + name + " up && " + on + "addr add 10.77.0." + last +
          "/24 dev " + name + " && " + on + "addr add fd77::" + last + "/64 dev " + name + " nodad");
    }
  }
  ~TwoHosts() {
    for (const Host host : {Host::kA, Host::kB}) (void)std::system(("ip netns del " + network(host)).c_str());
  }
  TwoHosts(const TwoHosts&) = delete;
  TwoHosts& operator=(const TwoHosts&) = delete;

  std::string interface(Host host) const { return "ek" + number_ + (host == Host::kA ? "a" : "b"); }
  std::string network(Host host) const { return interface(host); }

  // A shell command on a host; throws where it fails.
  void run_on(Host host, const std::string& command) const { run(prefix(host) + command); }
  // What starts a program on a host, /sys and /sys/fs/bpf as they were.
  std::string prefix(Host host) const { return "nsenter --net=/run/netns/" + network(host) + " "; }

  // A thread of this process that lives on a host.
  std::thread thread_on(Host host, std::function<void()> body) const {
    return std::thread([path = "/run/netns/" + network(host), body = std::move(body)] {
      const base::FileDescriptor descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC));
      if (setns(descriptor.get(), CLONE_NEWNET) != 0) throw std::runtime_error("setns " + path);
      body();
    });
  }

 private:
  static void run(const std::string& command) {
    if (std::system(command.c_str()) != 0) throw std::runtime_error("failed: " + command);
  }
  std::string number_;
};

}  // namespace evenkeel::tests
