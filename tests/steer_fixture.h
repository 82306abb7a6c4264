// `evenkeel steer` between two hosts on this machine: how to run it there, and what it left. Who includes
// this names EVENKEEL_BINARY too.
#pragma once

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "bpf/constants.h"
#include "bpf/images.h"
#include "bpf/object.h"
#include "tests/running.h"
#include "tests/two_hosts.h"

namespace evenkeel::tests {

class SteerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = TwoHosts::why_not(); !why.empty()) GTEST_SKIP() << why;
    hosts_ = std::make_unique<TwoHosts>();
  }

  std::string steer(const std::string& options) const {
    return hosts_->prefix(Host::kB) + EVENKEEL_BINARY " steer " + hosts_->interface(Host::kB) + " " + options;
  }
  // Whether an XDP program is on the interface.
  bool is_changed() const {
    return run("ip -n " + hosts_->network(Host::kB) + " link show " + hosts_->interface(Host::kB))
               .output.find("xdp") != std::string::npos;
  }
  // Identity of the XDP program on the interface; 0: none.
  int attached_program() const {
    const Ended shown = run("ip -n " + hosts_->network(Host::kB) + " link show " +
                            hosts_->interface(Host::kB) + " 2>/dev/null");
    const std::size_t at = shown.output.find("prog/xdp id ");
    return at == std::string::npos ? 0 : std::atoi(shown.output.c_str() + at + 12);
  }
  // Puts some program on the interface, as another tool would, and leaves it there.
  int attach_a_program(std::uint32_t mode = XDP_FLAGS_SKB_MODE) const {
    hosts_
        ->thread_on(Host::kB,
                    [&, mode] {
                      bpf::Object object = bpf::Object::open(bpf::steer_image());
                      object.set_configuration(evenkeel_steer_configuration{});
                      ASSERT_TRUE(object.load().ok());
                      const auto index = if_nametoindex(hosts_->interface(Host::kB).c_str());
                      ASSERT_EQ(bpf_xdp_attach(static_cast<int>(index), object.program("evenkeel_steer"),
                                               mode, nullptr),
                                0);
                    })
        .join();
    return attached_program();
  }
  // The number of the process that steers, by its state file.
  static int process_of(const std::string& state_path) {
    const Ended text = run("cat " + state_path);
    return nlohmann::json::parse(text.output).at("process");
  }
  std::string state_path() const {
    const Ended found = run("sh -c 'ls /run/evenkeel/steer-" + hosts_->interface(Host::kB) + "-*.json'");
    return found.code == 0 ? found.output.substr(0, found.output.find('\n')) : "";
  }

  // Whether host B answers host A: it refuses a connection to a port where nobody listens.
  bool host_answers() const {
    int error = 0;
    hosts_
        ->thread_on(Host::kA,
                    [&error] {
                      const base::FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
                      sockaddr_in address{
                          .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {}, .sin_zero = {}};
                      inet_pton(AF_INET, "10.77.0.2", &address.sin_addr);
                      error = connect(socket.get(), reinterpret_cast<const sockaddr*>(&address),
                                      sizeof address) == 0
                                  ? 0
                                  : errno;
                    })
        .join();
    return error == ECONNREFUSED;
  }

  std::unique_ptr<TwoHosts> hosts_;
};

}  // namespace evenkeel::tests
