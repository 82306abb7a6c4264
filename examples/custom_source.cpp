// Packets from somewhere else: Ethernet frames that come to a Unix datagram socket, one in each datagram, as
// QEMU's `-netdev dgram` sends them, or a switch in user space.
//
// Shows both ways in. `push`: the program has a receive loop of its own and pushes what it gets. `pull`: the
// program is a Source, which the engine asks; it receives into blocks of memory that the engine gives back
// when all their packets are served, so nothing is copied.
//
//   custom_source push|pull SOCKET     makes SOCKET, and ends with an empty datagram

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "evenkeel/engine.h"
#include "evenkeel/push_source.h"

namespace {

using evenkeel::Packet;
using evenkeel::ReceiveStatus;

constexpr std::size_t kFrameBytesMax = 2048;

std::int64_t now_ns() {
  timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

// What is done with the packets: counted.
struct Counter {
  struct State {
    std::uint64_t packets = 0;
  };
  using Connection = evenkeel::Connection<State>;

  void on_packet(Connection& connection, const Packet&) { ++connection->packets; }
  void on_close(Connection& connection, evenkeel::CloseReason) {
    lines.push_back(to_string(connection.initiator()) + " > " + to_string(connection.responder()) + ": " +
                    std::to_string(connection->packets) + " packets");
  }
  std::vector<std::string> lines;
};

// The receive loop of a program that pushes.
void push_all(int socket, evenkeel::PushSource& source) {
  std::array<std::uint8_t, kFrameBytesMax> frame;
  while (true) {
    const ssize_t length = recv(socket, frame.data(), frame.size(), 0);
    if (length <= 0) return source.end();
    const evenkeel::PushPacket packet{.bytes = {frame.data(), static_cast<std::size_t>(length)},
                                      .time_ns = now_ns()};
    // The sender waits when we do: the socket's buffer fills.
    while (source.push(packet) == evenkeel::PushStatus::kFull) usleep(100);
  }
}

// A source that the engine pulls from.
class SocketSource : public evenkeel::Source {
 public:
  explicit SocketSource(int socket) : socket_(socket) {
    for (auto& block : blocks_) block = std::make_unique<Block>();
  }

  ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) override {
    for (count = 0; count < out.size(); ++count) {
      Block* const block = block_with_room();
      if (block == nullptr) return ReceiveStatus::kIdle;  // all memory is with the workers
      std::uint8_t* const bytes = block->bytes.data() + block->used * kFrameBytesMax;
      const ssize_t length = recv(socket_, bytes, kFrameBytesMax, MSG_DONTWAIT);
      if (length == 0) return ReceiveStatus::kEnd;
      if (length < 0) return ReceiveStatus::kIdle;
      out[count] = packet(*block, bytes, static_cast<std::uint32_t>(length));
    }
    return ReceiveStatus::kMore;
  }
  bool can_wait() const override { return true; }
  evenkeel::SourceStatistics statistics() const override { return statistics_; }
  // Live: time goes on though no packet comes.
  std::int64_t quiet_until_ns() const override { return now_ns(); }
  std::string name() const override { return "socket"; }

 private:
  static constexpr std::size_t kPackets = 64;
  struct Block {
    evenkeel::PacketBlock ledger;  // who has packets of this block
    std::array<Packet, kPackets> packets;
    std::array<std::uint8_t, kPackets * kFrameBytesMax> bytes;
    std::size_t used = 0;
  };

  // The present block, or another one that is all back.
  Block* block_with_room() {
    if (blocks_[current_]->used < kPackets) return blocks_[current_].get();
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      if (!blocks_[i]->ledger.all_released()) continue;
      current_ = i;
      blocks_[i]->used = 0;
      return blocks_[i].get();
    }
    return nullptr;
  }

  Packet* packet(Block& block, const std::uint8_t* bytes, std::uint32_t length) {
    Packet& packet = block.packets[block.used++];
    packet.data = bytes;
    packet.captured_length = packet.wire_length = length;
    packet.time_ns = now_ns();
    packet.sequence = statistics_.received++;
    packet.block = &block.ledger;
    statistics_.bytes += length;
    block.ledger.hand_out(1);  // before the packet is given away
    return &packet;
  }

  const int socket_;
  std::array<std::unique_ptr<Block>, 16> blocks_;
  std::size_t current_ = 0;
  evenkeel::SourceStatistics statistics_;
};

int fail(const evenkeel::Error& error) {
  std::fprintf(stderr, "custom_source: %s\n", error.message.c_str());
  return error.kind == evenkeel::ErrorKind::kUsage ? 2 : 1;
}

int open_socket(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (std::strlen(path) >= sizeof address.sun_path) return -1;
  std::strcpy(address.sun_path, path);
  const int made = socket(AF_UNIX, SOCK_DGRAM, 0);
  if (made < 0 || bind(made, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return made;
  close(made);
  return -1;
}

evenkeel::Result<evenkeel::Report> run(bool pushing, int socket, std::vector<std::string>& lines) {
  auto push_source = evenkeel::PushSource::make({.name = "socket", .engine_waits = true});
  if (!push_source) return push_source.error();
  std::shared_ptr<evenkeel::Source> source = *push_source;
  if (!pushing) source = std::make_shared<SocketSource>(socket);
  auto engine = evenkeel::Engine<Counter>::make({.sources = {source}});
  if (!engine) return engine.error();
  if (auto started = engine->start(); !started) return started.error();
  if (pushing) push_all(socket, **push_source);
  auto report = engine->wait();
  for (std::size_t worker = 0; worker < engine->size(); ++worker) {
    const Counter& counter = engine->handler(worker);
    lines.insert(lines.end(), counter.lines.begin(), counter.lines.end());
  }
  return report;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string way = argc == 3 ? argv[1] : "";
  if (way != "push" && way != "pull")
    return fail(evenkeel::usage_error("usage: custom_source push|pull SOCKET"));
  const int socket = open_socket(argv[2]);
  if (socket < 0) return fail(evenkeel::runtime_error(std::string("cannot make the socket ") + argv[2]));
  std::vector<std::string> lines;
  const auto report = run(way == "push", socket, lines);
  close(socket);
  unlink(argv[2]);
  if (!report) return fail(report.error());
  for (const std::string& line : lines) std::printf("%s\n", line.c_str());
  std::printf("%llu packets\n", static_cast<unsigned long long>(report->packets.received));
  return 0;
}
