#include "library/option_text.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <charconv>
#include <optional>
#include <string>

#include "base/parse_text.h"
#include "library/option_ranges.h"

namespace evenkeel::library {

namespace {

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
  Number parsed{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return parsed;
}

std::string quoted(std::string_view text) { return fmt::format("'{}'", text); }

template <auto kMember, const auto& kRange>
Result<void> set_number(Options& options, std::string_view text) {
  const auto number = number_of<decltype(kRange.min)>(text);
  if (!number || !kRange.holds(*number)) return usage_error(refusal(kRange, quoted(text)));
  options.*kMember = *number;
  return {};
}

template <auto kMember, const auto& kRange_ns>
Result<void> set_time(Options& options, std::string_view text) {
  const auto time_ns = base::parse_duration(text);
  if (!time_ns) return time_ns.error();
  if (!kRange_ns.holds(*time_ns)) return usage_error(refusal_of_time(kRange_ns, *time_ns));
  options.*kMember = std::chrono::nanoseconds(*time_ns);
  return {};
}

template <auto kMember>
Result<void> set_text(Options& options, std::string_view text) {
  options.*kMember = text;
  return {};
}

Result<void> add_input(Options& options, std::string_view text) {
  options.inputs.emplace_back(text);
  return {};
}

Result<void> set_buckets(Options& options, std::string_view text) {
  const auto number = number_of<std::uint32_t>(text);
  if (!number || !std::has_single_bit(*number) || *number > kBucketsMax)
    return usage_error(refusal_of_buckets(quoted(text)));
  options.buckets = *number;
  return {};
}

// "200M", too.
Result<void> set_elephant_bytes(Options& options, std::string_view text) {
  const auto bytes = base::parse_count(text);
  if (!bytes || !kElephantBytes.holds(*bytes)) return usage_error(refusal(kElephantBytes, quoted(text)));
  options.elephant_bytes = *bytes;
  return {};
}

Result<void> set_pin(Options& options, std::string_view text) {
  options.pin.reset();
  if (text == "auto") return {};
  options.pin.emplace();
  if (text == "off") return {};
  auto cpus = base::parse_cpu_list(text);
  if (!cpus) return cpus.error();
  options.pin = std::move(*cpus);
  return {};
}

Result<void> set_capacity(Options& options, std::string_view text) {
  options.capacity.clear();
  if (text == "auto") return {};
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    const auto capacity = number_of<double>(item);
    if (!capacity || !kCapacity.holds(*capacity)) return usage_error(refusal(kCapacity, quoted(item)));
    options.capacity.push_back(*capacity);
    if (comma == std::string_view::npos) return {};
    text.remove_prefix(comma + 1);
  }
}

Result<void> set_tunnel(Options& options, std::string_view text) {
  if (text != "outer" && text != "inner")
    return usage_error(fmt::format("takes outer or inner, not '{}'", text));
  options.inner_tunnel = text == "inner";
  return {};
}

Result<void> set_speed(Options& options, std::string_view text) {
  if (text != "max") return set_number<&Options::speed, kSpeed>(options, text);
  options.speed.reset();
  return {};
}

struct Setter {
  std::string_view name;
  Result<void> (*set)(Options& options, std::string_view text);
};

constexpr auto kSetters = std::to_array<Setter>({
    {"input", add_input},
    {"filter", set_text<&Options::filter>},
    {"snaplen", set_number<&Options::snap_length, kSnapLength>},
    {"xdp-mode", set_text<&Options::xdp_mode>},
    {"workers", set_number<&Options::workers, kWorkers>},
    {"buckets", set_buckets},
    {"hash", set_text<&Options::hash>},
    {"hash-key", set_text<&Options::hash_key>},
    {"policy", set_text<&Options::policy>},
    {"interval", set_time<&Options::rebalance_interval, kInterval_ns>},
    {"queueing", set_text<&Options::queueing>},
    {"quantum", set_time<&Options::quantum, kQuantum_ns>},
    {"queueing-rules", set_text<&Options::queueing_rules>},
    {"queue-limit-worker", set_number<&Options::queue_limit_worker, kQueueLimit>},
    {"queue-limit-bucket", set_number<&Options::queue_limit_bucket, kQueueLimit>},
    {"queue-limit-connection", set_number<&Options::queue_limit_connection, kQueueLimit>},
    {"elephant-bytes", set_elephant_bytes},
    {"elephant-window", set_time<&Options::elephant_window, kElephantWindow_ns>},
    {"elephant-share", set_number<&Options::elephant_share, kElephantShare>},
    {"pin", set_pin},
    {"capacity", set_capacity},
    {"tunnel", set_tunnel},
    {"idle-timeout", set_time<&Options::idle_timeout, kTimeout_ns>},
    {"half-open-timeout", set_time<&Options::half_open_timeout, kTimeout_ns>},
    {"connections-max", set_number<&Options::connections_max, kConnections>},
    {"speed", set_speed},
    {"duration", set_time<&Options::duration, kDuration_ns>},
    {"seed", set_number<&Options::seed, kSeed>},
});

}  // namespace

Result<void> set_option(Options& options, std::string_view name, std::string_view text) {
  std::string names;
  for (const Setter& setter : kSetters) {
    if (setter.name == name) {
      Options changed = options;  // what is refused changes nothing
      const auto done = setter.set(changed, text);
      if (done.ok()) {
        options = std::move(changed);
        return done;
      }
      return usage_error(fmt::format("{}: {}", name, done.error().message));
    }
    names += (names.empty() ? "" : ", ") + std::string(setter.name);
  }
  return usage_error(fmt::format("there is no option '{}': one of {}", name, names));
}

}  // namespace evenkeel::library
