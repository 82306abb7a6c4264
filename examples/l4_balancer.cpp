// A load balancer on layer 4: picks a server for each new connection to the service's address, and keeps it
// for all of that connection's packets, also when servers are taken out meanwhile.
//
// Shows a state that decides about packets, and a handler that is made with arguments. The server is the
// winner of rendezvous hashing (Thaler and Ravishankar, 1998): when one is taken out, only its share goes
// elsewhere. The connection's state is what keeps connections that are there at their server.
//
//   l4_balancer INPUT OUTPUT SERVICE SERVER[@SECONDS]...
//
// Packets to the IPv4 address SERVICE get the address of their server, and those packets are written to the
// captures OUTPUT.0, OUTPUT.1, ..., one for each worker. A server with @SECONDS takes no new connections from
// that packet time on, counted from the first packet of the input that its worker sees.

#include <arpa/inet.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "evenkeel/engine.h"

namespace {

using evenkeel::Packet;
using Address = std::array<std::uint8_t, 4>;

struct Server {
  Address address{};
  std::int64_t drained_after_ns = std::numeric_limits<std::int64_t>::max();
};

struct Service {
  Address address{};
  std::vector<Server> servers;
};

// Internet checksum after a change of some words (RFC 1624, equation 3).
std::uint16_t adjusted(std::uint16_t checksum, const Address& before, const Address& after) {
  std::uint32_t sum = static_cast<std::uint16_t>(~checksum);
  for (std::size_t i = 0; i < 4; i += 2) {
    sum += static_cast<std::uint16_t>(~(before[i] << 8 | before[i + 1]));
    sum += static_cast<std::uint32_t>(after[i] << 8 | after[i + 1]);
  }
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

void adjust(std::uint8_t* checksum, const Address& before, const Address& after) {
  const std::uint16_t value =
      adjusted(static_cast<std::uint16_t>(checksum[0] << 8 | checksum[1]), before, after);
  checksum[0] = static_cast<std::uint8_t>(value >> 8);
  checksum[1] = static_cast<std::uint8_t>(value);
}

// A capture of Ethernet frames, with times in nanoseconds.
class CaptureFile {
 public:
  explicit CaptureFile(const std::string& path) : file_(path, std::ios::binary) {
    put<std::uint32_t>({0xa1b23c4d, 0x00040002, 0, 0, 65'535, 1});
  }
  void write(const std::vector<std::uint8_t>& bytes, const Packet& packet) {
    put<std::uint32_t>({static_cast<std::uint32_t>(packet.time_ns / 1'000'000'000),
                        static_cast<std::uint32_t>(packet.time_ns % 1'000'000'000),
                        static_cast<std::uint32_t>(bytes.size()), packet.wire_length});
    file_.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  bool good() const { return file_.good(); }

 private:
  template <typename Word>
  void put(std::initializer_list<Word> words) {
    for (const Word word : words) file_.write(reinterpret_cast<const char*>(&word), sizeof word);
  }
  std::ofstream file_;
};

struct Balancer {
  static constexpr std::uint8_t kNotOurs = 255;
  struct State {
    std::uint8_t server = kNotOurs;
  };
  using Connection = evenkeel::Connection<State>;
  struct Count {
    std::uint64_t connections = 0, packets = 0, bytes = 0;
  };

  Balancer(const Service& service_balanced, const std::string& output)
      : service(&service_balanced),
        file(std::make_unique<CaptureFile>(output)),
        counts(service_balanced.servers.size()) {}

  void on_open(Connection& connection, const Packet& packet) {
    if (first_ns < 0) first_ns = packet.now_ns;
    const evenkeel::Endpoint to = connection.responder();
    if (to.ip_version != 4 || std::memcmp(to.address.data(), service->address.data(), 4) != 0) return;
    connection->server = choose(connection.key(), packet.now_ns - first_ns);
    if (connection->server != kNotOurs) ++counts[connection->server].connections;
  }

  void on_packet(Connection& connection, const Packet& packet) {
    const std::uint8_t server = connection->server;
    if (server == kNotOurs) return connection.bypass();
    ++counts[server].packets;
    counts[server].bytes += packet.wire_length;
    if (connection.forward(packet) && packet.link == evenkeel::LinkType::kEthernet)
      send(packet, service->servers[server].address);
  }

  // The one with the greatest hash of connection and server.
  std::uint8_t choose(const evenkeel::ConnectionKey& key, std::int64_t elapsed_ns) const {
    std::uint8_t best = kNotOurs;
    std::uint64_t best_weight = 0;
    for (std::size_t i = 0; i < service->servers.size(); ++i) {
      const std::uint64_t weight = mixed(key, service->servers[i].address);
      if (elapsed_ns > service->servers[i].drained_after_ns || weight < best_weight) continue;
      best = static_cast<std::uint8_t>(i);
      best_weight = weight;
    }
    return best;
  }

  // FNV-1a, with a last mix, as its high bits alone are weak.
  static std::uint64_t mixed(const evenkeel::ConnectionKey& key, const Address& server) {
    std::uint64_t hash = 0xcbf29ce484222325;
    const auto add = [&](std::uint8_t byte) { hash = (hash ^ byte) * 0x100000001b3; };
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&key);
    for (std::size_t i = 0; i < sizeof key; ++i) add(bytes[i]);
    for (const std::uint8_t byte : server) add(byte);
    hash ^= hash >> 32;
    return hash * 0x9e3779b97f4a7c15;
  }

  void send(const Packet& packet, const Address& server) {
    constexpr std::uint8_t kTcp = 6, kUdp = 17;
    copy.assign(packet.data, packet.data + packet.captured_length);
    std::uint8_t* const ip = copy.data() + packet.network_offset;
    std::memcpy(ip + 16, server.data(), 4);
    adjust(ip + 10, service->address, server);
    const std::size_t checksum = packet.transport_offset + (packet.key.protocol == kTcp ? 16u : 6u);
    const bool has_checksum = packet.transport_offset != 0 && checksum + 2 <= copy.size() &&
                              (packet.key.protocol == kTcp || packet.key.protocol == kUdp);
    // A UDP checksum of 0 says that there is none.
    if (has_checksum && (packet.key.protocol == kTcp || copy[checksum] != 0 || copy[checksum + 1] != 0))
      adjust(copy.data() + checksum, service->address, server);
    file->write(copy, packet);
  }

  const Service* service;
  std::unique_ptr<CaptureFile> file;
  std::vector<Count> counts;
  std::vector<std::uint8_t> copy;
  std::int64_t first_ns = -1;
};

int fail(const evenkeel::Error& error) {
  std::fprintf(stderr, "l4_balancer: %s\n", error.message.c_str());
  return error.kind == evenkeel::ErrorKind::kUsage ? 2 : 1;
}

bool read_server(std::string text, Server& server) {
  const std::size_t at = text.find('@');
  if (at != std::string::npos) {
    server.drained_after_ns = static_cast<std::int64_t>(std::strtod(text.c_str() + at + 1, nullptr) * 1e9);
    text.resize(at);
  }
  return inet_pton(AF_INET, text.c_str(), server.address.data()) == 1;
}

void print(const evenkeel::Engine<Balancer>& engine, const Service& service) {
  std::printf("%-15s %12s %12s %14s\n", "server", "connections", "packets", "bytes");
  for (std::size_t i = 0; i < service.servers.size(); ++i) {
    Balancer::Count sum;
    for (std::size_t worker = 0; worker < engine.size(); ++worker) {
      sum.connections += engine.handler(worker).counts[i].connections;
      sum.packets += engine.handler(worker).counts[i].packets;
      sum.bytes += engine.handler(worker).counts[i].bytes;
    }
    char text[INET_ADDRSTRLEN];
    std::printf("%-15s %12llu %12llu %14llu\n",
                inet_ntop(AF_INET, service.servers[i].address.data(), text, sizeof text),
                static_cast<unsigned long long>(sum.connections),
                static_cast<unsigned long long>(sum.packets), static_cast<unsigned long long>(sum.bytes));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5 || argc > 4 + Balancer::kNotOurs)
    return fail(evenkeel::usage_error("usage: l4_balancer INPUT OUTPUT SERVICE SERVER[@SECONDS]..."));
  Service service;
  bool readable = inet_pton(AF_INET, argv[3], service.address.data()) == 1;
  for (int i = 4; i < argc; ++i) readable &= read_server(argv[i], service.servers.emplace_back());
  if (!readable) return fail(evenkeel::usage_error("SERVICE and SERVER are IPv4 addresses"));

  auto engine = evenkeel::Engine<Balancer>::make({.inputs = {argv[1]}}, [&](evenkeel::ProcessorId worker) {
    return Balancer(service, std::string(argv[2]) + "." + std::to_string(worker.value()));
  });
  if (!engine) return fail(engine.error());
  const auto report = engine->run();
  if (!report) return fail(report.error());
  for (std::size_t worker = 0; worker < engine->size(); ++worker) {
    if (!engine->handler(worker).file->good())
      return fail(evenkeel::runtime_error("cannot write the captures"));
  }
  print(*engine, service);
  if (const auto error = report->input_error()) return fail(*error);
  return 0;
}
