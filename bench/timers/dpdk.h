// DPDK's rte_timer: a skip list for each lcore. It reads the processor's time-stamp counter itself, so it
// alone runs in real time: a tick of the benchmark is then as many cycles as keep it just busy.
#pragma once

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_timer.h>
#include <sched.h>

#include <cstdint>
#include <vector>

#include "base/prefetch.h"
#include "bench/timers/contender.h"

namespace bench {

class Dpdk {
 public:
  static constexpr const char* kName = "rte_timer";

  static bool initialise() {
    const char* arguments[] = {"bench",          "--no-huge",   "--no-pci",      "-m",           "64",
                               "--no-telemetry", "--no-shconf", "--log-level=1", "--lcores=0@0", "--no-hpet"};
    // It pins this thread to its lcore's processor, where all threads that this one starts would stay as
    // well.
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    sched_getaffinity(0, sizeof allowed, &allowed);
    const bool ready =
        rte_eal_init(static_cast<int>(std::size(arguments)), const_cast<char**>(arguments)) >= 0;
    sched_setaffinity(0, sizeof allowed, &allowed);
    if (!ready) return false;
    return rte_timer_subsystem_init() == 0;
  }

  Dpdk(std::uint32_t timers, Delays delays, std::uint64_t cycles_a_tick)
      : delays_(delays), timers_(timers), cycles_a_tick_(cycles_a_tick) {
    for (auto& timer : timers_) rte_timer_init(&timer);
  }
  ~Dpdk() {
    for (auto& timer : timers_) rte_timer_stop(&timer);
  }
  Dpdk(const Dpdk&) = delete;
  Dpdk& operator=(const Dpdk&) = delete;

  void start(std::uint32_t i, std::uint32_t delay) {
    rte_timer_reset(&timers_[i], delay * cycles_a_tick_, SINGLE, 0, fired, this);
  }
  void cancel(std::uint32_t i) { rte_timer_stop(&timers_[i]); }
  void prefetch(std::uint32_t i) {
    evenkeel::base::prefetch_to_write(&timers_[i]);
    evenkeel::base::prefetch_to_write(reinterpret_cast<char*>(&timers_[i]) + 64);
  }
  void prefetch_more(std::uint32_t) {}

  std::uint32_t advance(std::uint64_t) {
    fired_ = 0;
    rte_timer_manage();
    return fired_;
  }

  std::size_t bytes_beside() const { return timers_.size() * sizeof(rte_timer); }

 private:
  static void fired(rte_timer* timer, void* argument) {
    auto* self = static_cast<Dpdk*>(argument);
    ++self->fired_;
    self->start(static_cast<std::uint32_t>(timer - self->timers_.data()), self->delays_.next());
  }

  Delays delays_;
  std::vector<rte_timer> timers_;
  std::uint64_t cycles_a_tick_;
  std::uint32_t fired_ = 0;
};

}  // namespace bench
