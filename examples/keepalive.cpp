// Keep-alives of very many connections: each is due once an interval, and the timer threads share the work.
//
// Shows TimerService: connections are added with their addresses and a tag, started once, and then start
// themselves again whenever they fire, on the timer thread that owns them. Prints a line a second and a
// summary.

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <thread>
#include <vector>

#include "evenkeel/timer_service.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Arguments {
  std::uint32_t connections = 1'000'000;
  std::uint32_t threads = 2;
  double interval_seconds = 10;
  double seconds = 10;
  std::uint32_t work_nanoseconds = 0;
};

evenkeel::TimerTuple tuple_of(std::uint32_t i) {
  evenkeel::TimerTuple tuple;
  tuple.local_address = {192, 0, 2, 1};
  tuple.local_port = 443;
  tuple.remote_address = {10, static_cast<std::uint8_t>(i >> 16), static_cast<std::uint8_t>(i >> 8),
                          static_cast<std::uint8_t>(i)};
  tuple.remote_port = static_cast<std::uint16_t>(1024 + i * 7919 % 60'000);
  return tuple;
}

// Stands for what sending a keep-alive costs.
void spend(std::chrono::nanoseconds time) {
  if (time.count() == 0) return;
  const auto end = Clock::now() + time;
  while (Clock::now() < end) {
  }
}

void print(const evenkeel::TimerReport& report) {
  for (std::size_t i = 0; i < report.threads.size(); ++i) {
    const evenkeel::TimerCounts& thread = report.threads[i];
    std::printf("  thread %zu: fired %llu, late p99 %.0f us, busy %.1f %%\n", i,
                static_cast<unsigned long long>(thread.fired), thread.late_p99_microseconds,
                thread.usage * 100);
  }
  std::printf(
      "timers.started %llu  restarted %llu  cancelled %llu  fired %llu  fired_off_owner %llu  "
      "late_p99_microseconds %.0f  "
      "moves of buckets %llu\n",
      static_cast<unsigned long long>(report.all.started),
      static_cast<unsigned long long>(report.all.restarted),
      static_cast<unsigned long long>(report.all.cancelled),
      static_cast<unsigned long long>(report.all.fired),
      static_cast<unsigned long long>(report.all.fired_off_owner), report.all.late_p99_microseconds,
      static_cast<unsigned long long>(report.moves));
}

int run(const Arguments& arguments) {
  const auto interval = std::chrono::nanoseconds(static_cast<std::int64_t>(arguments.interval_seconds * 1e9));
  const std::chrono::nanoseconds work(arguments.work_nanoseconds);
  auto made =
      evenkeel::TimerService::make({.threads = arguments.threads, .connections_max = arguments.connections},
                                   [=](evenkeel::TimerService& timers, const evenkeel::TimerExpiry& expiry) {
                                     spend(work);
                                     timers.start(expiry.connection, expiry.timer, interval);
                                   });
  if (!made) {
    std::fprintf(stderr, "keepalive: %s\n", made.error().message.c_str());
    return made.error().kind == evenkeel::ErrorKind::kUsage ? 2 : 1;
  }
  evenkeel::TimerService& timers = **made;

  const auto begin = Clock::now();
  for (std::uint32_t i = 0; i < arguments.connections; ++i) {
    const auto connection = timers.add(tuple_of(i), i);
    // Spread over the interval, as connections that came one after another.
    if (connection) timers.start(*connection, 0, interval * i / arguments.connections);
  }
  const std::chrono::duration<double> added = Clock::now() - begin;
  std::printf("%u connections added and started in %.2f s\n", arguments.connections, added.count());

  const auto end = Clock::now() + std::chrono::duration<double>(arguments.seconds);
  std::uint64_t fired_before = timers.report().all.fired;
  while (Clock::now() < end) {
    std::this_thread::sleep_for(
        std::min<std::chrono::duration<double>>(std::chrono::seconds(1), end - Clock::now()));
    const std::uint64_t fired = timers.report().all.fired;
    std::printf("%llu keep-alives\n", static_cast<unsigned long long>(fired - fired_before));
    std::fflush(stdout);
    fired_before = fired;
  }
  print(timers.report());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"Keep-alives of very many connections by TimerService"};
  app.add_option("--connections", arguments.connections, "how many (default 1000000)")
      ->check(CLI::Range(1, 16'000'000));
  app.add_option("--threads", arguments.threads, "timer threads (default 2)")->check(CLI::Range(1, 1024));
  app.add_option("--interval", arguments.interval_seconds, "seconds between keep-alives (default 10)")
      ->check(CLI::PositiveNumber);
  app.add_option("--seconds", arguments.seconds, "how long to run (default 10)")->check(CLI::PositiveNumber);
  app.add_option("--work", arguments.work_nanoseconds, "nanoseconds that a keep-alive takes (default 0)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return run(arguments);
}
