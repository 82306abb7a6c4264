// Boost.Asio: a binary heap in an array, a handler object for each wait.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>

#include "base/prefetch.h"
#include "bench/timers/contender.h"

namespace bench {

class Asio {
 public:
  static constexpr const char* kName = "Boost.Asio";

  Asio(std::uint32_t timers, Delays delays) : delays_(delays), context_(1) {
    before_ = heap_bytes();
    for (std::uint32_t i = 0; i < timers; ++i) timers_.emplace_back(context_);
  }

  void start(std::uint32_t i, std::uint32_t delay) {
    boost::asio::steady_timer& timer = timers_[i];
    timer.expires_after(std::chrono::milliseconds(delay));
    timer.async_wait([this, i](const boost::system::error_code& error) {
      if (error) return;
      ++fired_;
      start(i, delays_.next());
    });
  }
  void cancel(std::uint32_t i) { timers_[i].cancel(); }
  void prefetch(std::uint32_t i) { evenkeel::base::prefetch_to_write(&timers_[i]); }
  void prefetch_more(std::uint32_t) {}

  std::uint32_t advance(std::uint64_t now_tick) {
    VirtualTime::now_ms = now_tick;
    fired_ = 0;
    context_.poll();
    return fired_;
  }

  std::size_t bytes_beside() const { return heap_bytes() - before_; }

 private:
  Delays delays_;
  std::size_t before_ = 0;
  boost::asio::io_context context_;
  std::deque<boost::asio::steady_timer> timers_;
  std::uint32_t fired_ = 0;
};

}  // namespace bench
