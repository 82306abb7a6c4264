// Uses each public header, and each part of the interface that is compiled into the library.
#include <evenkeel/engine.h>
#include <evenkeel/push_source.h>
#include <evenkeel/timer_service.h>

#include <cstdio>

struct Counter {
  struct State {
    unsigned long packets = 0;
  };
  void on_packet(evenkeel::Connection<State>& connection, const evenkeel::Packet&) { ++connection->packets; }
  void on_timer(evenkeel::Connection<State>&, unsigned) {}
  void on_close(evenkeel::Connection<State>& connection, evenkeel::CloseReason) {
    packets += connection->packets;
    last = to_string(connection.initiator());
  }
  unsigned long packets = 0;
  std::string last;
};

int main() {
  auto pushed = evenkeel::PushSource::make({});
  auto policy = evenkeel::make_policy("index");
  auto timers = evenkeel::TimerService::make({.connections_max = 100}, [](auto&, const auto&) {});
  if (!pushed || !policy || !timers) return 1;
  (*pushed)->end();
  auto engine =
      evenkeel::Engine<Counter>::make({.inputs = {"generator:campus,packets=20000"},
                                       .sources = {*pushed},
                                       .own_policy = std::shared_ptr<evenkeel::Policy>(std::move(*policy))});
  if (!engine) return std::fprintf(stderr, "%s\n", engine.error().message.c_str()), 1;
  const auto report = engine->run();
  if (!report) return std::fprintf(stderr, "%s\n", report.error().message.c_str()), 1;
  std::printf("%lu packets\n", engine->handler(0).packets + engine->handler(1).packets);
  return total(report->packets.dropped) == 0 && !engine->report_json().empty() ? 0 : 1;
}
