#include "trace_support.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <utility>

namespace evenkeel::tests {

namespace fs = std::filesystem;

namespace {

std::optional<LinkType> link_type_of(int number) {
  switch (number) {
    case DLT_EN10MB:
      return LinkType::kEthernet;
    case DLT_RAW:
      return LinkType::kRawIp;
    case DLT_NULL:
    case DLT_LOOP:
      return LinkType::kBsdLoopback;
    case DLT_LINUX_SLL:
      return LinkType::kLinuxCooked;
    case DLT_LINUX_SLL2:
      return LinkType::kLinuxCookedTwo;
    default:
      return std::nullopt;
  }
}

std::string endpoint_text(const Endpoint& endpoint, int version) {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(version == 4 ? AF_INET : AF_INET6, endpoint.address.data(), text, sizeof text);
  return std::string(text) + " " + std::to_string(endpoint.port);
}

// The endpoints of a truth row are in another order than those of a key.
void read_truth_row(const std::string& line, Connections& connections) {
  std::istringstream row(line);
  std::string version, protocol, address[2];
  Endpoint endpoint[2];
  std::array<Traffic, 2> traffic;
  row >> version >> protocol >> address[0] >> endpoint[0].port >> address[1] >> endpoint[1].port;
  for (Traffic& direction : traffic) row >> direction.frames >> direction.bytes;
  ASSERT_TRUE(row.good()) << line;
  for (int i = 0; i < 2; ++i)
    inet_pton(version == "4" ? AF_INET : AF_INET6, address[i].c_str(), endpoint[i].address.data());
  if (endpoint[1] < endpoint[0]) std::swap(traffic[0], traffic[1]);
  connections[connection_name(version == "4" ? 4 : 6, protocol == "tcp" ? 6 : 17, endpoint[0], endpoint[1])] =
      traffic;
}

}  // namespace

std::uint64_t walk_capture(const fs::path& path, const std::function<void(Packet&)>& visit) {
  char error[PCAP_ERRBUF_SIZE];
  const std::unique_ptr<pcap_t, decltype(&pcap_close)> pcap(pcap_open_offline(path.c_str(), error),
                                                            pcap_close);
  if (pcap == nullptr) return 0;
  const LinkType link = link_type_of(pcap_datalink(pcap.get())).value_or(LinkType::kEthernet);
  std::uint64_t packets = 0;
  pcap_pkthdr* header = nullptr;
  const u_char* data = nullptr;
  while (pcap_next_ex(pcap.get(), &header, &data) == 1) {
    const std::vector<std::uint8_t> bytes(data, data + header->caplen);
    Packet packet;
    packet.data = bytes.data();
    packet.captured_length = header->caplen;
    packet.wire_length = std::max(header->len, header->caplen);
    packet.link = link;
    packet.now_ns = header->ts.tv_sec * 1'000'000'000 + header->ts.tv_usec * 1'000;
    visit(packet);
    ++packets;
  }
  return packets;
}

std::vector<fs::path> shared_captures(const char* folder) {
  std::vector<fs::path> paths;
  const fs::path root = fs::path(EVENKEEL_SHARED_DIR) / "traces" / folder;
  if (!fs::exists(root)) return paths;
  for (const auto& entry : fs::directory_iterator(root))
    if (entry.path().extension() != ".tsv") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string connection_name(std::uint8_t ip_version, std::uint8_t protocol, const Endpoint& one,
                            const Endpoint& other) {
  return std::to_string(ip_version) + (protocol == 6 ? " tcp " : " udp ") +
         endpoint_text(std::min(one, other), ip_version) + " " +
         endpoint_text(std::max(one, other), ip_version);
}

std::string connection_name(const ConnectionKey& key) {
  const auto port = [](const std::array<std::uint8_t, 2>& bytes) {
    return static_cast<std::uint16_t>(bytes[0] << 8 | bytes[1]);
  };
  return connection_name(key.ip_version, key.protocol, {key.low_address, port(key.low_port)},
                         {key.high_address, port(key.high_port)});
}

Connections ground_truth_of(const fs::path& capture) {
  Connections connections;
  std::ifstream file(fs::path(EVENKEEL_SHARED_DIR) / "traces/truth" /
                     (capture.filename().string() + ".exact.tsv"));
  std::string line;
  std::getline(file, line);  // the heading
  while (std::getline(file, line)) read_truth_row(line, connections);
  return connections;
}

}  // namespace evenkeel::tests
