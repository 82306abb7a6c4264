// Puts frames on an interface, byte by byte as given.
#pragma once

#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>

#include "base/file_descriptor.h"

namespace evenkeel::tests {

// In the network namespace of the thread that makes it.
class FrameSender {
 public:
  explicit FrameSender(const std::string& interface)
      : socket_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      throw std::runtime_error("cannot send on " + interface);
  }

  // Short pauses keep the kernel's own queue on the way, of 1,000 packets, from running over.
  void send(std::span<const std::uint8_t> frame) {
    while (::send(socket_.get(), frame.data(), frame.size(), 0) < 0) {
      if (errno != ENOBUFS && errno != EAGAIN) throw std::runtime_error("cannot send a frame");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (++sent_ % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  std::uint64_t sent() const { return sent_; }

 private:
  base::FileDescriptor socket_;
  std::uint64_t sent_ = 0;
};

}  // namespace evenkeel::tests
