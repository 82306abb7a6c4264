// What TimerService::make() says where the system gives it no memory or no threads. Under sanitizers, which
// need terabytes of address space themselves, there is nothing to limit.
#include <gtest/gtest.h>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "evenkeel/timer_service.h"

namespace evenkeel {
namespace {

using namespace std::chrono_literals;

// This process may use so much more address space than it has.
void limit_memory(std::size_t more_bytes) {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlim_t bytes = pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) + more_bytes;
  const rlimit limit{bytes, bytes};
  setrlimit(RLIMIT_AS, &limit);
}

bool other_threads_end() {
  for (int i = 0; i < 6000; ++i) {
    const std::filesystem::directory_iterator threads("/proc/self/task");
    if (std::distance(begin(threads), end(threads)) == 1) return true;
    std::this_thread::sleep_for(5ms);
  }
  return false;
}

std::string make_within(std::size_t more_bytes) {
  limit_memory(more_bytes);
  // Nothing is moved, for which memory might be wanted while the outcome is told.
  const auto made = TimerService::make({.threads = 64, .connections_max = 1000, .rebalance_interval = 1h},
                                       [](TimerService&, const TimerExpiry&) {});
  if (made.ok()) return "made";
  if (made.error().kind != ErrorKind::kRuntime) return "no runtime error: " + made.error().message;
  return other_threads_end() ? made.error().message : "threads are left";
}

// The outcome in a process of its own.
std::string outcome_within(std::size_t more_bytes) {
  std::array<int, 2> ends;
  if (pipe(ends.data()) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    const std::string outcome = make_within(more_bytes);
    _exit(write(ends[1], outcome.data(), outcome.size()) < 0);
  }
  close(ends[1]);
  std::array<char, 4096> text;
  std::string outcome;
  for (ssize_t length; (length = read(ends[0], text.data(), text.size())) > 0;)
    outcome.append(text.data(), static_cast<std::size_t>(length));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? outcome : "it died";
}

TEST(TimerServiceRefusal, WantOfMemoryOrThreadsIsOneLineAndNoThreadIsLeft) {
  bool no_memory = false, no_threads = false;
  std::string outcome;
  for (std::size_t more_bytes = 4 << 20; outcome != "made"; more_bytes *= 2) {
    outcome = outcome_within(more_bytes);
    const bool of_memory = outcome.find("memory") != std::string::npos;
    const bool of_threads = outcome.find("the system gives no more threads") == 0;
    ASSERT_TRUE(of_memory || of_threads || outcome == "made") << outcome << ", with " << more_bytes;
    ASSERT_EQ(outcome.find('\n'), std::string::npos);
    no_memory |= of_memory;
    no_threads |= of_threads;
  }
  EXPECT_TRUE(no_memory);
  EXPECT_TRUE(no_threads);
}

}  // namespace
}  // namespace evenkeel

#endif
