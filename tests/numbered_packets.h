// UDP packets with sequence numbers: many connections from one host to another, each packet numbered within
// its connection, so that the receiver sees what was lost and what came out of order.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "base/file_descriptor.h"

namespace evenkeel::tests {

struct NumberedPacket {
  std::uint32_t connection;
  std::uint32_t number;
};

// Sends one packet of each connection every `pause`, until told to stop; then sent() is what left. Stays on
// one CPU: a veth receives on the sender's CPU, so that a sender that moves would itself reorder. Where it is
// told how many have arrived, it waits rather than have many on their way: else queues overflow on a machine
// that leaves the receiver no time.
class NumberedSender {
 public:
  NumberedSender(std::uint32_t connections, const char* to, std::uint16_t port) : sent_(connections) {
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
    inet_pton(AF_INET, to, &address.sin_addr);
    for (std::uint32_t i = 0; i < connections; ++i) {
      sockets_.emplace_back(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      (void)connect(sockets_.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    }
  }
  void run(const std::atomic<bool>& stop, std::chrono::microseconds pause,
           const std::atomic<std::uint64_t>* arrived = nullptr) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(0, &cpus);
    (void)sched_setaffinity(0, sizeof cpus, &cpus);
    while (!stop.load(std::memory_order_relaxed)) {
      if (arrived != nullptr && sent() > arrived->load(std::memory_order_relaxed) + kOnTheirWayMax) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        continue;
      }
      for (std::uint32_t i = 0; i < sockets_.size(); ++i) {
        const NumberedPacket packet{.connection = i, .number = sent_[i]};
        if (send(sockets_[i].get(), &packet, sizeof packet, 0) == sizeof packet) ++sent_[i];
      }
      if (pause.count() > 0) std::this_thread::sleep_for(pause);
    }
  }
  std::uint64_t sent() const {
    std::uint64_t sum = 0;
    for (const std::uint32_t count : sent_) sum += count;
    return sum;
  }

 private:
  static constexpr std::uint64_t kOnTheirWayMax = 4'096;
  std::vector<base::FileDescriptor> sockets_;
  std::vector<std::uint32_t> sent_;
};

// Receives until told to stop and nothing more comes.
class NumberedReceiver {
 public:
  NumberedReceiver(std::uint32_t connections, std::uint16_t port)
      : socket_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), next_(connections) {
    const int size = 64 << 20;
    (void)setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    const timeval wait{.tv_sec = 0, .tv_usec = 200'000};
    (void)setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
    bound_ = bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  void run(const std::atomic<bool>& stop) {
    NumberedPacket packet{};
    while (true) {
      if (recv(socket_.get(), &packet, sizeof packet, 0) == sizeof packet) {
        take(packet);
      } else if (stop.load(std::memory_order_relaxed)) {
        return;
      }
    }
  }
  bool bound() const { return bound_; }
  // [any]
  const std::atomic<std::uint64_t>& received() const { return received_; }
  std::uint64_t out_of_order() const { return out_of_order_; }

 private:
  void take(const NumberedPacket& packet) {
    received_.fetch_add(1, std::memory_order_relaxed);
    if (packet.connection >= next_.size()) return;
    std::uint32_t& next = next_[packet.connection];
    if (packet.number < next) ++out_of_order_;
    next = std::max(next, packet.number + 1);
  }
  base::FileDescriptor socket_;
  std::vector<std::uint32_t> next_;
  bool bound_ = false;
  std::atomic<std::uint64_t> received_{0};
  std::uint64_t out_of_order_ = 0;
};

}  // namespace evenkeel::tests
