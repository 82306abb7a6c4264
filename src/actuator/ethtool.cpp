#include "actuator/ethtool.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "base/file_descriptor.h"

namespace evenkeel::actuator {
namespace {

// Newer kernels give no statistics to who asks for another number of them.
std::uint32_t count_statistics(const std::string& interface) {
  std::uint32_t memory[sizeof(ethtool_sset_info) / sizeof(std::uint32_t) + 1] = {};
  auto* const information = reinterpret_cast<ethtool_sset_info*>(memory);
  information->cmd = ETHTOOL_GSSET_INFO;
  information->sset_mask = 1u << ETH_SS_STATS;
  return ask_ethtool(interface, information) ? memory[sizeof(ethtool_sset_info) / sizeof(std::uint32_t)] : 0;
}

}  // namespace

bool ask_ethtool(const std::string& interface, void* request) {
  const base::FileDescriptor control(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq asked{};
  interface.copy(asked.ifr_name, sizeof asked.ifr_name - 1);
  asked.ifr_data = static_cast<char*>(request);
  return ioctl(control.get(), SIOCETHTOOL, &asked) == 0;
}

std::vector<std::pair<std::string, std::uint64_t>> read_statistics(const std::string& interface) {
  const std::uint32_t count = count_statistics(interface);
  std::vector<std::uint32_t> names((sizeof(ethtool_gstrings) + std::size_t{count} * ETH_GSTRING_LEN) / 4);
  std::vector<std::uint64_t> values(sizeof(ethtool_stats) / sizeof(std::uint64_t) + count);
  auto* const strings = reinterpret_cast<ethtool_gstrings*>(names.data());
  strings->cmd = ETHTOOL_GSTRINGS;
  strings->string_set = ETH_SS_STATS;
  strings->len = count;
  auto* const statistics = reinterpret_cast<ethtool_stats*>(values.data());
  statistics->cmd = ETHTOOL_GSTATS;
  statistics->n_stats = count;
  std::vector<std::pair<std::string, std::uint64_t>> read;
  if (count == 0 || !ask_ethtool(interface, strings) || !ask_ethtool(interface, statistics)) return read;
  const char* const first = reinterpret_cast<const char*>(names.data()) + sizeof(ethtool_gstrings);
  for (std::uint32_t i = 0; i < count; ++i) {
    const char* const name = first + std::size_t{i} * ETH_GSTRING_LEN;
    read.emplace_back(std::string(name, strnlen(name, ETH_GSTRING_LEN)),
                      values[sizeof(ethtool_stats) / 8 + i]);
  }
  return read;
}

}  // namespace evenkeel::actuator
