#include "engine/thread_time.h"

namespace evenkeel::engine {
namespace {

// False for the clock of a thread that is gone.
bool read_clock(clockid_t clock, std::uint64_t& nanoseconds) {
  timespec time{};
  if (clock_gettime(clock, &time) != 0) return false;
  nanoseconds =
      static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
  return true;
}

}  // namespace

void ThreadTime::begin() {
  if (pthread_getcpuclockid(pthread_self(), &clock_) != 0) return;
  // Release: whoever sees the thread running sees its clock.
  ended_ns_.store(kRunning, std::memory_order_release);
}

void ThreadTime::end() {
  std::uint64_t now_ns = 0;
  if (!read_clock(CLOCK_THREAD_CPUTIME_ID, now_ns)) now_ns = 0;
  // Relaxed: the value is all that is passed on.
  ended_ns_.store(now_ns, std::memory_order_relaxed);
}

std::uint64_t ThreadTime::nanoseconds() const {
  // Acquire: pairs with begin().
  const std::uint64_t ended_ns = ended_ns_.load(std::memory_order_acquire);
  if (ended_ns != kRunning) return ended_ns;
  std::uint64_t now_ns = 0;
  if (read_clock(clock_, now_ns)) return now_ns;
  // It has ended since, and said so before its clock went.
  return ended_ns_.load(std::memory_order_relaxed);
}

}  // namespace evenkeel::engine
