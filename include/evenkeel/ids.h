// Identifiers as types: a bucket cannot be passed where a processor is meant.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace evenkeel {

// An integer that names one kind of thing. Compares and hashes like its value; never converts silently.
template <typename Tag>
class Id {
 public:
  constexpr Id() = default;
  constexpr explicit Id(std::uint32_t value) : value_(value) {}
  constexpr std::uint32_t value() const { return value_; }
  friend constexpr auto operator<=>(Id, Id) = default;

 private:
  std::uint32_t value_ = 0;
};

using BucketId = Id<struct BucketTag>;        // a slot of the table that hash values index: 0 to buckets - 1
using ProcessorId = Id<struct ProcessorTag>;  // what a bucket is assigned to; in the engine, a worker
using DispatcherId = Id<struct DispatcherTag>;  // a thread that receives, hashes and hands packets to workers

inline constexpr std::uint32_t kBucketsMax = 65'536;
inline constexpr std::uint32_t kProcessorsMax = 1'024;
inline constexpr std::uint32_t kConnectionsMax = 33'000'000;  // as many timers can be named

}  // namespace evenkeel

template <typename Tag>
struct std::hash<evenkeel::Id<Tag>> {
  std::size_t operator()(evenkeel::Id<Tag> id) const noexcept { return id.value(); }
};
