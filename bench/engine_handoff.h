// How handoffs are compared: one thread fills descriptors, as what receives packets does, and gives them in
// bursts of 32; another takes them and reads the first line of each. Time is that of the time-stamp counter,
// from the first gift to the last descriptor taken.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "evenkeel/packet.h"
#include "evenkeel/result.h"

namespace evenkeel::bench {

inline constexpr unsigned kBatch = 32;

// The value of what a benchmark cannot do without.
template <typename Value>
Value must(Result<Value> result) {
  CHECK(result.ok());
  return std::move(*result);
}

using Cpus = std::array<std::uint32_t, 2>;

inline void pin(std::uint32_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

// What the taker reads of each descriptor.
class Touched {
 public:
  void touch(const void* descriptor) {
    std::uint64_t word;
    std::memcpy(&word, descriptor, sizeof word);
    sum_ += word;
  }
  std::uint64_t sum() const { return sum_; }

 private:
  std::uint64_t sum_ = 0;
};

class Handoff {
 public:
  virtual ~Handoff() = default;
  virtual std::string name() const = 0;
  virtual bool usable() const { return true; }
  // True where threads of its own take what is given: take() then only says how much that was.
  virtual bool takes_by_itself() const { return false; }

  // [giver] Writes to the first line of these descriptors, of which the first has this number. Not again for
  // those that there was no room for.
  virtual void fill(std::span<Packet* const> burst, std::uint64_t number) {
    for (Packet* packet : burst) packet->time_ns = static_cast<std::int64_t>(number++);
  }
  // [giver] Gives the first of these, and returns how many; 0: there is no room now.
  virtual std::size_t give(std::span<Packet* const> burst) = 0;
  // [giver] Called while the last of them are not taken yet.
  virtual void push_on() {}
  // [taker] Returns how many it took.
  virtual std::size_t take(Touched& touched) = 0;
};

// A round of descriptors, given again and again: more of them than any queue holds, so that none is given
// while it waits.
class Gifts {
 public:
  Gifts(Handoff& handoff, std::span<Packet> packets) : handoff_(handoff), packets_(packets) {}

  // Gives as many as there is room for of the next burst; returns how many.
  std::size_t give(std::uint64_t left) {
    const std::size_t count = left < kBatch ? left : kBatch;
    for (std::size_t i = 0; i < count; ++i) burst_[i] = &packets_[(given_ + i) & (packets_.size() - 1)];
    if (filled_ < given_ + count) {
      handoff_.fill({burst_.data() + (filled_ - given_), static_cast<std::size_t>(given_ + count - filled_)},
                    filled_);
      filled_ = given_ + count;
    }
    const std::size_t now = handoff_.give({burst_.data(), count});
    given_ += now;
    return now;
  }

 private:
  Handoff& handoff_;
  std::span<Packet> packets_;  // a power of two of them
  std::array<Packet*, kBatch> burst_{};
  std::uint64_t given_ = 0;
  std::uint64_t filled_ = 0;
};

// So that the compiler does not leave out what made the value.
inline void keep_alive(std::uint64_t value) { asm volatile("" : : "r"(value)); }

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// A run is given up after this long: on a machine with other work, threads that wait for each other hardly
// get on.
inline constexpr double kRunSecondsMax = 0.2;

// Ticks a packet, from one thread to another.
inline double run_on_two(Handoff& handoff, std::span<Packet> packets, std::uint64_t most, const Cpus& cpus) {
  const auto ticks_max =
      static_cast<std::uint64_t>(kRunSecondsMax * 1e9 * base::CycleClock::ticks_per_nanosecond());
  std::atomic<std::uint64_t> count{most};  // to be taken: less where the run was given up
  std::atomic<std::uint64_t> end{0};       // when the last was taken
  std::atomic<bool> ready{false};
  const auto take_all = [&] {
    Touched touched;
    std::uint64_t sum = 0;
    while (sum < count) {
      const std::size_t now = handoff.take(touched);
      if (now == 0) handoff.takes_by_itself() ? std::this_thread::yield() : relax();
      sum += now;
    }
    end = base::CycleClock::ticks();
    keep_alive(touched.sum());
  };
  std::thread taker([&] {
    if (!handoff.takes_by_itself()) pin(cpus[1]);
    ready = true;
    take_all();
  });
  while (!ready) relax();
  Gifts gifts(handoff, packets);
  const std::uint64_t start = base::CycleClock::ticks();
  std::uint64_t given = 0;
  while (given < most && base::CycleClock::ticks() - start < ticks_max) {
    const std::size_t now = gifts.give(most - given);
    if (now == 0) relax();
    given += now;
  }
  count = given;
  while (end == 0) handoff.push_on();
  taker.join();
  return static_cast<double>(end - start) / static_cast<double>(given);
}

// Ticks a packet where one thread gives and takes by turns.
inline double run_on_one(Handoff& handoff, std::span<Packet> packets, std::uint64_t count) {
  Touched touched;
  Gifts gifts(handoff, packets);
  const std::uint64_t start = base::CycleClock::ticks();
  std::uint64_t taken = 0;
  for (std::uint64_t given = 0; given < count;) {
    given += gifts.give(count - given);
    taken += handoff.take(touched);
  }
  while (taken < count) {
    handoff.push_on();
    taken += handoff.take(touched);
  }
  const std::uint64_t end = base::CycleClock::ticks();
  keep_alive(touched.sum());
  return static_cast<double>(end - start) / static_cast<double>(count);
}

// Nanoseconds for a cache line to the other core and back, the least of some tries.
inline double round_trip_ns(const Cpus& cpus) {
  constexpr int kTurns = 200, kTries = 20;
  alignas(128) std::atomic<int> line{0};
  std::thread other([&] {
    pin(cpus[1]);
    for (int i = 0; i < kTurns * kTries; ++i) {
      while (line.load(std::memory_order_acquire) != 2 * i + 1) {
      }
      line.store(2 * i + 2, std::memory_order_release);
    }
  });
  double least = 1e9;
  for (int i = 0, t = 0; t < kTries; ++t) {
    const std::int64_t start_ns = base::monotonic_nanoseconds();
    for (int turn = 0; turn < kTurns; ++turn, ++i) {
      line.store(2 * i + 1, std::memory_order_release);
      while (line.load(std::memory_order_acquire) != 2 * i + 2) {
      }
    }
    const double each = static_cast<double>(base::monotonic_nanoseconds() - start_ns) / kTurns;
    least = each < least ? each : least;
  }
  other.join();
  return least;
}

// How far apart the two cores are: siblings share their caches, near cores a third-level cache.
enum class Distance : std::uint8_t { kSiblings, kNear, kFar };
inline constexpr const char* kDistanceNames[] = {"siblings", "near", "far"};

inline Distance distance_of(double round_trip) {
  return round_trip < 90 ? Distance::kSiblings : round_trip < 250 ? Distance::kNear : Distance::kFar;
}

}  // namespace evenkeel::bench
