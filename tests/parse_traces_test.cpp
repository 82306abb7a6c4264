// Real captures, walked with libpcap: every packet has a verdict, and connections are those that an
// independent tool found.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "packet/fragments.h"
#include "packet/hash.h"
#include "packet/parse.h"

namespace evenkeel::packet {
namespace {

namespace fs = std::filesystem;

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

// Calls `visit` with each packet, its bytes on the heap in exactly their captured size. Returns how many.
// Link types that are not parsed are walked as Ethernet: the bytes are noise then, and must do no harm.
template <typename Visit>
std::uint64_t walk(const fs::path& path, const Visit& visit) {
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

std::vector<fs::path> captures_in(const char* folder) {
  std::vector<fs::path> paths;
  const fs::path root = fs::path(EVENKEEL_SHARED_DIR) / "traces" / folder;
  if (!fs::exists(root)) return paths;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (entry.path().extension() != ".tsv") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

struct Traffic {
  std::uint64_t frames = 0;
  std::uint64_t bytes = 0;
  friend auto operator<=>(const Traffic&, const Traffic&) = default;
};

// "4 tcp 10.0.0.1 80 10.0.0.2 1000", low endpoint first, and then its traffic there and back.
using Connections = std::map<std::string, std::array<Traffic, 2>>;

std::string endpoint_text(const std::array<std::uint8_t, 16>& address,
                          const std::array<std::uint8_t, 2>& port, int version) {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(version == 4 ? AF_INET : AF_INET6, address.data(), text, sizeof text);
  return std::string(text) + " " + std::to_string(port[0] << 8 | port[1]);
}

std::string key_text(const ConnectionKey& key) {
  return std::to_string(key.ip_version) + (key.protocol == 6 ? " tcp " : " udp ") +
         endpoint_text(key.low_address, key.low_port, key.ip_version) + " " +
         endpoint_text(key.high_address, key.high_port, key.ip_version);
}

void add_to(Connections& connections, const Packet& packet) {
  const bool counted = packet.key.protocol == 6 || packet.key.protocol == 17;
  if (!counted || (packet.flags & Packet::kLaterFragment) != 0) return;
  Traffic& traffic = connections[key_text(packet.key)][packet.reversed() ? 1 : 0];
  ++traffic.frames;
  traffic.bytes += packet.wire_length;
}

// Puts the endpoints of a truth row, which are in another order, as the key has them.
void read_truth_row(const std::string& line, Connections& connections) {
  std::istringstream row(line);
  std::string version, protocol, address[2];
  std::uint16_t port[2];
  Traffic traffic[2];
  row >> version >> protocol >> address[0] >> port[0] >> address[1] >> port[1];
  for (Traffic& direction : traffic) row >> direction.frames >> direction.bytes;
  ASSERT_TRUE(row.good()) << line;
  std::array<std::uint8_t, 16> bytes[2] = {};
  for (int i = 0; i < 2; ++i)
    inet_pton(version == "4" ? AF_INET : AF_INET6, address[i].c_str(), bytes[i].data());
  const int low = std::pair(bytes[0], port[0]) <= std::pair(bytes[1], port[1]) ? 0 : 1;
  ConnectionKey key;
  key.low_address = bytes[low];
  key.high_address = bytes[1 - low];
  key.low_port = {static_cast<std::uint8_t>(port[low] >> 8), static_cast<std::uint8_t>(port[low])};
  key.high_port = {static_cast<std::uint8_t>(port[1 - low] >> 8), static_cast<std::uint8_t>(port[1 - low])};
  key.protocol = protocol == "tcp" ? 6 : 17;
  key.ip_version = version == "4" ? 4 : 6;
  connections[key_text(key)] = {traffic[low], traffic[1 - low]};
}

Connections truth_of(const fs::path& capture) {
  Connections connections;
  std::ifstream file(fs::path(EVENKEEL_SHARED_DIR) / "traces/truth" /
                     (capture.filename().string() + ".exact.tsv"));
  std::string line;
  std::getline(file, line);  // the heading
  while (std::getline(file, line)) read_truth_row(line, connections);
  return connections;
}

void expect_same(const Connections& expected, const Connections& found) {
  for (const auto& [key, traffic] : expected) {
    const auto it = found.find(key);
    ASSERT_NE(it, found.end()) << key;
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(it->second[i].frames, traffic[i].frames) << key;
      EXPECT_EQ(it->second[i].bytes, traffic[i].bytes) << key;
    }
  }
  EXPECT_EQ(found.size(), expected.size());
}

TEST(ParseTraces, ConnectionsAreThoseOfTheGroundTruth) {
  const auto captures = captures_in("captures");
  if (captures.empty()) GTEST_SKIP() << "no captures in " EVENKEEL_SHARED_DIR "/traces";
  for (const fs::path& capture : captures) {
    SCOPED_TRACE(capture.filename().string());
    Connections connections;
    walk(capture, [&](Packet& packet) {
      if (parse(packet, {}).connection()) add_to(connections, packet);
    });
    expect_same(truth_of(capture), connections);
  }
}

struct Account {
  std::uint64_t connection = 0, malformed = 0, unclassified = 0, orphan = 0;
  std::uint64_t sum() const { return connection + malformed + unclassified + orphan; }
};

// A dispatcher without workers: parses, brings fragments together, hashes, and counts everything once.
class Accountant {
 public:
  Accountant(const ParseOptions& options, const Hasher& hasher) : options_(options), hasher_(hasher) {}

  void take(Packet& packet) {
    now_ns_ = std::max(now_ns_, packet.now_ns);
    packet.now_ns = now_ns_;
    const ParseResult result = parse(packet, options_);
    if (result.verdict() == Verdict::kMalformed) ++account_.malformed;
    if (result.verdict() == Verdict::kUnclassified) ++account_.unclassified;
    if (!result.connection()) return;
    check_fields(packet);
    if (result.fragments_count != 0 && tracker_.offer(packet, result) != FragmentFate::kGoesOn) return;
    while (Packet* released = tracker_.take_released()) {
      ++account_.connection;
      released->block->release(1);
    }
    const std::array<Packet*, 1> batch = {&packet};
    hasher_.hash(batch);
    ++account_.connection;
  }

  Account finish() {
    tracker_.give_up_all();
    account_.orphan = tracker_.statistics().orphans;
    return account_;
  }

 private:
  static void check_fields(const Packet& packet) {
    ASSERT_LE(packet.network_offset + packet.ip_octets, packet.wire_length);
    ASSERT_LT(packet.network_offset, packet.captured_length);
    ASSERT_LT(packet.transport_offset, packet.captured_length);
    if ((packet.flags & Packet::kTcpHeader) != 0) {
      ASSERT_LE(packet.transport_offset + 20u, packet.captured_length);
    }
    ASSERT_TRUE(packet.key.ip_version == 4 || packet.key.ip_version == 6);
  }

  ParseOptions options_;
  const Hasher& hasher_;
  FragmentTracker tracker_{{}, 1};
  Account account_;
  std::int64_t now_ns_ = 0;
};

TEST(ParseTraces, EveryPacketOfEveryCaptureIsAccountedForOnce) {
  const Hasher hasher = *Hasher::make("toeplitz", "standard");
  std::uint64_t total = 0;
  Account all;
  for (const char* folder : {"captures", "malformed"}) {
    for (const fs::path& capture : captures_in(folder)) {
      for (const bool inner_tunnel : {false, true}) {
        Accountant accountant({.inner_tunnel = inner_tunnel}, hasher);
        const std::uint64_t packets = walk(capture, [&](Packet& packet) { accountant.take(packet); });
        const Account account = accountant.finish();
        EXPECT_EQ(account.sum(), packets) << capture;
        total += packets;
        all.connection += account.connection;
        all.malformed += account.malformed;
      }
    }
  }
  if (total == 0) GTEST_SKIP() << "no captures in " EVENKEEL_SHARED_DIR "/traces";
  EXPECT_GT(all.connection, 0u);
  EXPECT_GT(all.malformed, 0u);
}

}  // namespace
}  // namespace evenkeel::packet
