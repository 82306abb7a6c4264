// Hashing of connections against DPDK's rte_softrss and rte_softrss_be: nanoseconds a hash in batches of 64,
// and ratios. All contenders take turns in every round; a ratio is the median of the rounds' ratios, so that
// what disturbs the machine for longer than a round disturbs both sides. Before timing, all Toeplitz
// contenders must agree on every hash.
//
//   bench_hash                        the table
//   bench_hash --only NAME BATCHES    hashes BATCHES batches with one contender: for counting instructions
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "packet/hash.h"

#ifdef EVENKEEL_DPDK
#include <rte_thash.h>
#endif

namespace evenkeel {
namespace {

constexpr std::size_t kBatch = 64;
constexpr int kRounds = 41;
// Batches take turns, so that the branch predictor does not learn the bits of 64 connections by heart, as no
// real traffic lets it.
constexpr std::size_t kBatches = 128;
constexpr int kTurnsInRound = 12;

// Connections in the form that each contender takes: packets as the engine has them, and for DPDK arrays of
// 32-bit words in host order.
struct Connections {
  Connections() = default;
  Connections(const Connections&) = delete;  // `pointers` point into `packets`
  Connections(Connections&&) = default;

  int ip_version = 4;
  std::vector<Packet> packets = std::vector<Packet>(kBatch);
  std::vector<Packet*> pointers;
  std::vector<std::array<std::uint32_t, 9>> words = std::vector<std::array<std::uint32_t, 9>>(kBatch);

  std::uint32_t words_count() const { return ip_version == 4 ? 3 : 9; }
};

void set_words(const Packet& packet, std::array<std::uint32_t, 9>& words) {
  const std::size_t address = packet.key.ip_version == 4 ? 4 : 16;
  std::array<std::uint8_t, 36> bytes{};
  std::memcpy(bytes.data(), packet.key.low_address.data(), address);
  std::memcpy(bytes.data() + address, packet.key.high_address.data(), address);
  std::memcpy(bytes.data() + 2 * address, packet.key.low_port.data(), 4);
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[i] = std::uint32_t{bytes[4 * i]} << 24 | std::uint32_t{bytes[4 * i + 1]} << 16 |
               std::uint32_t{bytes[4 * i + 2]} << 8 | bytes[4 * i + 3];
  }
}

Connections make_connections(int ip_version, std::uint64_t seed) {
  Connections connections;
  connections.ip_version = ip_version;
  base::Random random(seed);
  for (std::size_t i = 0; i < kBatch; ++i) {
    Packet& packet = connections.packets[i];
    packet.key.ip_version = static_cast<std::uint8_t>(ip_version);
    const std::size_t size = ip_version == 4 ? 4 : 16;
    for (std::size_t byte = 0; byte < size; ++byte) {
      packet.key.low_address[byte] = static_cast<std::uint8_t>(random.next());
      packet.key.high_address[byte] = static_cast<std::uint8_t>(random.next());
    }
    packet.key.low_port = {static_cast<std::uint8_t>(random.next()),
                           static_cast<std::uint8_t>(random.next())};
    packet.key.high_port = {1, 187};
    set_words(packet, connections.words[i]);
    connections.pointers.push_back(&packet);
  }
  return connections;
}

std::vector<Connections> make_batches(int ip_version) {
  std::vector<Connections> batches;
  for (std::size_t i = 0; i < kBatches; ++i) batches.push_back(make_connections(ip_version, i));
  return batches;
}

struct Contender {
  std::string name;
  bool toeplitz_standard = false;                // must agree with the others of its kind
  std::function<void(Connections&)> hash_batch;  // to packets[i].hash
};

void add_ours(std::vector<Contender>& contenders, const char* label, const packet::Hasher& hasher,
              bool standard) {
  for (const auto& kernel : packet::usable_kernels(hasher.state())) {
    contenders.push_back({fmt::format("{}/{}", label, kernel.name), standard,
                          [hasher, kernel](Connections& c) { kernel.batch(hasher.state(), c.pointers); }});
  }
}

#ifdef EVENKEEL_DPDK
void add_dpdk(std::vector<Contender>& contenders, const packet::ToeplitzKey& key) {
  contenders.push_back({"rte_softrss", true, [key](Connections& c) {
                          for (std::size_t i = 0; i < kBatch; ++i) {
                            c.packets[i].hash = rte_softrss(c.words[i].data(), c.words_count(), key.data());
                          }
                        }});
  alignas(4) packet::ToeplitzKey converted{};
  rte_convert_rss_key(reinterpret_cast<const std::uint32_t*>(key.data()),
                      reinterpret_cast<std::uint32_t*>(converted.data()), 40);
  contenders.push_back({"rte_softrss_be", true, [converted](Connections& c) {
                          for (std::size_t i = 0; i < kBatch; ++i) {
                            c.packets[i].hash =
                                rte_softrss_be(c.words[i].data(), c.words_count(), converted.data());
                          }
                        }});
}
#endif

std::vector<Contender> make_contenders() {
  std::vector<Contender> contenders;
  const auto standard = *packet::Hasher::make("toeplitz", "standard");
#ifdef EVENKEEL_DPDK
  add_dpdk(contenders, standard.state().key);
#endif
  add_ours(contenders, "symmetric", *packet::Hasher::make("toeplitz", "symmetric"), false);
  add_ours(contenders, "standard", standard, true);
  add_ours(contenders, "crc32c", *packet::Hasher::make("crc32c", ""), false);
  return contenders;
}

std::vector<std::uint32_t> hashes_of(const Contender& contender, Connections& connections) {
  contender.hash_batch(connections);
  std::vector<std::uint32_t> hashes;
  for (const Packet& packet : connections.packets) hashes.push_back(packet.hash);
  return hashes;
}

void check_agreement(const std::vector<Contender>& contenders, Connections& connections) {
  std::vector<std::uint32_t> expected;
  for (const Contender& contender : contenders) {
    if (!contender.toeplitz_standard) continue;
    const auto hashes = hashes_of(contender, connections);
    if (expected.empty()) expected = hashes;
    CHECK(hashes == expected);
  }
}

double nanoseconds_a_hash(const Contender& contender, std::vector<Connections>& batches) {
  const auto begin = std::chrono::steady_clock::now();
  for (int turn = 0; turn < kTurnsInRound; ++turn) {
    for (Connections& batch : batches) contender.hash_batch(batch);
  }
  const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - begin;
  return taken.count() / (kTurnsInRound * kBatches * kBatch);
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

// times[contender][round]
using Times = std::vector<std::vector<double>>;

Times measure(const std::vector<Contender>& contenders, std::vector<Connections>& batches) {
  Times times(contenders.size());
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      times[i].push_back(nanoseconds_a_hash(contenders[i], batches));
    }
  }
  return times;
}

std::string ratio_text(const Times& times, std::size_t peer, std::size_t own, double bar) {
  std::vector<double> ratios;
  for (int round = 0; round < kRounds; ++round) ratios.push_back(times[peer][round] / times[own][round]);
  const double ratio = median(ratios);
  return fmt::format("{:.1f}x{}", ratio, ratio >= bar ? "" : " (below)");
}

void print_table(const std::vector<Contender>& contenders, int ip_version) {
  std::vector<Connections> batches = make_batches(ip_version);
  for (Connections& batch : batches) check_agreement(contenders, batch);
  const Times times = measure(contenders, batches);
  fmt::print("IPv{}, {} hashes a batch, {} rounds in turn\n", ip_version, kBatch, kRounds);
  fmt::print("{:<34}{:>10}{:>20}{:>20}\n", "", "ns a hash", "to rte_softrss", "to rte_softrss_be");
  const bool peers = contenders[0].name == "rte_softrss";
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    fmt::print("{:<34}{:>10.2f}", contenders[i].name, median(times[i]));
    if (peers && i >= 2) fmt::print("{:>20}{:>20}", ratio_text(times, 0, i, 20), ratio_text(times, 1, i, 15));
    fmt::print("\n");
  }
  fmt::print("bars: 20 times rte_softrss, 15 times rte_softrss_be{}\n\n",
             peers ? "" : "; DPDK is not installed: no ratios (./dev setup bench)");
}

int hash_only(const std::vector<Contender>& contenders, const std::string& name, int batches) {
  for (const Contender& contender : contenders) {
    if (contender.name != name) continue;
    Connections connections = make_connections(4, 0);
    for (int i = 0; i < batches; ++i) contender.hash_batch(connections);
    return 0;
  }
  return 2;
}

}  // namespace
}  // namespace evenkeel

int main(int argc, char** argv) {
  const auto contenders = evenkeel::make_contenders();
  if (argc == 2 && std::string(argv[1]) == "--list") {
    for (const auto& contender : contenders) fmt::print("{}\n", contender.name);
    return 0;
  }
  if (argc == 4 && std::string(argv[1]) == "--only") {
    return evenkeel::hash_only(contenders, argv[2], std::stoi(argv[3]));
  }
  for (const int ip_version : {4, 6}) evenkeel::print_table(contenders, ip_version);
  return 0;
}
