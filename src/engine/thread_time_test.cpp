#include "engine/thread_time.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace evenkeel::engine {
namespace {

// Until the thread has run for a while by its own clock, however long that takes.
void run_a_while() {
  timespec time{};
  do clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  while (time.tv_nsec < 2'000'000 && time.tv_sec == 0);
}

TEST(ThreadTime, IsNothingBeforeTheThreadBegins) { EXPECT_EQ(ThreadTime().nanoseconds(), 0u); }

TEST(ThreadTime, IsReadWhileTheThreadRunsAndStaysAfterItEnded) {
  ThreadTime time;
  std::atomic<bool> ran{false}, go{false};
  std::thread thread([&] {
    time.begin();
    run_a_while();
    ran = true;
    while (!go) std::this_thread::yield();
    time.end();
  });
  while (!ran) std::this_thread::yield();
  const std::uint64_t running_ns = time.nanoseconds();
  EXPECT_GE(running_ns, 2'000'000u);
  go = true;
  thread.join();
  const std::uint64_t ended_ns = time.nanoseconds();
  EXPECT_GE(ended_ns, running_ns);
  EXPECT_EQ(time.nanoseconds(), ended_ns);
}

}  // namespace
}  // namespace evenkeel::engine
