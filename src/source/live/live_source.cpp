#include "source/live/live_source.h"

#include <poll.h>
#include <time.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/units.h"

namespace evenkeel::source {
namespace {

// Kernel timestamps are those of this clock.
std::int64_t real_time_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * base::kNanosecondsPerSecond + now.tv_nsec;
}

}  // namespace

LiveSource::LiveSource(std::size_t inputs) : quiet_until_ns_(std::numeric_limits<std::int64_t>::min()) {
  for (std::size_t i = 0; i < inputs; ++i) lanes_.push_back(std::make_unique<Lane>());
}

LiveSource::~LiveSource() {
  for (const auto& lane : lanes_) delete lane->delivered.load(std::memory_order_acquire);
}

bool LiveSource::deliver(std::size_t input, std::unique_ptr<ReceiveRing>& ring) {
  // Release: the ring is whole before the worker sees it.
  ReceiveRing* none = nullptr;
  if (!lanes_[input]->delivered.compare_exchange_strong(none, ring.get(), std::memory_order_release))
    return false;
  (void)ring.release();
  return true;
}

void LiveSource::take_delivered(Lane& lane) {
  // Relaxed first, as nothing comes nearly always; then acquire: pairs with deliver().
  if (lane.next != nullptr || lane.delivered.load(std::memory_order_relaxed) == nullptr) return;
  lane.next.reset(lane.delivered.exchange(nullptr, std::memory_order_acquire));
  if (lane.ring == nullptr) lane.ring = std::move(lane.next);
}

std::size_t LiveSource::receive_from(Lane& lane, std::span<Packet*> out) {
  take_delivered(lane);
  if (lane.ring == nullptr) return 0;
  const std::size_t count = lane.ring->receive(out);
  if (count == 0 && lane.next != nullptr) {
    retire(std::exchange(lane.ring, std::move(lane.next)));
    lane.ring_fenced = false;  // passed: the old ring is empty
    return lane.ring->receive(out);
  }
  return count;
}

void LiveSource::retire(std::unique_ptr<ReceiveRing> ring) { retired_.push_back(std::move(ring)); }

ReceiveStatus LiveSource::receive(std::span<Packet*> out, std::size_t& count) {
  count = lanes_.size() == 1 ? receive_from(*lanes_.front(), out) : receive_merged(out);
  if (count != 0) return ReceiveStatus::kMore;
  tidy();
  // Acquire: the rings were closed before.
  if (!ending_.load(std::memory_order_acquire)) return ReceiveStatus::kIdle;
  if (!std::exchange(end_fenced_, true)) begin_fence();
  if (!fence_passed()) return ReceiveStatus::kIdle;
  tidy();  // what the kernel dropped meanwhile is final now
  return ReceiveStatus::kEnd;
}

std::size_t LiveSource::receive_merged(std::span<Packet*> out) {
  std::int64_t delay_max_ns = 0;
  for (const auto& lane : lanes_) {
    if (lane->empty()) {
      lane->begin = 0;
      lane->end = receive_from(*lane, lane->heads);
    }
    if (lane->ring != nullptr) delay_max_ns = std::max(delay_max_ns, lane->ring->delay_max_ns());
  }
  const std::int64_t visible_ns = ending_.load(std::memory_order_relaxed)
                                      ? std::numeric_limits<std::int64_t>::max()
                                      : real_time_ns() - delay_max_ns;
  std::size_t count = 0;
  while (count < out.size()) {
    Lane* const lane = earliest(visible_ns);
    if (lane == nullptr) break;
    out[count++] = lane->heads[lane->begin++];
    ++lane->merged;
  }
  return count;
}

// The lane with the oldest head, if nothing older can become visible in a lane that has none.
LiveSource::Lane* LiveSource::earliest(std::int64_t visible_ns) {
  Lane* first = nullptr;
  bool all_have = true;
  for (const auto& lane : lanes_) {
    if (lane->empty()) {
      all_have &= lane->ring == nullptr;
    } else if (first == nullptr || lane->heads[lane->begin]->time_ns < first->heads[first->begin]->time_ns) {
      first = lane.get();
    }
  }
  if (first == nullptr || all_have || first->heads[first->begin]->time_ns <= visible_ns) return first;
  return nullptr;
}

void LiveSource::look_at_clock() {
  std::int64_t delay_max_ns = 0;
  for (const auto& lane : lanes_) {
    if (lane->ring != nullptr) delay_max_ns = std::max(delay_max_ns, lane->ring->delay_max_ns());
  }
  quiet_until_ns_ = real_time_ns() - delay_max_ns;
}

void LiveSource::tidy() {
  look_at_clock();
  for (const auto& lane : lanes_) {
    if (lane->ring != nullptr) lane->ring->tidy();
  }
  std::erase_if(retired_, [](const auto& ring) { return ring->all_released(); });
}

SourceStatistics LiveSource::statistics() const {
  SourceStatistics sum;
  for (const auto& lane : lanes_) {
    sum.received += lane->counters.packets.read();
    sum.bytes += lane->counters.bytes.read();
    sum.dropped_before += lane->counters.kernel_drops.read();
  }
  return sum;
}

void LiveSource::begin_fence() {
  for (const auto& lane : lanes_) {
    lane->ring_fenced = lane->ring != nullptr;
    if (lane->ring_fenced) lane->ring->begin_fence();
    lane->fence = 0;
  }
}

bool LiveSource::fence_passed() {
  bool all = true;
  for (const auto& lane : lanes_) {
    if (lane->ring_fenced && lane->ring->fence_passed()) {
      lane->ring_fenced = false;
      lane->fence = lane->merged + (lane->end - lane->begin);
    }
    all &= !lane->ring_fenced && lane->merged >= lane->fence;
  }
  return all;
}

void LiveSource::wait(int patience_ms) {
  polled_.clear();
  for (const auto& lane : lanes_) {
    if (lane->ring == nullptr || !lane->empty()) continue;
    for (const int descriptor : lane->ring->descriptors())
      polled_.push_back({.fd = descriptor, .events = POLLIN, .revents = 0});
  }
  if (poll(polled_.data(), polled_.size(), patience_ms) <= 0) return;
  const bool input = std::any_of(polled_.begin(), polled_.end(),
                                 [](const pollfd& one) { return (one.revents & POLLIN) != 0; });
  if (input) return;
  // The interface is down or gone: poll() says so at once, again and again.
  const timespec pause{.tv_sec = 0, .tv_nsec = patience_ms * base::kNanosecondsPerMillisecond};
  nanosleep(&pause, nullptr);
}

bool LiveSource::backlogged(std::size_t packets) const {
  return std::any_of(lanes_.begin(), lanes_.end(), [packets](const auto& lane) {
    return lane->ring != nullptr && lane->ring->backlogged(packets);
  });
}

}  // namespace evenkeel::source
