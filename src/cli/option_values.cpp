#include "cli/option_values.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <bit>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/check.h"
#include "base/parse_text.h"
#include "base/time_range.h"
#include "base/units.h"

namespace evenkeel::cli {
namespace {

template <typename Number>
std::optional<Number> number_in(const std::string& text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// An empty text accepts; CLI11 puts the option's name in front of any other.
std::string refusal(const std::string& takes, const std::string& text) {
  return fmt::format("takes {}, not '{}'", takes, text);
}

CLI::Validator real_number(std::string takes, double min, double max, bool min_too) {
  return {[=](std::string& text) -> std::string {
            const auto value = number_in<double>(text);
            // Written so that NaN is refused, too.
            const bool good = value && (min_too ? *value >= min : *value > min) && *value <= max;
            return good ? "" : refusal(takes, text);
          },
          ""};
}

std::string duration_text(std::int64_t nanoseconds) {
  if (nanoseconds % base::kNanosecondsPerMillisecond == 0)
    return fmt::format("{}ms", nanoseconds / base::kNanosecondsPerMillisecond);
  return fmt::format("{}ns", nanoseconds);
}

}  // namespace

CLI::Validator whole_number(std::uint64_t min, std::uint64_t max) {
  return {[=](std::string& text) -> std::string {
            const auto value = number_in<std::uint64_t>(text);
            if (!value || *value < min || *value > max)
              return refusal(fmt::format("a whole number from {} to {}", min, max), text);
            text = fmt::format("{}", *value);
            return "";
          },
          ""};
}

CLI::Validator count(std::uint64_t min, std::uint64_t max) {
  return {[=](std::string& text) -> std::string {
            const auto value = base::parse_count(text);
            if (!value || *value < min || *value > max)
              return refusal(fmt::format("a whole number from {} to {}, as 5, 10k, 20M or 1G", min, max),
                             text);
            text = fmt::format("{}", *value);
            return "";
          },
          ""};
}

CLI::Validator power_of_two(std::uint64_t max) {
  return {[=](std::string& text) -> std::string {
            const auto value = number_in<std::uint64_t>(text);
            if (!value || !std::has_single_bit(*value) || *value > max)
              return refusal(fmt::format("a power of two from 1 to {}", max), text);
            text = fmt::format("{}", *value);
            return "";
          },
          ""};
}

CLI::Validator number(double min, double max) {
  return real_number(fmt::format("a number from {} to {}", min, max), min, max, true);
}

CLI::Validator number_above_0(double max) {
  return real_number(fmt::format("a number above 0, at most {}", max), 0, max, false);
}

CLI::Validator duration(std::int64_t min_ns, std::int64_t max_ns) {
  return {[=](std::string& text) -> std::string {
            const auto parsed = base::parse_duration(text);
            if (!parsed) return parsed.error().message;
            if (*parsed > max_ns) return refusal(fmt::format("at most {}", duration_text(max_ns)), text);
            if (*parsed >= min_ns) return "";
            return min_ns == 1 ? fmt::format("must be longer than 0, not '{}'", text)
                               : refusal(fmt::format("at least {}", duration_text(min_ns)), text);
          },
          ""};
}

std::int64_t duration_ns(const std::string& text) {
  const auto parsed = base::parse_duration(text);
  CHECK(parsed.ok());
  return base::bounded_time_ns(*parsed);
}

CLI::Validator path_or_stream(const char* stream) {
  return {[=](std::string& text) -> std::string {
            return text.empty() ? refusal(fmt::format("a path, or - for standard {}", stream), text) : "";
          },
          ""};
}

}  // namespace evenkeel::cli
