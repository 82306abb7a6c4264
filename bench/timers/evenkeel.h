// evenkeel's wheels: one for each bucket, found through the index of due buckets.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/prefetch.h"
#include "bench/timers/contender.h"
#include "engine/due_buckets.h"
#include "engine/timer_wheel.h"

namespace bench {

class Evenkeel {
  struct Clock;
  using Tick = evenkeel::engine::Tick<Clock>;

 public:
  static constexpr const char* kName = "evenkeel";

  Evenkeel(std::uint32_t timers, Delays delays, std::uint32_t buckets)
      : delays_(delays),
        arena_(evenkeel::engine::TimerArena::make({.timers = timers, .buckets = buckets}).value()),
        chunks_(*arena_),
        due_(buckets),
        wheels_(buckets),
        bucket_mask_(buckets - 1) {
    states_.connections.resize(timers);
  }

  void start(std::uint32_t i, std::uint32_t delay) {
    const evenkeel::BucketId bucket(i & bucket_mask_);
    auto& wheel = wheels_[bucket.value()];
    wheel.start(chunks_, states_, {i, 0}, now_, now_ + delay);
    due_.note(bucket, now_, wheel.next_due());
  }
  void cancel(std::uint32_t i) { evenkeel::engine::TimerWheel<Clock>::cancel(states_.connections[i].timer); }
  void prefetch(std::uint32_t i) {
    states_.prefetch({i, 0});
    prefetch_wheel(wheels_[i & bucket_mask_]);
  }
  void prefetch_more(std::uint32_t i) {
    wheels_[i & bucket_mask_].prefetch(chunks_, states_.connections[i].timer);
  }

  std::uint32_t advance(std::uint64_t now_tick) {
    now_ = Tick{now_tick};
    std::uint32_t fired = 0;
    std::uint32_t budget = ~std::uint32_t{0};
    due_.advance(now_, budget, Server{*this, fired});
    return fired;
  }

  std::size_t bytes_beside() const {
    return std::size_t{arena_->touched()} * sizeof(evenkeel::engine::TimerChunk) +
           wheels_.size() * sizeof(wheels_[0]) + wheels_.size() * 16;
  }

 private:
  struct Server {
    Evenkeel& self;
    std::uint32_t& fired;

    Tick operator()(evenkeel::BucketId bucket, std::uint32_t& turn) {
      auto& wheel = self.wheels_[bucket.value()];
      const auto fire = [&](evenkeel::engine::TimerName name, Tick) {
        ++fired;
        wheel.start(self.chunks_, self.states_, name, self.now_, self.now_ + self.delays_.next());
      };
      return wheel.advance(self.chunks_, self.states_, self.now_, turn, fire) ? wheel.next_due() : self.now_;
    }
    void prefetch(evenkeel::BucketId bucket, evenkeel::engine::PrefetchStep step) {
      auto& wheel = self.wheels_[bucket.value()];
      if (step == evenkeel::engine::PrefetchStep::kWheel) return prefetch_wheel(wheel);
      wheel.prefetch_due(self.chunks_, self.states_, step);
    }
  };

  template <typename Wheel>
  static void prefetch_wheel(const Wheel& wheel) {
    evenkeel::base::prefetch(&wheel);
    evenkeel::base::prefetch(reinterpret_cast<const char*>(&wheel) + 64);
  }

  // A connection with the 8 bytes of its timer: a cache line, as in a real table.
  struct alignas(64) Connection {
    evenkeel::engine::TimerState timer;
  };
  struct States {
    evenkeel::engine::TimerState& state(evenkeel::engine::TimerName name) {
      return connections[name.slot].timer;
    }
    void prefetch(evenkeel::engine::TimerName name) {
      evenkeel::base::prefetch_to_write(&connections[name.slot]);
    }
    std::vector<Connection> connections;
  };

  Delays delays_;
  std::unique_ptr<evenkeel::engine::TimerArena> arena_;
  evenkeel::engine::TimerChunkCache chunks_;
  evenkeel::engine::DueBuckets<Clock> due_;
  std::vector<evenkeel::engine::TimerWheel<Clock>> wheels_;
  std::uint32_t bucket_mask_;
  States states_;
  Tick now_{0};
};

}  // namespace bench
