// Who leaves TCP connections half open? Counts, by source address, the handshakes that nobody finished: what
// a SYN flood, or a scan, looks like.
//
// Shows a handler with a state, a timer for each connection, and what workers counted put together at the
// end.
//
//   syn_guard INPUT [SOURCES]     INPUT as `evenkeel run --input` takes it; how many sources to name (10)

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "evenkeel/engine.h"

namespace {

using evenkeel::Packet;
namespace tcp = evenkeel::tcp;

// A handshake has this long.
constexpr std::chrono::seconds kPatience{3};

struct Attempts {
  std::uint64_t begun = 0, finished = 0, refused = 0, half_open = 0;
};

// One for each worker, so nothing here is shared.
struct SynGuard {
  enum class Stage : std::uint8_t { kOther, kSynSeen };
  struct State {
    Stage stage = Stage::kOther;
  };
  using Connection = evenkeel::Connection<State>;

  void on_open(Connection& connection, const Packet& packet) {
    if ((packet.tcp_flags & (tcp::kSyn | tcp::kAck)) != tcp::kSyn) return;
    connection->stage = Stage::kSynSeen;
    ++attempts_of(connection).begun;
    connection.start_timer(kPatience);
  }

  void on_packet(Connection& connection, const Packet& packet) {
    if (connection->stage != Stage::kSynSeen) return;
    const bool forward = connection.forward(packet);
    if ((packet.tcp_flags & tcp::kRst) != 0) {
      ++attempts_of(connection).refused;
    } else if (forward && (packet.tcp_flags & (tcp::kSyn | tcp::kAck)) == tcp::kAck) {
      ++attempts_of(connection).finished;
    } else {
      return;
    }
    connection->stage = Stage::kOther;
    connection.cancel_timer();
    connection.bypass();  // how it goes on is of no interest here
  }

  void on_timer(Connection& connection, std::uint32_t) { give_up(connection); }

  // A flood fills the table, and what is evicted was not finished either.
  void on_close(Connection& connection, evenkeel::CloseReason reason) {
    if (connection->stage == Stage::kSynSeen && reason == evenkeel::CloseReason::kEvicted)
      give_up(connection);
  }

  void give_up(Connection& connection) {
    ++attempts_of(connection).half_open;
    connection->stage = Stage::kOther;
  }

  Attempts& attempts_of(const Connection& connection) {
    return by_source[evenkeel::address_text(connection.initiator())];
  }

  std::map<std::string, Attempts> by_source;
};

std::vector<std::pair<std::string, Attempts>> put_together(const evenkeel::Engine<SynGuard>& engine) {
  std::map<std::string, Attempts> sums;
  for (std::size_t worker = 0; worker < engine.size(); ++worker) {
    for (const auto& [source, attempts] : engine.handler(worker).by_source) {
      Attempts& sum = sums[source];
      sum.begun += attempts.begun;
      sum.finished += attempts.finished;
      sum.refused += attempts.refused;
      sum.half_open += attempts.half_open;
    }
  }
  std::vector<std::pair<std::string, Attempts>> sorted(sums.begin(), sums.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.half_open > b.second.half_open; });
  return sorted;
}

int fail(const evenkeel::Error& error) {
  std::fprintf(stderr, "syn_guard: %s\n", error.message.c_str());
  return error.kind == evenkeel::ErrorKind::kUsage ? 2 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return fail(evenkeel::usage_error("usage: syn_guard INPUT [SOURCES]"));
  auto engine = evenkeel::Engine<SynGuard>::make({.inputs = {argv[1]}, .connections_max = 200'000});
  if (!engine) return fail(engine.error());
  const auto report = engine->run();
  if (!report) return fail(report.error());

  const auto sources = put_together(*engine);
  std::size_t rows = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 10;
  std::printf("%-39s %10s %10s %10s %10s\n", "source", "half-open", "begun", "finished", "refused");
  for (const auto& [source, attempts] : sources) {
    if (rows-- == 0) break;
    std::printf("%-39s %10llu %10llu %10llu %10llu\n", source.c_str(),
                static_cast<unsigned long long>(attempts.half_open),
                static_cast<unsigned long long>(attempts.begun),
                static_cast<unsigned long long>(attempts.finished),
                static_cast<unsigned long long>(attempts.refused));
  }
  std::printf("%llu packets, %zu sources\n", static_cast<unsigned long long>(report->packets.received),
              sources.size());
  if (const auto error = report->input_error()) return fail(*error);
  return 0;
}
