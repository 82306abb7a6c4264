// A bounded ring between one producer and one consumer, in the manner of Lamport (1983) with cached indices
// (Lee's MCRingBuffer, 2010): each side keeps its last view of the other's index and looks again only when
// that view leaves it no room, so that in steady flow a burst costs one shared cache line.
//
// Threads: push by one producer thread, pop by one consumer thread, size() by any. Cost: about 5 instructions
// an item in bursts. No allocation after construction.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

#include "base/check.h"
#include "base/units.h"

namespace evenkeel::engine {

template <typename Item>
class Ring {
  static_assert(std::is_trivially_copyable_v<Item>);

 public:
  // capacity: a power of two.
  explicit Ring(std::size_t capacity) : mask_(capacity - 1), items_(std::make_unique<Item[]>(capacity)) {
    CHECK(std::has_single_bit(capacity));
  }

  std::size_t capacity() const { return mask_ + 1; }

  // [producer] Appends as many of `items` as there is room for, in order; returns how many.
  std::size_t push(std::span<const Item> items) {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);  // only this thread writes it
    std::size_t room = capacity() - static_cast<std::size_t>(tail - producer_head_);
    if (room < items.size()) {
      // Acquire: the consumer's reads of the slots happen before they are written again.
      producer_head_ = head_.load(std::memory_order_acquire);
      room = capacity() - static_cast<std::size_t>(tail - producer_head_);
    }
    const std::size_t count = std::min(room, items.size());
    const std::size_t at = tail & mask_, before_end = std::min(count, capacity() - at);
    std::copy_n(items.data(), before_end, items_.get() + at);
    std::copy_n(items.data() + before_end, count - before_end, items_.get());
    // Release: the items, and all that they point to, are visible to a consumer that sees the new tail.
    if (count != 0) tail_.store(tail + count, std::memory_order_release);
    return count;
  }

  // [consumer] Takes up to out.size() items, in order; returns how many.
  std::size_t pop(std::span<Item> out) {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);  // only this thread writes it
    std::size_t available = static_cast<std::size_t>(consumer_tail_ - head);
    if (available < out.size()) {
      // Acquire: pairs with the producer's release of the tail.
      consumer_tail_ = tail_.load(std::memory_order_acquire);
      available = static_cast<std::size_t>(consumer_tail_ - head);
    }
    const std::size_t count = std::min(available, out.size());
    const std::size_t at = head & mask_, before_end = std::min(count, capacity() - at);
    std::copy_n(items_.get() + at, before_end, out.data());
    std::copy_n(items_.get(), count - before_end, out.data() + before_end);
    // Release: the reads above are done before the producer may write these slots.
    if (count != 0) head_.store(head + count, std::memory_order_release);
    return count;
  }

  // [consumer] Items inside that the consumer knows of without asking: there may be more. After a pop() that
  // filled its span, 0 says nothing; after one that did not, nothing was left.
  std::size_t known_waiting() const {
    return static_cast<std::size_t>(consumer_tail_ - head_.load(std::memory_order_relaxed));
  }

  // [consumer] Shows up to `count_max` of these items, oldest first, and leaves them inside.
  template <typename Visit>
  void peek(std::size_t count_max, Visit&& visit) const {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);  // only this thread writes it
    const std::size_t count = std::min(count_max, static_cast<std::size_t>(consumer_tail_ - head));
    for (std::size_t i = 0; i < count; ++i) visit(items_[(head + i) & mask_]);
  }

  // [any] Items inside, as of a moment ago. For the consumer, 0 means that all pushes which happened before
  // are taken.
  std::size_t size() const {
    const std::uint64_t head = head_.load(std::memory_order_acquire);
    return static_cast<std::size_t>(tail_.load(std::memory_order_acquire) - head);
  }

 private:
  // The producer's line, the consumer's line, and what both only read.
  alignas(base::kCacheLine) std::atomic<std::uint64_t> tail_{0};
  std::uint64_t producer_head_ = 0;
  alignas(base::kCacheLine) std::atomic<std::uint64_t> head_{0};
  std::uint64_t consumer_tail_ = 0;
  alignas(base::kCacheLine) const std::size_t mask_;
  std::unique_ptr<Item[]> items_;
};

}  // namespace evenkeel::engine
