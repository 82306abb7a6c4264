#include "engine/threads.h"

#include <pthread.h>
#include <sched.h>

#include <chrono>

namespace evenkeel::engine {

namespace {

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

void Backoff::wait() {
  ++rounds_;
  if (rounds_ <= kSpins) return pause();
  if (rounds_ <= kSpins + kYields) return std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::nanoseconds(kSleepNanoseconds));
}

void pin_this_thread(std::span<const std::uint32_t> cpus) {
  if (cpus.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const std::uint32_t cpu : cpus) CPU_SET(cpu, &set);
  pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

std::vector<std::uint32_t> allowed_cpus() {
  cpu_set_t set;
  std::vector<std::uint32_t> cpus;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cpus;
  for (std::uint32_t cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return cpus;
}

void run_loop(const std::function<StepResult()>& step) {
  Backoff backoff;
  while (true) {
    switch (step()) {
      case StepResult::kWorked:
        backoff.reset();
        break;
      case StepResult::kIdle:
        backoff.wait();
        break;
      case StepResult::kFinished:
        return;
    }
  }
}

}  // namespace evenkeel::engine
