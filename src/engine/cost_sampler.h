// Estimates what the packets and timers of each bucket cost, from samples: one packet of each burst, chosen
// at random, is timed and stands for the whole burst. Each packet is drawn with probability 1/n and weighs n:
// unbiased, for two clock readings a burst.
//
// A sample includes what interrupted the thread meanwhile, so it is bounded by what its bucket's samples
// usually are (sample_limit.h); of a bucket not yet known, by what all buckets' are.
//
// Thread: [worker].
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/random.h"
#include "meter/meters.h"
#include "meter/sample_limit.h"

namespace evenkeel::engine {

class CostSampler {
 public:
  CostSampler(std::uint64_t seed, double ticks_per_nanosecond)
      : random_(seed),
        believed_ticks_(static_cast<std::uint64_t>(kBelievedNanoseconds * ticks_per_nanosecond)) {}

  // Which of `count` packets is to be timed.
  std::size_t choose(std::size_t count) { return random_.below(count); }

  // `count` packets, or timers, of the bucket took `ticks_each` each, as far as is known. Returns the part of
  // `ticks_each` that is believed.
  std::uint64_t add_packets(meter::BucketMeters& bucket, std::uint64_t ticks_each, std::uint64_t count) {
    const std::uint64_t believed_each = believe(usual_packet_, bucket.packet_limit, ticks_each);
    bucket.cost_ticks.add(believed_each * count);
    return believed_each;
  }
  void add_timers(meter::BucketMeters& bucket, std::uint64_t ticks_each, std::uint64_t count) {
    bucket.timer_ticks.add(believe(usual_timer_, bucket.timer_limit, ticks_each) * count);
  }

 private:
  // A sample of at most this is taken as it is: no interruption is that short.
  static constexpr double kBelievedNanoseconds = 500;

  std::uint64_t believe(meter::SampleLimit& usual, meter::SampleLimit& of_bucket, std::uint64_t ticks) const {
    const std::uint64_t floor =
        of_bucket.known() ? believed_ticks_ : std::max(usual.limit(), believed_ticks_);
    usual.admit(ticks, believed_ticks_);
    return of_bucket.admit(ticks, floor);
  }

  base::Random random_;
  const std::uint64_t believed_ticks_;
  meter::SampleLimit usual_packet_, usual_timer_;  // over all buckets
};

}  // namespace evenkeel::engine
