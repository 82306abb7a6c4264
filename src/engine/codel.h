// CoDel (RFC 8289): drops by how long packets waited, not by how many wait. A queue whose packets all waited
// longer than `target` for at least `interval` is a standing queue: one packet is dropped, then more and more
// often, until the wait is below the target again.
//
// The state of one queue. Thread: one at a time. Times are ticks of one clock.
#pragma once

#include <cmath>
#include <cstdint>

namespace evenkeel::engine {

struct CodelTimes {
  std::uint64_t target_ticks = 0;
  std::uint64_t interval_ticks = 0;
};

class Codel {
 public:
  // To be asked of each packet at the head of the queue when its turn has come; true: drop it and go on with
  // the next. `small`: what waits is so little that it would be wrong to drop (RFC 8289, 4.2: less than one
  // full packet; here, less than one quantum of work).
  bool drops(const CodelTimes& times, std::uint64_t now, std::uint64_t waited_ticks, bool small) {
    const bool standing = stands(times, now, waited_ticks, small);
    if (!dropping_) {
      if (standing) begin(times, now);
      return standing;
    }
    if (!standing) {
      dropping_ = false;
      return false;
    }
    if (now < drop_next_) return false;
    ++count_;
    drop_next_ = later(times, drop_next_);
    return true;
  }

 private:
  // Whether the wait has been above the target for a whole interval.
  bool stands(const CodelTimes& times, std::uint64_t now, std::uint64_t waited_ticks, bool small) {
    if (waited_ticks < times.target_ticks || small) {
      stands_at_ = 0;
      return false;
    }
    if (stands_at_ == 0) {
      stands_at_ = now + times.interval_ticks;
      return false;
    }
    return now >= stands_at_;
  }

  // A queue that was dropping not long ago goes on near the rate it had (RFC 8289, 5.4).
  void begin(const CodelTimes& times, std::uint64_t now) {
    dropping_ = true;
    const std::uint32_t since_last_begin = count_ - count_at_begin_;
    const bool lately = count_ > 0 && now < drop_next_ + 16 * times.interval_ticks;
    count_ = lately && since_last_begin > 1 ? since_last_begin : 1;
    count_at_begin_ = count_;
    drop_next_ = later(times, now);
  }

  std::uint64_t later(const CodelTimes& times, std::uint64_t from) const {
    return from + static_cast<std::uint64_t>(static_cast<double>(times.interval_ticks) /
                                             std::sqrt(static_cast<double>(count_)));
  }

  std::uint64_t stands_at_ = 0;  // when the queue will have stood for an interval; 0: it does not
  std::uint64_t drop_next_ = 0;
  std::uint32_t count_ = 0;  // drops since dropping began
  std::uint32_t count_at_begin_ = 0;
  bool dropping_ = false;
};

}  // namespace evenkeel::engine
