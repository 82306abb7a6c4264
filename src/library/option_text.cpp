#include "library/option_text.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <string>

#include "base/parse_text.h"

namespace evenkeel::library {

namespace {

template <typename Number>
Result<void> set_number(Number& number, std::string_view text) {
  Number parsed{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (code != std::errc() || end != text.data() + text.size())
    return usage_error(fmt::format("takes a number, not '{}'", text));
  number = parsed;
  return {};
}

Result<void> set_time(std::chrono::nanoseconds& time, std::string_view text) {
  const auto parsed = base::parse_duration(text);
  if (!parsed) return parsed.error();
  time = std::chrono::nanoseconds(*parsed);
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
    if (auto done = set_number(options.capacity.emplace_back(), text.substr(0, comma)); !done) return done;
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
  options.speed.reset();
  return text == "max" ? Result<void>() : set_number(options.speed.emplace(), text);
}

Result<void> set_text(std::string& option, std::string_view text) {
  option = text;
  return {};
}

struct Setter {
  std::string_view name;
  Result<void> (*set)(Options& options, std::string_view text);
};

constexpr auto kSetters = std::to_array<Setter>({
    {"input",
     [](Options& o, std::string_view t) -> Result<void> {
       o.inputs.emplace_back(t);
       return {};
     }},
    {"filter", [](Options& o, std::string_view t) { return set_text(o.filter, t); }},
    {"workers", [](Options& o, std::string_view t) { return set_number(o.workers, t); }},
    {"buckets", [](Options& o, std::string_view t) { return set_number(o.buckets, t); }},
    {"hash", [](Options& o, std::string_view t) { return set_text(o.hash, t); }},
    {"hash-key", [](Options& o, std::string_view t) { return set_text(o.hash_key, t); }},
    {"policy", [](Options& o, std::string_view t) { return set_text(o.policy, t); }},
    {"interval", [](Options& o, std::string_view t) { return set_time(o.rebalance_interval, t); }},
    {"queueing", [](Options& o, std::string_view t) { return set_text(o.queueing, t); }},
    {"quantum", [](Options& o, std::string_view t) { return set_time(o.quantum, t); }},
    {"queueing-rules", [](Options& o, std::string_view t) { return set_text(o.queueing_rules, t); }},
    {"pin", set_pin},
    {"capacity", set_capacity},
    {"tunnel", set_tunnel},
    {"idle-timeout", [](Options& o, std::string_view t) { return set_time(o.idle_timeout, t); }},
    {"half-open-timeout", [](Options& o, std::string_view t) { return set_time(o.half_open_timeout, t); }},
    {"connections-max", [](Options& o, std::string_view t) { return set_number(o.connections_max, t); }},
    {"speed", set_speed},
    {"duration", [](Options& o, std::string_view t) { return set_time(o.duration.emplace(), t); }},
    {"seed", [](Options& o, std::string_view t) { return set_number(o.seed, t); }},
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
