// The processor time of one thread, read by another.
//
// The time-stamp counter goes on while a thread waits for its processor; the thread's own clock does not
// (pthread_getcpuclockid(3); CLOCK_THREAD_CPUTIME_ID). Cost of a reading: a system call, 0.3 to 0.7 us.
#pragma once

#include <pthread.h>
#include <time.h>

#include <atomic>
#include <cstdint>

namespace evenkeel::engine {

class ThreadTime {
 public:
  // [the thread] When it begins, and as the last that it does.
  void begin();
  void end();

  // [any] Nanoseconds that the thread has run: 0 before it has begun, constant after it has ended.
  std::uint64_t nanoseconds() const;

 private:
  static constexpr std::uint64_t kRunning = ~std::uint64_t{0};

  clockid_t clock_ = 0;
  std::atomic<std::uint64_t> ended_ns_{0};
};

}  // namespace evenkeel::engine
