// What options that are numbers take, whichever way they are set, and the words for what they do not take.
//
// Thread: [any]. Pure.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>

#include "evenkeel/connection.h"
#include "evenkeel/ids.h"

namespace evenkeel::library {

template <typename Number>
struct Range {
  Number min, max;

  // Of NaN, false.
  constexpr bool holds(Number value) const { return value >= min && value <= max; }
};

inline constexpr std::int64_t kMillisecond_ns = 1'000'000, kHour_ns = 3'600'000'000'000;

inline constexpr Range<std::uint64_t> kSeed{0, UINT64_MAX};
inline constexpr Range<std::uint32_t> kSnapLength{0, UINT32_MAX};
inline constexpr Range<std::uint32_t> kWorkers{1, kProcessorsMax};
inline constexpr Range<std::uint32_t> kConnections{1, kConnectionsMax};
inline constexpr Range<std::uint32_t> kQueueLimit{1, 1'000'000};
inline constexpr Range<std::uint64_t> kElephantBytes{1, 1'000'000'000'000'000};
inline constexpr Range<double> kElephantShare{0, 1};
inline constexpr Range<double> kCapacity{1e-3, 1e6};
inline constexpr Range<double> kSpeed{1e-6, 1e9};
inline constexpr Range<std::int64_t> kTimeout_ns{1, kTimerDelayMax.count()};
// A round of rebalancing more often costs more than it is worth.
inline constexpr Range<std::int64_t> kInterval_ns{kMillisecond_ns, kHour_ns};
inline constexpr Range<std::int64_t> kQuantum_ns{1, kHour_ns};
inline constexpr Range<std::int64_t> kElephantWindow_ns{kMillisecond_ns, kTimerDelayMax.count()};
inline constexpr Range<std::int64_t> kDuration_ns{1, INT64_MAX};

// "takes 1 to 1024, not 0"
template <typename Number, typename Given>
std::string refusal(const Range<Number>& range, const Given& given) {
  return fmt::format("takes {} to {}, not {}", range.min, range.max, given);
}

// "takes 1ms to 1h, not 5ns"
std::string refusal_of_time(const Range<std::int64_t>& range_ns, std::int64_t given_ns);

// "takes a power of two from 1 to 65536, not 1000"
template <typename Given>
std::string refusal_of_buckets(const Given& given) {
  return fmt::format("takes a power of two from 1 to {}, not {}", kBucketsMax, given);
}

}  // namespace evenkeel::library
