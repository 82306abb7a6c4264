// How late the timers of a handler are in the packet engine, in real time: beside few packets, beside as many
// as its one worker can serve, and beside more.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "evenkeel/engine.h"
#include "source/make_source.h"

namespace bench {

// What comes in: a packet now and then; as many as the engine takes; or more, of which what it has no room
// for is lost, as at an interface.
enum class Traffic { kLight, kFull, kOverload };

// Built-in traffic whose packet time is the present.
class LiveTraffic : public evenkeel::Source {
 public:
  LiveTraffic(std::unique_ptr<evenkeel::Source> input, Traffic traffic)
      : input_(std::move(input)), traffic_(traffic) {}

  evenkeel::ReceiveStatus receive(std::span<evenkeel::Packet*> out, std::size_t& count) override {
    const std::int64_t now_ns = evenkeel::base::monotonic_nanoseconds();
    count = 0;
    if (traffic_ == Traffic::kLight) {
      if (now_ns < next_ns_) return evenkeel::ReceiveStatus::kIdle;
      next_ns_ = now_ns + kLightInterval_ns;
      out = out.first(1);
    }
    const evenkeel::ReceiveStatus status = input_->receive(out, count);
    for (evenkeel::Packet* packet : out.first(count)) packet->time_ns = now_ns;
    return status;
  }
  bool can_wait() const override { return traffic_ == Traffic::kFull; }
  evenkeel::SourceStatistics statistics() const override { return input_->statistics(); }
  std::int64_t quiet_until_ns() const override { return evenkeel::base::monotonic_nanoseconds(); }
  std::string name() const override { return input_->name(); }

 private:
  static constexpr std::int64_t kLightInterval_ns = 20'000;

  const std::unique_ptr<evenkeel::Source> input_;
  const Traffic traffic_;
  std::int64_t next_ns_ = 0;
};

// Each connection's timer runs from its first packet on, and starts again when it fires.
struct PunctualHandler {
  struct State {};
  // Works for some hundred nanoseconds, so that the worker is what packets wait for.
  void on_packet(evenkeel::Connection<State>& connection, const evenkeel::Packet&) {
    if (!connection.timer_runs()) start(connection);
    volatile std::uint32_t work = 150;
    while (work != 0) work = work - 1;
  }
  void on_timer(evenkeel::Connection<State>& connection, std::uint32_t) {
    late_ns.push_back(evenkeel::base::monotonic_nanoseconds() - connection.now_ns());
    start(connection);
  }
  void start(evenkeel::Connection<State>& connection) {
    connection.start_timer(std::chrono::microseconds(100'000 + random.below(800'000)));
  }

  evenkeel::base::Random random{5};
  std::vector<std::int64_t> late_ns;
};

struct EngineLateness {
  double served_a_second, fired_a_second, busy;
  double late_p99_us;         // by the clock, after the time that was asked for
  double report_late_p99_us;  // as the engine counts it: in packet time, after the beginning of the tick
};

inline EngineLateness run_engine(Traffic traffic) {
  using namespace std::chrono_literals;
  evenkeel::source::SourceOptions without_end;
  without_end.duration_ns = std::int64_t{1} << 60;
  auto input = evenkeel::source::make_source("generator:campus,connections=10000", without_end);
  auto engine = evenkeel::Engine<PunctualHandler>::make(
      {.sources = {std::make_shared<LiveTraffic>(std::move(*input), traffic)}, .workers = 1});
  std::vector<std::int64_t>& late_ns = engine->handler(0).late_ns;
  late_ns.reserve(1'000'000);
  engine->start().ok();
  std::this_thread::sleep_for(1500ms);
  engine->stop();
  const evenkeel::Report report = *engine->wait();
  std::sort(late_ns.begin(), late_ns.end());
  return {.served_a_second = static_cast<double>(report.packets.processed) / report.elapsed_seconds,
          .fired_a_second = static_cast<double>(late_ns.size()) / report.elapsed_seconds,
          .busy = report.workers[0].busy_fraction,
          .late_p99_us = late_ns.empty() ? 0 : static_cast<double>(late_ns[late_ns.size() * 99 / 100]) / 1000,
          .report_late_p99_us = report.timers.late_p99_microseconds};
}

// Interleaved rounds; of each traffic the one with the median lateness.
inline void measure_engine_lateness() {
  constexpr double kTick_us = 1000, kSlice_us = 25;  // engine/connection_keeper.h: 256 timers
  constexpr std::array kTraffics{Traffic::kLight, Traffic::kFull, Traffic::kOverload};
  constexpr std::array kNames{"50,000 packets a second", "all that it can serve", "more than that"};
  std::array<std::array<EngineLateness, 3>, kTraffics.size()> runs;  // by traffic, by round
  for (std::size_t round = 0; round < runs[0].size(); ++round)
    for (std::size_t i = 0; i < kTraffics.size(); ++i) runs[i][round] = run_engine(kTraffics[i]);
  fmt::print("\nTimers of a handler in the packet engine, one worker, in real time\n");
  for (std::size_t i = 0; i < kTraffics.size(); ++i) {
    std::sort(runs[i].begin(), runs[i].end(),
              [](const auto& a, const auto& b) { return a.late_p99_us < b.late_p99_us; });
    const EngineLateness& run = runs[i][1];
    fmt::print(
        "  {:23} {:5.2f} million served a second, worker busy {:3.0f} %, {:5.0f} timers a second: late "
        "99 % {:.0f} us ({:.0f} - {:.0f}); by the report {:.0f} us\n",
        kNames[i], run.served_a_second / 1e6, run.busy * 100, run.fired_a_second, run.late_p99_us,
        runs[i].front().late_p99_us, runs[i].back().late_p99_us, run.report_late_p99_us);
  }
  fmt::print("  a tick and a slice, {:.0f} us, beside all the packets that it can serve: {}\n",
             kTick_us + kSlice_us, runs[1][1].late_p99_us <= kTick_us + kSlice_us ? "met" : "MISSED");
}

}  // namespace bench
