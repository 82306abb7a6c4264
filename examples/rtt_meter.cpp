// How long do packets take? Measures round-trip times by TCP's handshakes, as seen from where the packets
// were captured: SYN to SYN+ACK is the way to the server and back, SYN+ACK to ACK the way to the client and
// back.
//
// Shows packet times and directions. A handshake packet that is sent twice measures nothing (Karn and
// Partridge, 1987): which of the two was answered cannot be told.
//
//   rtt_meter INPUT     as `evenkeel run --input` takes it

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "evenkeel/engine.h"

namespace {

using evenkeel::Packet;
namespace tcp = evenkeel::tcp;

struct RttMeter {
  struct State {
    std::int64_t syn_ns = 0;  // 0: not seen, or not to be used
    std::int64_t syn_ack_ns = 0;
    bool over = false;
  };
  using Connection = evenkeel::Connection<State>;

  void on_packet(Connection& connection, const Packet& packet) {
    if (connection->over) return;
    const auto flags = packet.tcp_flags & (tcp::kSyn | tcp::kAck | tcp::kRst);
    if (connection.forward(packet) && flags == tcp::kSyn) {
      connection->syn_ns = connection->syn_ns == 0 ? packet.time_ns : kTwice;
    } else if (!connection.forward(packet) && flags == (tcp::kSyn | tcp::kAck)) {
      measure(server, connection->syn_ns, packet.time_ns);
      connection->syn_ack_ns = connection->syn_ack_ns == 0 ? packet.time_ns : kTwice;
      connection->syn_ns = kTwice;
    } else {
      if (connection.forward(packet) && flags == tcp::kAck)
        measure(client, connection->syn_ack_ns, packet.time_ns);
      connection->over = true;
      connection.bypass();
    }
  }

  static constexpr std::int64_t kTwice = -1;

  static void measure(std::vector<std::int64_t>& times, std::int64_t from_ns, std::int64_t to_ns) {
    if (from_ns > 0 && to_ns >= from_ns) times.push_back(to_ns - from_ns);
  }

  std::vector<std::int64_t> server, client;
};

void print(const char* side, std::vector<std::int64_t> times) {
  std::sort(times.begin(), times.end());
  const auto quantile_ms = [&](double q) {
    return static_cast<double>(times[static_cast<std::size_t>(q * static_cast<double>(times.size() - 1))]) /
           1e6;
  };
  if (times.empty()) {
    std::printf("%-8s %8d\n", side, 0);
    return;
  }
  std::printf("%-8s %8zu %10.3f %10.3f %10.3f %10.3f\n", side, times.size(), quantile_ms(0), quantile_ms(0.5),
              quantile_ms(0.9), quantile_ms(0.99));
}

int fail(const evenkeel::Error& error) {
  std::fprintf(stderr, "rtt_meter: %s\n", error.message.c_str());
  return error.kind == evenkeel::ErrorKind::kUsage ? 2 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return fail(evenkeel::usage_error("usage: rtt_meter INPUT"));
  auto engine = evenkeel::Engine<RttMeter>::make({.inputs = {argv[1]}});
  if (!engine) return fail(engine.error());
  const auto report = engine->run();
  if (!report) return fail(report.error());

  std::vector<std::int64_t> server, client;
  for (std::size_t worker = 0; worker < engine->size(); ++worker) {
    const RttMeter& meter = engine->handler(worker);
    server.insert(server.end(), meter.server.begin(), meter.server.end());
    client.insert(client.end(), meter.client.begin(), meter.client.end());
  }
  std::printf("%-8s %8s %10s %10s %10s %10s\n", "to the", "times", "min ms", "p50 ms", "p90 ms", "p99 ms");
  print("server", server);
  print("client", client);
  if (const auto error = report->input_error()) return fail(*error);
  return 0;
}
