#include "base/parse_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

namespace evenkeel::base {

namespace {

struct DurationUnit {
  std::string_view name;
  double nanoseconds;
};

constexpr std::array<DurationUnit, 6> kDurationUnits{
    {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}}};

constexpr std::uint32_t kCpuMax = 4095;

Error bad_duration(std::string_view text) {
  return usage_error(
      fmt::format("'{}' is not a duration: write a number and ns, us, ms, s, m or h, e.g. 100ms", text));
}

Error bad_cpu_list(std::string_view text) {
  return usage_error(fmt::format("'{}' is not a list of CPUs: write numbers and ranges, e.g. 0,2-3", text));
}

// Takes a number from the front of `text`.
bool take_number(std::string_view& text, std::uint32_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number > kCpuMax) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

}  // namespace

Result<std::int64_t> parse_duration(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || !std::isfinite(number) || number < 0) return bad_duration(text);
  const std::string_view name = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const DurationUnit& unit : kDurationUnits) {
    if (unit.name != name) continue;
    const double nanoseconds = std::round(number * unit.nanoseconds);
    if (nanoseconds >= static_cast<double>(std::numeric_limits<std::int64_t>::max()))
      return bad_duration(text);
    return static_cast<std::int64_t>(nanoseconds);
  }
  return bad_duration(text);
}

std::optional<std::uint64_t> parse_count(std::string_view text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, number);
  if (failure != std::errc{} || end - rest > 1) return std::nullopt;
  std::uint64_t unit = 1;
  if (rest != end) {
    unit = *rest == 'k' ? 1'000 : *rest == 'M' ? 1'000'000 : *rest == 'G' ? 1'000'000'000 : 0;
  }
  if (unit == 0 || number > UINT64_MAX / unit) return std::nullopt;
  return number * unit;
}

Result<std::vector<std::uint32_t>> parse_cpu_list(std::string_view text) {
  std::vector<std::uint32_t> cpus;
  std::string_view rest = text;
  while (true) {
    std::uint32_t first = 0;
    if (!take_number(rest, first)) return bad_cpu_list(text);
    std::uint32_t last = first;
    if (!rest.empty() && rest.front() == '-') {
      rest.remove_prefix(1);
      if (!take_number(rest, last) || last < first) return bad_cpu_list(text);
    }
    for (std::uint32_t cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
    if (rest.empty()) return cpus;
    if (rest.front() != ',') return bad_cpu_list(text);
    rest.remove_prefix(1);
  }
}

bool is_utf8(std::string_view text) {
  int wanted = 0;  // bytes that must follow
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    const int leading = std::countl_one(byte);
    if ((leading == 1) != (wanted > 0) || leading > 4) return false;
    wanted = leading == 1 ? wanted - 1 : std::max(0, leading - 1);
  }
  return wanted == 0;
}

}  // namespace evenkeel::base
