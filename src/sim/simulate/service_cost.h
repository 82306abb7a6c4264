// What a packet costs a processor of capacity 1, in virtual nanoseconds.
//
// The cost is a function of the seed and the packet alone, so that every policy and yardstick meets the same
// packets at the same prices. Thread: [any]. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "evenkeel/result.h"

namespace evenkeel::sim {

// What parse() takes, for help texts.
inline constexpr const char* kServiceHelp =
    "fixed:NS, perbyte:NS,NS_PER_BYTE, exp:MEAN_NS, bimodal:NS,NS_OF_SOME,FRACTION_OF_SOME";

// About 10 us a packet; longer ones take longer, so that packets can overtake each other where order is not
// kept.
inline constexpr std::string_view kServiceDefault = "perbyte:5000,5";

class ServiceCost {
 public:
  // A usage error for anything but kServiceHelp, and for costs that are not above 0 or beyond a second.
  static Result<ServiceCost> parse(std::string_view text, std::uint64_t seed);

  // Nanoseconds, above 0 (an exponential cost may round to 0).
  double of(std::uint64_t sequence, std::uint32_t wire_length) const;
  double mean_ns(double mean_wire_length) const;
  const std::string& text() const { return text_; }

 private:
  enum class Kind : std::uint8_t { kFixed, kPerByte, kExponential, kBimodal };

  Kind kind_ = Kind::kFixed;
  double first_ = 0;     // fixed part, mean, or the cost of most
  double second_ = 0;    // for each byte, or the cost of some
  double fraction_ = 0;  // of some
  std::uint64_t seed_ = 0;
  std::string text_;
};

}  // namespace evenkeel::sim
