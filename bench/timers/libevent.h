// libevent: a binary heap; or, if all timers have one delay, its "common timeouts", a queue for each delay.
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>

#include <cstdint>
#include <vector>

#include "base/prefetch.h"
#include "bench/timers/contender.h"

namespace bench {

class Libevent {
 public:
  static constexpr const char* kName = "libevent";

  // common_delay: 0, or the one delay of all timers, in milliseconds.
  Libevent(std::uint32_t timers, Delays delays, std::uint32_t common_delay)
      : delays_(delays), events_(timers) {
    before_ = heap_bytes();
    base_ = event_base_new();
    if (common_delay != 0) {
      const timeval tv = to_timeval(common_delay);
      common_ = event_base_init_common_timeout(base_, &tv);
    }
    for (auto& [event, owner, index] : events_) {
      owner = this;
      index = static_cast<std::uint32_t>(&event - &events_[0].event);
      evtimer_assign(&event, base_, fired, &event);
    }
    for (std::uint32_t i = 0; i < timers; ++i) events_[i].index = i;
  }
  ~Libevent() {
    for (auto& timer : events_) event_del(&timer.event);
    event_base_free(base_);
  }
  Libevent(const Libevent&) = delete;
  Libevent& operator=(const Libevent&) = delete;

  void start(std::uint32_t i, std::uint32_t delay) {
    const timeval tv = to_timeval(delay);
    event_add(&events_[i].event, common_ != nullptr ? common_ : &tv);
  }
  void cancel(std::uint32_t i) { event_del(&events_[i].event); }
  void prefetch(std::uint32_t i) {
    evenkeel::base::prefetch_to_write(&events_[i]);
    evenkeel::base::prefetch_to_write(reinterpret_cast<char*>(&events_[i]) + 64);
  }
  void prefetch_more(std::uint32_t) {}

  std::uint32_t advance(std::uint64_t now_tick) {
    VirtualTime::now_ms = now_tick;
    fired_ = 0;
    event_base_loop(base_, EVLOOP_NONBLOCK);
    return fired_;
  }

  std::size_t bytes_beside() const { return heap_bytes() - before_ + events_.size() * sizeof(event); }

 private:
  struct Timer {
    struct event event;
    Libevent* owner;
    std::uint32_t index;
  };

  static timeval to_timeval(std::uint32_t ms) {
    return {static_cast<time_t>(ms / 1000), static_cast<suseconds_t>(ms % 1000 * 1000)};
  }

  static void fired(evutil_socket_t, short, void* argument) {
    auto* timer = reinterpret_cast<Timer*>(argument);
    ++timer->owner->fired_;
    timer->owner->start(timer->index, timer->owner->delays_.next());
  }

  Delays delays_;
  std::vector<Timer> events_;
  event_base* base_ = nullptr;
  const timeval* common_ = nullptr;
  std::uint32_t fired_ = 0;
  std::size_t before_ = 0;
};

}  // namespace bench
