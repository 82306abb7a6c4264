#include "flow/round_trip.h"

#include <algorithm>

namespace evenkeel::flow {

namespace {

constexpr std::uint64_t kUnit_ns = 1024;

// Of `parts` of a unit, rounded.
std::uint32_t microseconds(std::uint64_t value, std::uint64_t parts) {
  return static_cast<std::uint32_t>((value * kUnit_ns / parts + 500) / 1000);
}

}  // namespace

// RFC 6298, 2.2 and 2.3, in the scaled integers of Jacobson's "Congestion avoidance and control" (1988),
// appendix A: alpha is 1/8, beta 1/4. The variation is updated first, against the old mean.
void RoundTripMeter::add_sample(std::uint32_t way_index, std::uint32_t sample) {
  if (sample > kSampleMax) return;  // or time ran back
  Way& way = ways_[way_index];
  const std::uint32_t eighths = std::max(8 * sample, 1u);
  if (way.smoothed == 0) {
    way.smoothed = eighths & ((1u << 30) - 1);
    way.variation = 2 * sample;
    return;
  }
  const std::uint32_t mean = way.smoothed / 8;
  const std::uint32_t error = sample > mean ? sample - mean : mean - sample;
  way.variation = way.variation - way.variation / 4 + error;
  way.smoothed = std::max(way.smoothed - mean + sample, 1u) & ((1u << 30) - 1);
}

RoundTripTimes RoundTripMeter::times() const {
  RoundTripTimes times;
  std::uint64_t smoothed = 0, variation = 0;
  for (std::size_t i = 0; i < ways_.size(); ++i) {
    if (ways_[i].smoothed == 0) continue;
    times.smoothed[i] = microseconds(ways_[i].smoothed, 8);
    smoothed += ways_[i].smoothed;
    variation += ways_[i].variation;
  }
  // SRTT + max(G, K RTTVAR), with K = 4 and a clock granularity G of one unit.
  if (smoothed != 0)
    times.retransmission_timeout = microseconds(smoothed + 8 * std::max<std::uint64_t>(variation, 1), 8);
  return times;
}

}  // namespace evenkeel::flow
