// What the library's boundary costs: the same job, counting packets and bytes by connection, as a handler
// that is compiled into the engine and as one that is called through the library's table of functions. One
// dispatcher and one worker, stepped by one thread over the same packets, in turns; medians, and the ratio of
// each turn.
//
//   bench_library [ROUNDS]

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/engine.h"
#include "evenkeel/handler.h"
#include "library/slot_handler.h"
#include "source/make_source.h"

namespace evenkeel {
namespace {

constexpr std::uint64_t kPackets = 1'000'000;
const std::string kInput = "generator:campus,packets=1000000,connections=20000";

struct Counts {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};

// Compiled into the engine.
struct Direct {
  using State = Counts;
  using Connection = engine::Connection<State>;
  void open(Connection&, const Packet&) {}
  void packet(Connection& connection, const Packet& packet) {
    ++connection.state.packets;
    connection.state.bytes += packet.wire_length;
  }
  std::int64_t deadline_ns(const Connection&) const { return kNoDeadline; }
  void due(const ConnectionKey&, Connection&, std::int64_t) {}
  void close(const ConnectionKey&, Connection& connection, CloseReason, std::int64_t) {
    *packets += connection.state.packets;
  }
  void idle() {}

  std::uint64_t* packets;
};

// As a user of the library writes it.
struct Author {
  using State = Counts;
  void on_packet(Connection<State>& connection, const Packet& packet) {
    ++connection->packets;
    connection->bytes += packet.wire_length;
  }
  void on_close(Connection<State>& connection, CloseReason) { packets += connection->packets; }
  std::uint64_t packets = 0;
};

// The same with a timer that every packet restarts.
struct AuthorWithTimer : Author {
  void on_packet(Connection<State>& connection, const Packet& packet) {
    Author::on_packet(connection, packet);
    connection.start_timer(std::chrono::seconds(1));
  }
  void on_timer(Connection<State>&, std::uint32_t) {}
};

// Nanoseconds a packet, from source to handler.
template <typename Handler>
double run(const Handler& handler) {
  auto source = source::make_source(kInput, {});
  engine::EngineOptions options;
  options.connections_max = 100'000;
  auto engine = engine::Engine<Handler, base::CycleClock>::make(
      options, {source->get()}, std::move(*packet::Hasher::make("toeplitz", "")),
      [&](ProcessorId) { return handler; }, [](ProcessorId) { return base::CycleClock{}; });
  engine::Dispatcher& dispatcher = *(*engine)->dispatchers().front();
  auto& worker = *(*engine)->workers().front();
  const std::int64_t start = base::monotonic_nanoseconds();
  while (!(*engine)->drained()) {
    dispatcher.step();
    worker.step();
  }
  const std::int64_t end = base::monotonic_nanoseconds();
  worker.close_all((*engine)->handed_over_ns());
  return static_cast<double>(end - start) / static_cast<double>(kPackets);
}

template <typename AuthorHandler>
double run_author() {
  AuthorHandler author;
  library::HandlerMeters meters;
  const double time = run(library::SlotHandler<32>(detail::Calls<AuthorHandler>::kTable, &author, meters));
  if (author.packets == 0) std::abort();
  return time;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace
}  // namespace evenkeel

int main(int argc, char** argv) {
  using namespace evenkeel;
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 9;
  std::vector<double> direct, author, timer, ratio, timer_ratio;
  for (int i = 0; i < rounds; ++i) {
    std::uint64_t packets = 0;
    direct.push_back(run(Direct{&packets}));
    author.push_back(run_author<Author>());
    timer.push_back(run_author<AuthorWithTimer>());
    ratio.push_back(author.back() / direct.back());
    timer_ratio.push_back(timer.back() / direct.back());
  }
  std::printf("%-44s %8s %8s\n", "generator, dispatcher and worker, one thread", "ns", "ratio");
  std::printf("%-44s %8.1f\n", "handler compiled into the engine", median(direct));
  std::printf("%-44s %8.1f %8.2f\n", "handler of the library's user", median(author), median(ratio));
  std::printf("%-44s %8.1f %8.2f\n", "the same, restarting a timer by each packet", median(timer),
              median(timer_ratio));
  return 0;
}
