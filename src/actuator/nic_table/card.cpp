#include "actuator/nic_table/card.h"

#include <fmt/core.h>
#include <linux/ethtool.h>

#include <cerrno>
#include <cstring>

#include "actuator/ethtool.h"
#include "bpf/constants.h"

namespace evenkeel::actuator {
namespace {

// struct ethtool_rxfh with room for table and key behind it.
struct RssRequest {
  std::vector<std::uint32_t> words;
  explicit RssRequest(std::size_t table_size, std::size_t key_size)
      : words((sizeof(ethtool_rxfh) + table_size * 4 + key_size + 3) / 4) {}
  ethtool_rxfh& header() { return *reinterpret_cast<ethtool_rxfh*>(words.data()); }
  std::uint32_t* table() { return words.data() + sizeof(ethtool_rxfh) / 4; }
};

void read_rss(const std::string& interface, Card& card) {
  RssRequest sizes(0, 0);
  sizes.header().cmd = ETHTOOL_GRSSH;
  if (!ask_ethtool(interface, sizes.words.data())) return;
  const std::uint32_t table_size = sizes.header().indir_size;
  const std::uint32_t key_size = sizes.header().key_size;
  RssRequest request(table_size, key_size);
  request.header().cmd = ETHTOOL_GRSSH;
  request.header().indir_size = table_size;
  request.header().key_size = key_size;
  if (!ask_ethtool(interface, request.words.data())) return;
  card.table.assign(request.table(), request.table() + table_size);
  card.toeplitz = (request.header().hfunc & 1) != 0;  // the first of the kernel's list of functions
  card.key.resize(key_size);
  std::memcpy(card.key.data(), request.table() + table_size, key_size);
}

void read_queues(const std::string& interface, Card& card) {
  ethtool_rxnfc rings{};
  rings.cmd = ETHTOOL_GRXRINGS;
  if (ask_ethtool(interface, &rings)) card.queues = static_cast<std::uint32_t>(rings.data);
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  if (ask_ethtool(interface, &channels)) describe_channels(channels, card);
}

void read_fields(const std::string& interface, Card& card) {
  struct Kind {
    std::uint32_t flow;
    std::uint32_t flag;
    bool by_default;
  };
  // Drivers that do not tell hash what most do: ports of TCP only.
  constexpr Kind kKinds[] = {{TCP_V4_FLOW, kCardPortsTcp4, true},
                             {UDP_V4_FLOW, kCardPortsUdp4, false},
                             {TCP_V6_FLOW, kCardPortsTcp6, true},
                             {UDP_V6_FLOW, kCardPortsUdp6, false}};
  for (const Kind& kind : kKinds) {
    ethtool_rxnfc fields{};
    fields.cmd = ETHTOOL_GRXFH;
    fields.flow_type = kind.flow;
    const bool told = ask_ethtool(interface, &fields);
    card.fields_known |= told;
    const bool ports = told ? (fields.data & (RXH_L4_B_0_1 | RXH_L4_B_2_3)) != 0 : kind.by_default;
    if (ports) card.ports |= kind.flag;
  }
}

}  // namespace

// Some drivers have channels for both directions, some only apart, some either.
void describe_channels(const ethtool_channels& channels, Card& card) {
  const bool apart = channels.max_combined == 0 || (channels.combined_count == 0 && channels.rx_count > 0);
  card.queues_max = apart ? channels.max_rx : channels.max_combined;
  card.queues_word = apart ? "rx" : "combined";
  if (card.queues == 0) card.queues = channels.combined_count + channels.rx_count;
}

Card read_card(const std::string& interface) {
  Card card;
  read_queues(interface, card);
  read_rss(interface, card);
  read_fields(interface, card);
  return card;
}

// Swapping 32-bit addresses, 128-bit addresses and 16-bit ports changes nothing if the key repeats every 16
// bits.
bool is_symmetric(const std::vector<std::uint8_t>& key) {
  for (std::size_t i = 2; i < key.size(); ++i) {
    if (key[i] != key[i - 2]) return false;
  }
  return !key.empty();
}

Result<void> write_table(const std::string& interface, const std::vector<std::uint32_t>& table) {
  RssRequest request(table.size(), 0);
  request.header().cmd = ETHTOOL_SRSSH;
  request.header().indir_size = static_cast<std::uint32_t>(table.size());
  request.header().hfunc = 0;  // as it is; so is the key, with a size of 0
  std::memcpy(request.table(), table.data(), table.size() * sizeof(std::uint32_t));
  if (ask_ethtool(interface, request.words.data())) return {};
  return runtime_error(
      fmt::format("{}: the driver refuses an indirection table: {}", interface, std::strerror(errno)));
}

std::optional<std::uint32_t> queue_of_statistic(const std::string& name) {
  if (!name.starts_with("rx") || !name.ends_with("packets") || name.find("xdp") != std::string::npos) {
    return std::nullopt;
  }
  const std::size_t digit = name.find_first_of("0123456789");
  if (digit == std::string::npos) return std::nullopt;
  const std::string before = name.substr(2, digit - 2);
  const std::size_t end = name.find_first_not_of("0123456789", digit);
  const std::string after = name.substr(end);
  if (before != "" && before != "-" && before != "_" && before != "_queue_") return std::nullopt;
  if (after != "_packets" && after != ".packets") return std::nullopt;
  return static_cast<std::uint32_t>(std::stoul(name.substr(digit, end - digit)));
}

std::vector<std::uint64_t> packets_of_queues(const std::string& interface, std::uint32_t queues) {
  std::vector<std::uint64_t> packets(queues);
  bool found = false;
  for (const auto& [name, value] : read_statistics(interface)) {
    const auto queue = queue_of_statistic(name);
    if (!queue || *queue >= queues) continue;
    packets[*queue] += value;
    found = true;
  }
  return found ? packets : std::vector<std::uint64_t>();
}

}  // namespace evenkeel::actuator
