// Timer services in real time: what a second thread adds, and how late timers are at an easy load.
#pragma once

#include <fmt/core.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <thread>
#include <vector>

#include "evenkeel/timer_service.h"

namespace bench {

// The processor time of timer threads, which tell their clocks when they first run a handler.
class ThreadClocks {
 public:
  void tell(evenkeel::ProcessorId thread) {
    thread_local const ThreadClocks* told = nullptr;
    if (told == this) return;
    clockid_t clock;
    pthread_getcpuclockid(pthread_self(), &clock);
    clocks_[thread.value()].store(clock, std::memory_order_relaxed);
    told = this;
  }
  double seconds(std::uint32_t thread) const {
    timespec time{};
    clock_gettime(clocks_[thread].load(std::memory_order_relaxed), &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
  }

 private:
  std::array<std::atomic<clockid_t>, 2> clocks_{};
};

// Of the time of a measurement; of the thread that had least.
struct ServiceRun {
  double fired_a_second = 0;
  double busy_min = 1;       // share in which it had something to do
  double processor_min = 1;  // share for which it got its processor
  double late_p99_us = 0;    // since the service began
};

// Connections that each start their timer again, `delay` later, whenever it fires.
inline ServiceRun run_service(std::uint32_t threads, std::uint32_t connections,
                              std::chrono::nanoseconds delay) {
  using Clock = std::chrono::steady_clock;
  ThreadClocks clocks;
  const auto service = evenkeel::TimerService::make(
                           {.threads = threads, .connections_max = connections},
                           [delay, &clocks](evenkeel::TimerService& timers, const evenkeel::TimerExpiry& e) {
                             clocks.tell(e.thread);
                             timers.start(e.connection, e.timer, delay);
                           })
                           .value();
  const auto made = Clock::now();
  for (std::uint32_t i = 0; i < connections; ++i) {
    evenkeel::TimerTuple tuple;
    std::memcpy(tuple.remote_address.data(), &i, sizeof(i));
    service->start(*service->add(tuple, i), 0, delay * i / connections);
  }
  std::this_thread::sleep_for(delay + std::chrono::milliseconds(200));
  // Fired in all; by thread, seconds with work and seconds of its processor.
  struct Moment {
    double seconds, fired;
    std::array<double, 2> busy, processor;
  };
  const auto look = [&] {
    // Anew where this thread had to wait for its processor: the report is of a time that it does not tell.
    auto begin = Clock::now();
    evenkeel::TimerReport report = service->report();
    while (Clock::now() - begin > std::chrono::milliseconds(1)) {
      begin = Clock::now();
      report = service->report();
    }
    Moment moment{
        std::chrono::duration<double>(begin - made).count(), static_cast<double>(report.all.fired), {}, {}};
    for (std::uint32_t i = 0; i < threads; ++i) {
      moment.busy[i] = report.threads[i].usage * moment.seconds;
      moment.processor[i] = clocks.seconds(i);
    }
    return moment;
  };
  const Moment before = look();
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  const Moment after = look();
  const double seconds = after.seconds - before.seconds;
  ServiceRun run{.fired_a_second = (after.fired - before.fired) / seconds,
                 .late_p99_us = service->report().all.late_p99_microseconds};
  for (std::uint32_t i = 0; i < threads; ++i) {
    run.busy_min = std::min(run.busy_min, (after.busy[i] - before.busy[i]) / seconds);
    run.processor_min = std::min(run.processor_min, (after.processor[i] - before.processor[i]) / seconds);
  }
  return run;
}

// By elapsed time: a thread that slept would count for nothing. It is judged only if all threads had work and
// their processors all the time, or nearly.
inline void compare_threads() {
  constexpr std::uint32_t kConnections = 200'000;
  constexpr double kBar = 1.8, kBusyMin = 0.95, kProcessorMin = 0.9;
  struct Sample {
    ServiceRun one, two;
    double ratio() const { return two.fired_a_second / one.fired_a_second; }
  };
  std::array<Sample, 3> samples;
  std::vector<double> late;
  for (Sample& sample : samples) {
    sample.one = run_service(1, kConnections, std::chrono::milliseconds(2));
    sample.two = run_service(2, kConnections, std::chrono::milliseconds(2));
    late.push_back(run_service(2, kConnections, std::chrono::seconds(1)).late_p99_us);
  }
  std::sort(samples.begin(), samples.end(),
            [](const Sample& a, const Sample& b) { return a.ratio() < b.ratio(); });
  std::sort(late.begin(), late.end());
  const Sample& median = samples[1];
  const auto print = [](const char* name, const ServiceRun& run) {
    fmt::print(
        "  {:10} {:6.2f} million expiries a second; each busy {:.1f} % of the time at least, on its "
        "processor {:.1f} %\n",
        name, run.fired_a_second / 1e6, run.busy_min * 100, run.processor_min * 100);
  };
  fmt::print("\nTimer services, {} connections in 1024 buckets, more due than can be served\n", kConnections);
  print("1 thread", median.one);
  print("2 threads", median.two);
  const char* verdict = median.ratio() >= kBar ? "met" : "MISSED";
  if (std::min(median.one.processor_min, median.two.processor_min) < kProcessorMin)
    verdict = "not judged: other programs had the processors";
  if (std::min(median.one.busy_min, median.two.busy_min) < kBusyMin)
    verdict = "not judged: a thread had nothing to do at times";
  fmt::print("  {:.2f} times as many a second ({:.2f} - {:.2f}; bar {}: {})\n", median.ratio(),
             samples.front().ratio(), samples.back().ratio(), kBar, verdict);
  fmt::print("  2 threads, each connection once a second: late 99 % {:.0f} us (best round {:.0f})\n", late[1],
             late[0]);
}

}  // namespace bench
