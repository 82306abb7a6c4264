// Counters that one thread writes and any thread reads, without a locked instruction.
#pragma once

#include <atomic>
#include <cstdint>

namespace evenkeel::meter {

// Relaxed throughout: a reader wants a recent value of each counter, not an order among several. Exact totals
// are read after the writer's thread was joined.
class Counter {
 public:
  // [owner]
  void add(std::uint64_t amount) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void increment() { add(1); }
  void set(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }

  // [any]
  std::uint64_t read() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace evenkeel::meter
