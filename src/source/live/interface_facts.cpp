#include "source/live/interface_facts.h"

#include <fmt/format.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/file_descriptor.h"

namespace evenkeel::source {
namespace {

constexpr unsigned short kRawIpHardware = 519;  // ARPHRD_RAWIP, newer than some headers

bool ask(unsigned long request, const std::string& name, ifreq& answer) {
  const base::FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  name.copy(answer.ifr_name, IF_NAMESIZE - 1);
  return ioctl(socket.get(), request, &answer) == 0;
}

short flags_of(const std::string& name) {
  ifreq answer{};
  return ask(SIOCGIFFLAGS, name, answer) ? answer.ifr_flags : short{0};
}

}  // namespace

int index_of_interface(const std::string& name) { return static_cast<int>(if_nametoindex(name.c_str())); }

std::string name_of_interface(int index) {
  char name[IF_NAMESIZE];
  return if_indextoname(static_cast<unsigned>(index), name) != nullptr ? name : "";
}

std::string names_of_interfaces() {
  std::string names;
  struct if_nameindex* const list = ::if_nameindex();
  for (const struct if_nameindex* entry = list; entry != nullptr && entry->if_index != 0; ++entry)
    names += (names.empty() ? "" : ", ") + std::string(entry->if_name);
  if_freenameindex(list);
  return names;
}

bool interface_is_up(const std::string& name) { return (flags_of(name) & IFF_UP) != 0; }

bool is_loopback(const std::string& name) { return (flags_of(name) & IFF_LOOPBACK) != 0; }

Result<LinkType> link_of_interface(const std::string& name) {
  ifreq answer{};
  if (!ask(SIOCGIFHWADDR, name, answer))
    return runtime_error(fmt::format("cannot ask for the kind of {}: {}", name, std::strerror(errno)));
  switch (answer.ifr_hwaddr.sa_family) {
    case ARPHRD_ETHER:
    case ARPHRD_LOOPBACK:
      return LinkType::kEthernet;
    case ARPHRD_NONE:
    case ARPHRD_PPP:
    case ARPHRD_TUNNEL:
    case ARPHRD_TUNNEL6:
    case ARPHRD_SIT:
    case kRawIpHardware:
      return LinkType::kRawIp;
    default:
      return runtime_error(
          fmt::format("{}: hardware type {} is not supported; Ethernet, loopback and IP tunnels are", name,
                      answer.ifr_hwaddr.sa_family));
  }
}

std::uint32_t receive_queues_of(const std::string& name) {
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  ifreq answer{};
  answer.ifr_data = reinterpret_cast<char*>(&channels);
  if (!ask(SIOCETHTOOL, name, answer)) return 1;
  return std::max(1u, channels.rx_count + channels.combined_count);
}

}  // namespace evenkeel::source
