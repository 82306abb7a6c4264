#include "runtime/queueing_rules.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <vector>

// toml++ 3.3 takes some errors of the text (as [[[) for impossible: it asserts that they are not there, or
// lets the compiler assume so, and then looks for them all the same. Without both it finds them.
#define TOML_EXCEPTIONS 0
#define TOML_ASSERT(condition) static_cast<void>(0)
#pragma push_macro("NDEBUG")
#undef NDEBUG
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

namespace evenkeel::runtime {

namespace {

using engine::WeightRule;

// What is wrong at which line of which file.
struct Place {
  const std::string& name;
  std::uint32_t line;

  Error error(std::string_view what) const {
    return usage_error(fmt::format("{}, line {}: {}", name, line, what));
  }
};

template <typename Number>
bool parse_number(std::string_view text, Number max, Number& number) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  return code == std::errc() && end == text.data() + text.size() && number <= max;
}

Result<WeightRule::Network> parse_network(const std::string& text, const Place& place) {
  WeightRule::Network network;
  const std::size_t slash = text.find('/');
  const std::string address = text.substr(0, slash);
  network.ip_version = address.find(':') == std::string::npos ? 4 : 6;
  const unsigned bits_max = network.ip_version == 4 ? 32 : 128;
  unsigned bits = bits_max;
  const bool good =
      inet_pton(network.ip_version == 4 ? AF_INET : AF_INET6, address.c_str(), network.address.data()) == 1 &&
      (slash == std::string::npos || parse_number(std::string_view(text).substr(slash + 1), bits_max, bits));
  if (!good)
    return place.error(
        fmt::format("network takes an address or ADDRESS/BITS, as in 10.1.0.0/16, not '{}'", text));
  network.prefix_bits = static_cast<std::uint8_t>(bits);
  return network;
}

Result<std::uint8_t> parse_protocol(const toml::node& node, const Place& place) {
  if (const auto number = node.value<std::int64_t>(); number && *number >= 0 && *number <= 255)
    return static_cast<std::uint8_t>(*number);
  const std::string name = node.value_or<std::string>("");
  if (name == "tcp") return static_cast<std::uint8_t>(IPPROTO_TCP);
  if (name == "udp") return static_cast<std::uint8_t>(IPPROTO_UDP);
  if (name == "icmp") return static_cast<std::uint8_t>(IPPROTO_ICMP);
  return place.error("protocol takes \"tcp\", \"udp\", \"icmp\" or a number from 0 to 255");
}

Result<std::int64_t> parse_whole(const toml::node& node, std::string_view what, std::int64_t min,
                                 std::int64_t max, const Place& place) {
  const auto number = node.value_exact<std::int64_t>();
  if (!number || *number < min || *number > max)
    return place.error(fmt::format("{} takes a whole number from {} to {}", what, min, max));
  return *number;
}

Result<void> set(WeightRule& rule, std::string_view what, const toml::node& node, const Place& place) {
  if (what == "network") {
    auto network = parse_network(node.value_or<std::string>(""), place);
    if (!network) return network.error();
    rule.network = *network;
  } else if (what == "protocol") {
    auto protocol = parse_protocol(node, place);
    if (!protocol) return protocol.error();
    rule.protocol = *protocol;
  } else if (what == "port") {
    auto port = parse_whole(node, what, 0, 65'535, place);
    if (!port) return port.error();
    rule.port = static_cast<std::uint16_t>(*port);
  } else if (what == "weight") {
    auto weight = parse_whole(node, what, 1, engine::kWeightMax, place);
    if (!weight) return weight.error();
    rule.weight = static_cast<std::uint32_t>(*weight);
  } else {
    return place.error(fmt::format("a rule has network, port, protocol and weight, not '{}'", what));
  }
  return {};
}

Result<WeightRule> parse_rule(const toml::table& table, const std::string& name) {
  WeightRule rule;
  if (!table.contains("weight"))
    return Place{name, table.source().begin.line}.error("a rule needs a weight, as in weight = 4");
  for (const auto& [key, node] : table) {
    if (auto done = set(rule, key.str(), node, {name, node.source().begin.line}); !done) return done.error();
  }
  return rule;
}

// What rules are written with is ASCII. Of the rest, which may stand in comments, toml++ 3.3 takes some for
// impossible where it stands elsewhere: '?' is wrong there too, and is told as such.
std::string ascii_of(std::string_view text) {
  std::string ascii(text);
  std::replace_if(
      ascii.begin(), ascii.end(), [](char c) { return (c & 0x80) != 0; }, '?');
  return ascii;
}

// An error is one line, though the library quotes what it found, and that may be a line's end.
std::string one_line(std::string_view text) {
  std::string line(text);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c >= 0 && c < ' '; }, ' ');
  return line;
}

}  // namespace

Result<engine::QueueWeights> parse_queueing_rules(std::string_view text, const std::string& name) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const toml::parse_result parsed = toml::parse(ascii_of(text), name);
  if (!parsed)
    return Place{name, parsed.error().source().begin.line}.error(one_line(parsed.error().description()));
  std::vector<WeightRule> rules;
  for (const auto& [key, node] : parsed.table()) {
    const Place place{name, node.source().begin.line};
    const toml::array* list = node.as_array();
    if (key.str() != "rule" || list == nullptr || !list->is_homogeneous<toml::table>())
      return place.error(fmt::format("only [[rule]] sections are known, not '{}'", key.str()));
    for (const toml::node& each : *list) {
      auto rule = parse_rule(*each.as_table(), name);
      if (!rule) return rule.error();
      rules.push_back(*rule);
    }
  }
  if (rules.size() > engine::kWeightRulesMax)
    return usage_error(
        fmt::format("{}: at most {} rules, not {}", name, engine::kWeightRulesMax, rules.size()));
  return engine::QueueWeights(std::move(rules));
}

Result<engine::QueueWeights> read_queueing_rules(const std::string& path) {
  constexpr std::size_t kBytesMax = 1 << 20;  // a thousand rules take a tenth
  std::ifstream file(path, std::ios::binary);
  std::string text(kBytesMax, '\0');
  // Folders and devices can be opened, and fail only when they are read.
  if (!file || !file.read(text.data(), static_cast<std::streamsize>(text.size())).eof())
    return runtime_error(
        fmt::format("cannot read the queueing rules in {}: a file of at most a megabyte is wanted", path));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return parse_queueing_rules(text, path);
}

}  // namespace evenkeel::runtime
