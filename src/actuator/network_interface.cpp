#include "actuator/network_interface.h"

#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <sstream>
#include <thread>

#include "actuator/ethtool.h"
#include "actuator/route_netlink.h"
#include "base/file_descriptor.h"
#include "meter/cpu_time.h"

namespace evenkeel::actuator {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> interface_names() {
  std::vector<std::string> names;
  struct if_nameindex* const list = ::if_nameindex();
  for (const struct if_nameindex* entry = list; entry != nullptr && entry->if_index != 0; ++entry) {
    names.emplace_back(entry->if_name);
  }
  if_freenameindex(list);
  return names;
}

std::string driver_of(const std::string& name) {
  ethtool_drvinfo information{};
  information.cmd = ETHTOOL_GDRVINFO;
  return ask_ethtool(name, &information) ? information.driver : "";
}

bool leaves_checksums_to_hardware(const std::string& name) {
  ethtool_value value{};
  value.cmd = ETHTOOL_GTXCSUM;
  return ask_ethtool(name, &value) && value.data != 0;
}

// A veth's first statistic is its peer's index.
std::uint32_t veth_peer_index(const std::string& name) {
  const auto statistics = read_statistics(name);
  return statistics.empty() ? 0 : static_cast<std::uint32_t>(statistics.front().second);
}

// The peer, if it is in the network namespace of this thread: the one whose peer index points back. Both may
// have the same index, in two namespaces; an interface is not its own peer.
std::optional<VethPeer> veth_peer_here(std::uint32_t peer_index, int own_index, const std::string& own_name) {
  char name[IF_NAMESIZE];
  if (if_indextoname(peer_index, name) == nullptr || driver_of(name) != "veth" || name == own_name)
    return std::nullopt;
  if (veth_peer_index(name) != static_cast<std::uint32_t>(own_index)) return std::nullopt;
  return VethPeer{
      .name = name, .network_namespace = "", .checksum_offload = leaves_checksums_to_hardware(name)};
}

// Every network namespace but this thread's that has a name or a process, once.
std::vector<std::string> network_namespaces() {
  std::vector<std::string> paths;
  std::set<std::uint64_t> seen;
  const auto add = [&](const fs::path& path) {
    struct stat status {};
    if (stat(path.c_str(), &status) == 0 && seen.insert(status.st_ino).second) paths.push_back(path);
  };
  struct stat own {};
  if (stat("/proc/thread-self/ns/net", &own) == 0) seen.insert(own.st_ino);
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/run/netns", error)) add(entry.path());
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    if (entry.path().filename().string().find_first_not_of("0123456789") == std::string::npos) {
      add(entry.path() / "ns/net");
    }
  }
  return paths;
}

std::optional<VethPeer> veth_peer_in(const std::string& path, std::uint32_t peer_index, int own_index,
                                     std::int32_t peer_namespace) {
  const base::FileDescriptor network(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!network.valid() || namespace_identity(network.get()) != peer_namespace) return std::nullopt;
  std::optional<VethPeer> peer;
  std::thread([&] {  // a thread of its own: this one shall stay where it is
    if (setns(network.get(), CLONE_NEWNET) == 0) peer = veth_peer_here(peer_index, own_index, "");
  })
      .join();
  const std::string last = fs::path(path).filename();
  if (peer) peer->network_namespace = last == "net" ? path : last;
  return peer;
}

// Runs `look` in a thread of its own whose /sys shows this thread's network namespace. Where a new mount is
// not allowed, /sys is taken as it stands.
template <typename Look>
void with_own_sys(const Look& look) {
  std::thread([&look] {
    if (unshare(CLONE_NEWNS) == 0) {
      const bool apart = mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
      if (apart) (void)mount("sysfs", "/sys", "sysfs", 0, nullptr);
    }
    look();
  }).join();
}

std::string first_line(const fs::path& path) {
  std::string text = meter::read_file(path).value_or("");
  return text.substr(0, text.find('\n'));
}

// The number of InCsumErrors in a table of /proc/net/snmp: a line of names, then a line of values.
std::uint64_t checksum_errors_of(const std::string& names, const std::string& values) {
  std::istringstream name_stream(names);
  std::istringstream value_stream(values);
  std::string name;
  std::string value;
  while (name_stream >> name && value_stream >> value) {
    if (name == "InCsumErrors") return std::stoull(value);
  }
  return 0;
}

}  // namespace

Result<NetworkInterface> find_interface(const std::string& name) {
  NetworkInterface interface {
    .name = name, .index = static_cast<int>(if_nametoindex(name.c_str())), .driver = {}
  };
  if (interface.index == 0) {
    return runtime_error(
        fmt::format("there is no interface '{}': there are {}", name, fmt::join(interface_names(), ", ")));
  }
  interface.driver = driver_of(name);
  libbpf_set_print(nullptr);  // what cannot be asked is left out
  LIBBPF_OPTS(bpf_xdp_query_opts, query);
  if (bpf_xdp_query(interface.index, 0, &query) == 0) {
    interface.xdp_program = static_cast<int>(query.prog_id);
    interface.xdp_generic = query.attach_mode == XDP_ATTACHED_SKB;
  }
  return interface;
}

bool is_present(const std::string& name, int index) {
  return if_nametoindex(name.c_str()) == static_cast<unsigned>(index);
}

std::optional<VethPeer> find_veth_peer(const NetworkInterface& interface) {
  if (interface.driver != "veth") return std::nullopt;
  const std::uint32_t peer_index = veth_peer_index(interface.name);
  if (peer_index == 0) return std::nullopt;
  const auto peer_namespace = peer_namespace_identity(interface.index);
  if (!peer_namespace) return veth_peer_here(peer_index, interface.index, interface.name);
  for (const std::string& path : network_namespaces()) {
    if (auto peer = veth_peer_in(path, peer_index, interface.index, *peer_namespace)) return peer;
  }
  return std::nullopt;
}

std::vector<ReceiveQueue> receive_queues(const std::string& name) {
  std::vector<ReceiveQueue> queues;
  with_own_sys([&] {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("/sys/class/net/" + name + "/queues", error)) {
      const std::string queue = entry.path().filename().string();
      if (!queue.starts_with("rx-")) continue;
      queues.push_back({.number = static_cast<std::uint32_t>(std::stoul(queue.substr(3))),
                        .rps_cpus = first_line(entry.path() / "rps_cpus")});
    }
  });
  std::sort(queues.begin(), queues.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
  return queues;
}

bool mask_is_empty(const std::string& mask) { return mask.find_first_not_of("0,") == std::string::npos; }

std::vector<std::uint32_t> interrupts_of(const std::string& name) {
  std::vector<std::uint32_t> interrupts;
  with_own_sys([&] {
    std::error_code error;
    const fs::path device = "/sys/class/net/" + name + "/device";
    // A virtio card's interrupts belong to the bus device above it.
    for (const fs::path& folder : {device / "msi_irqs", device / ".." / "msi_irqs"}) {
      for (const auto& entry : fs::directory_iterator(folder, error)) {
        interrupts.push_back(static_cast<std::uint32_t>(std::stoul(entry.path().filename().string())));
      }
      if (!interrupts.empty()) break;
    }
  });
  std::sort(interrupts.begin(), interrupts.end());
  return interrupts;
}

std::optional<std::uint64_t> received_packets(const std::string& name) {
  std::istringstream lines(meter::read_file("/proc/thread-self/net/dev").value_or(""));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(':');
    const std::size_t begin = line.find_first_not_of(' ');
    if (colon == std::string::npos || line.substr(begin, colon - begin) != name) continue;
    std::istringstream fields(line.substr(colon + 1));
    std::uint64_t bytes = 0;
    std::uint64_t packets = 0;
    if (fields >> bytes >> packets) return packets;
  }
  return std::nullopt;
}

std::uint64_t checksum_errors() {
  std::istringstream lines(meter::read_file("/proc/thread-self/net/snmp").value_or(""));
  std::uint64_t errors = 0;
  for (std::string names, values; std::getline(lines, names) && std::getline(lines, values);) {
    errors += checksum_errors_of(names, values);
  }
  std::istringstream six(meter::read_file("/proc/thread-self/net/snmp6").value_or(""));
  for (std::string name, value; six >> name >> value;) {
    if (name == "Udp6InCsumErrors") errors += std::stoull(value);
  }
  return errors;
}

bool process_runs(const std::string& name) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string task = entry.path().filename().string();
    if (task.find_first_not_of("0123456789") != std::string::npos) continue;
    if (first_line(entry.path() / "comm") == name) return true;
  }
  return false;
}

}  // namespace evenkeel::actuator
