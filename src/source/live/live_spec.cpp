#include "source/live/live_spec.h"

#include <fmt/format.h>
#include <net/if.h>
#include <unistd.h>

#include <bit>
#include <charconv>
#include <optional>
#include <span>

#include "base/parse_text.h"
#include "base/units.h"

namespace evenkeel::source {
namespace {

constexpr std::string_view kAfPacketPrefix = "af_packet:";
constexpr std::string_view kAfXdpPrefix = "af_xdp:";

struct Option {
  std::string_view name;
  std::string_view value;
};

// A whole number of units, perhaps in k or M of 1024, or nothing.
std::optional<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, number);
  if (failure != std::errc{} || end - rest > 1 || number > 1u << 30) return std::nullopt;
  if (rest == end) return number;
  if (*rest == 'k') return number << 10;
  if (*rest == 'M') return number << 20;
  return std::nullopt;
}

Error refused(const Option& option, std::string_view accepted) {
  return usage_error(fmt::format("{}={}: takes {}", option.name, option.value, accepted));
}

struct SizeRange {
  std::uint64_t min;
  std::uint64_t max;
  bool power_of_two = false;
};

Result<void> read_size(const Option& option, const SizeRange& range, std::uint32_t& to) {
  const auto size = parse_size(option.value);
  const bool fits =
      size && *size >= range.min && *size <= range.max && (!range.power_of_two || std::has_single_bit(*size));
  if (!fits) {
    return refused(option, fmt::format("{} from {} to {}, as in {}",
                                       range.power_of_two ? "a power of two" : "a whole number", range.min,
                                       range.max, range.max >= 1u << 20 ? "512k or 1M" : "64"));
  }
  to = static_cast<std::uint32_t>(*size);
  return {};
}

Result<void> read_switch(const Option& option, std::string_view on, std::string_view off, bool& to) {
  if (option.value != on && option.value != off) return refused(option, fmt::format("{} or {}", on, off));
  to = option.value == on;
  return {};
}

Result<void> read_hold(const Option& option, std::uint32_t& to) {
  const auto duration = base::parse_duration(option.value);
  constexpr std::int64_t kMax = base::kNanosecondsPerSecond;
  if (!duration || *duration < base::kNanosecondsPerMillisecond || *duration > kMax)
    return refused(option, "1ms to 1s");
  to = static_cast<std::uint32_t>(*duration / base::kNanosecondsPerMillisecond);
  return {};
}

Result<void> read_attachment(const Option& option, XdpAttachment& to) {
  for (const auto& [name, value] : {std::pair{"auto", XdpAttachment::kAuto},
                                    {"native", XdpAttachment::kNative},
                                    {"generic", XdpAttachment::kGeneric}}) {
    if (option.value != name) continue;
    to = value;
    return {};
  }
  return refused(option, "auto, native or generic");
}

Result<void> apply_packet_option(const Option& option, LiveSpec& spec) {
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  if (option.name == "block-size") return read_size(option, {page, 1u << 27, true}, spec.block_bytes);
  if (option.name == "blocks") return read_size(option, {4, 65'536}, spec.blocks);
  if (option.name == "frame-size") return read_size(option, {256, 65'536, true}, spec.frame_bytes);
  if (option.name == "hold") return read_hold(option, spec.hold_ms);
  if (option.name == "time") return read_switch(option, "hardware", "kernel", spec.hardware_time);
  if (option.name == "direction") return read_switch(option, "in", "both", spec.incoming_only);
  return usage_error(fmt::format(
      "af_packet option '{}' is unknown; there are promiscuous=on|off, direction=both|in, block-size=BYTES, "
      "blocks=N, frame-size=BYTES, hold=DURATION, time=kernel|hardware",
      option.name));
}

Result<void> apply_xdp_option(const Option& option, LiveSpec& spec) {
  if (option.name == "mode") return read_attachment(option, spec.attachment);
  if (option.name == "frames") return read_size(option, {256, 1u << 20, true}, spec.frames);
  if (option.name == "frame-size") return read_size(option, {2'048, 4'096, true}, spec.frame_bytes);
  return usage_error(fmt::format(
      "af_xdp option '{}' is unknown; there are promiscuous=on|off, mode=auto|native|generic, frames=N, "
      "frame-size=2048|4096",
      option.name));
}

Result<void> apply_option(std::string_view text, LiveSpec& spec) {
  const std::size_t equals = text.find('=');
  const Option option{text.substr(0, equals),
                      equals == text.npos ? std::string_view() : text.substr(equals + 1)};
  if (option.name == "promiscuous") return read_switch(option, "on", "off", spec.promiscuous);
  return spec.kind == LiveKind::kAfPacket ? apply_packet_option(option, spec)
                                          : apply_xdp_option(option, spec);
}

}  // namespace

std::string LiveSpec::name() const {
  return std::string(kind == LiveKind::kAfPacket ? kAfPacketPrefix : kAfXdpPrefix) + interface;
}

bool is_live_spec(std::string_view text) {
  return text.starts_with(kAfPacketPrefix) || text.starts_with(kAfXdpPrefix);
}

Result<LiveSpec> parse_live_spec(std::string_view text) {
  LiveSpec spec;
  spec.kind = text.starts_with(kAfXdpPrefix) ? LiveKind::kAfXdp : LiveKind::kAfPacket;
  std::string_view rest =
      text.substr(spec.kind == LiveKind::kAfXdp ? kAfXdpPrefix.size() : kAfPacketPrefix.size());
  std::size_t comma = rest.find(',');
  spec.interface = std::string(rest.substr(0, comma));
  if (spec.interface.empty() || spec.interface.size() >= IF_NAMESIZE)
    return usage_error(
        fmt::format("'{}' names no interface; an input is af_packet:eth0 or af_xdp:eth0", text));
  while (comma != rest.npos) {
    rest.remove_prefix(comma + 1);
    comma = rest.find(',');
    if (auto applied = apply_option(rest.substr(0, comma), spec); !applied) return applied.error();
  }
  if (spec.kind == LiveKind::kAfPacket && spec.frame_bytes > spec.block_bytes)
    return usage_error(
        fmt::format("frame-size={} is larger than block-size={}", spec.frame_bytes, spec.block_bytes));
  return spec;
}

}  // namespace evenkeel::source
