#include "source/generator/spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/parse_text.h"

namespace evenkeel::source {
namespace {

struct Range {
  std::uint64_t min;
  std::uint64_t max;
};

Result<std::uint64_t> parse_in_range(std::string_view name, std::string_view text, const Range& range) {
  const auto number = base::parse_count(text);
  if (number && *number >= range.min && *number <= range.max) return *number;
  return usage_error(fmt::format("generator option {}: '{}' is not a whole number from {} to {}", name, text,
                                 range.min, range.max));
}

Result<void> apply_option(std::string_view option, GeneratorOptions& options) {
  const std::size_t equals = option.find('=');
  const std::string_view name = option.substr(0, equals);
  const std::string_view text = equals == option.npos ? std::string_view() : option.substr(equals + 1);
  Result<std::uint64_t> number = std::uint64_t{0};
  if (name == "connections") {
    number = parse_in_range(name, text, {1, kConnectionsMax});
    if (number) options.connections = static_cast<std::uint32_t>(*number);
  } else if (name == "packets") {
    number = parse_in_range(name, text, {1, kPacketsMax});
    if (number) options.packets = *number;
  } else if (name == "rate") {
    number = parse_in_range(name, text, {PacketClock::kRateMin, PacketClock::kRateMax});
    if (number) options.packets_per_second = *number;
  } else if (name == "seed") {
    number = parse_in_range(name, text, {0, UINT64_MAX});
    if (number) options.seed = *number;
  } else {
    return usage_error(
        fmt::format("generator option '{}' is unknown; there are connections=N, packets=N, rate=N (packets a "
                    "second), seed=N",
                    option));
  }
  if (!number) return number.error();
  return {};
}

}  // namespace

Result<GeneratorSpec> parse_generator_spec(std::string_view text, const GeneratorOptions& defaults) {
  std::size_t comma = text.find(',');
  GeneratorSpec spec{find_profile(text.substr(0, comma)), defaults};
  if (spec.profile == nullptr) {
    return usage_error(fmt::format("generator profile '{}' is unknown; there are {}", text.substr(0, comma),
                                   profile_names()));
  }
  std::vector<std::string_view> named;
  while (comma != text.npos) {
    text.remove_prefix(comma + 1);
    comma = text.find(',');
    const std::string_view option = text.substr(0, comma);
    const auto applied = apply_option(option, spec.options);
    if (!applied) return applied.error();
    const std::string_view name = option.substr(0, option.find('='));
    if (std::find(named.begin(), named.end(), name) != named.end())
      return usage_error(fmt::format("generator option {} is given twice: give it once", name));
    named.push_back(name);
  }
  return spec;
}

}  // namespace evenkeel::source
