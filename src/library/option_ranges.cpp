#include "library/option_ranges.h"

#include <string_view>
#include <utility>

namespace evenkeel::library {

namespace {

// In the largest unit of which it is a whole number.
std::string duration_text(std::int64_t time_ns) {
  constexpr std::pair<std::int64_t, std::string_view> kUnits[] = {
      {kHour_ns, "h"}, {1'000'000'000, "s"}, {kMillisecond_ns, "ms"}, {1'000, "us"}};
  for (const auto& [unit_ns, name] : kUnits) {
    if (time_ns != 0 && time_ns % unit_ns == 0) return fmt::format("{}{}", time_ns / unit_ns, name);
  }
  return fmt::format("{}ns", time_ns);
}

}  // namespace

std::string refusal_of_time(const Range<std::int64_t>& range_ns, std::int64_t given_ns) {
  if (range_ns.max == INT64_MAX) return fmt::format("takes a time above 0, not {}", duration_text(given_ns));
  return fmt::format("takes {} to {}, not {}", duration_text(range_ns.min), duration_text(range_ns.max),
                     duration_text(given_ns));
}

}  // namespace evenkeel::library
