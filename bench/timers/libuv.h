// libuv: a binary heap of nodes with pointers.
#pragma once

#include <uv.h>

#include <cstdint>
#include <vector>

#include "base/prefetch.h"
#include "bench/timers/contender.h"

namespace bench {

class Libuv {
 public:
  static constexpr const char* kName = "libuv";

  Libuv(std::uint32_t timers, Delays delays) : delays_(delays), timers_(timers) {
    before_ = heap_bytes();
    uv_loop_init(&loop_);
    for (auto& timer : timers_) {
      uv_timer_init(&loop_, &timer);
      timer.data = this;
    }
  }
  ~Libuv() {
    for (auto& timer : timers_) uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
    uv_run(&loop_, UV_RUN_NOWAIT);
    uv_loop_close(&loop_);
  }
  Libuv(const Libuv&) = delete;
  Libuv& operator=(const Libuv&) = delete;

  void start(std::uint32_t i, std::uint32_t delay) { uv_timer_start(&timers_[i], fired, delay, 0); }
  void cancel(std::uint32_t i) { uv_timer_stop(&timers_[i]); }
  void prefetch(std::uint32_t i) {
    for (std::size_t offset = 0; offset < sizeof(uv_timer_t); offset += 64) {
      evenkeel::base::prefetch_to_write(reinterpret_cast<char*>(&timers_[i]) + offset);
    }
  }
  void prefetch_more(std::uint32_t) {}

  std::uint32_t advance(std::uint64_t now_tick) {
    VirtualTime::now_ms = now_tick;
    fired_ = 0;
    uv_run(&loop_, UV_RUN_NOWAIT);
    return fired_;
  }

  std::size_t bytes_beside() const { return heap_bytes() - before_ + timers_.size() * sizeof(uv_timer_t); }

 private:
  static void fired(uv_timer_t* timer) {
    auto* self = static_cast<Libuv*>(timer->data);
    ++self->fired_;
    uv_timer_start(timer, fired, self->delays_.next(), 0);
  }

  Delays delays_;
  std::vector<uv_timer_t> timers_;
  uv_loop_t loop_;
  std::uint32_t fired_ = 0;
  std::size_t before_ = 0;
};

}  // namespace bench
