// Parsing and hashing by kind of packet: nanoseconds a packet in batches of 64 over 1,024 different packets,
// the fast way, the careful way, and with the default hash. No peer: the yardstick is the careful way.
//
//   bench_parse                      the table
//   bench_parse --list               the contenders
//   bench_parse --only NAME BATCHES  parses BATCHES batches of one contender: for counting instructions
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "packet/hash.h"
#include "packet/parse.h"
#include "tests/packet_builder.h"

namespace evenkeel {
namespace {

constexpr std::size_t kBatch = 64;
constexpr std::size_t kPackets = 1'024;
constexpr int kRounds = 31;

struct Traffic {
  std::string name;
  std::vector<tests::TestPacket> packets;
};

std::string any_ipv4(base::Random& random) {
  return fmt::format("10.{}.{}.{}", random.below(4), random.below(256), random.below(256));
}

Traffic make_traffic(const std::string& name) {
  base::Random random(1);
  Traffic traffic{name, {}};
  for (std::size_t i = 0; i < kPackets; ++i) {
    const auto port = static_cast<std::uint16_t>(random.next());
    tests::PacketBuilder builder;
    if (name == "vlan-ipv4-tcp") builder.vlan(7);
    if (name == "ipv6-tcp") {
      builder.ipv6(fmt::format("2001:db8::{:x}", random.below(65'536)),
                   fmt::format("2001:db8::{:x}", random.below(65'536)));
    } else {
      builder.ipv4(any_ipv4(random), any_ipv4(random));
    }
    name == "ipv4-udp" ? builder.udp(port, 443) : builder.tcp(port, 443);
    traffic.packets.push_back(builder.payload(random.below(1'400)).build());
  }
  return traffic;
}

struct Contender {
  std::string name;
  std::function<void(std::span<Packet* const>)> batch;
};

std::vector<Contender> make_contenders() {
  const auto hasher = *packet::Hasher::make("toeplitz", "symmetric");
  return {{"careful",
           [](std::span<Packet* const> batch) {
             for (Packet* one : batch) packet::parse_carefully(*one, {});
           }},
          {"parse",
           [](std::span<Packet* const> batch) {
             for (Packet* one : batch) packet::parse(*one, {});
           }},
          {"parse+hash", [hasher](std::span<Packet* const> batch) {
             for (Packet* one : batch) packet::parse(*one, {});
             hasher.hash(batch);
           }}};
}

class Runner {
 public:
  explicit Runner(const Traffic& traffic) {
    for (const auto& packet : traffic.packets) descriptors_.push_back(tests::descriptor_of(packet));
    for (Packet& descriptor : descriptors_) pointers_.push_back(&descriptor);
  }

  void run_batch(const Contender& contender, std::size_t number) {
    const std::size_t begin = number * kBatch % kPackets;
    contender.batch(std::span<Packet* const>(pointers_).subspan(begin, kBatch));
  }

  double nanoseconds_a_packet(const Contender& contender) {
    constexpr std::size_t kBatches = 20 * kPackets / kBatch;
    const auto begin = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < kBatches; ++i) run_batch(contender, i);
    const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - begin;
    return taken.count() / static_cast<double>(kBatches * kBatch);
  }

 private:
  std::vector<Packet> descriptors_;
  std::vector<Packet*> pointers_;
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

constexpr const char* kTraffics[] = {"ipv4-tcp", "ipv4-udp", "vlan-ipv4-tcp", "ipv6-tcp"};

void print_table() {
  const auto contenders = make_contenders();
  fmt::print("ns a packet{:>24}{:>12}{:>12}\n", "careful", "parse", "parse+hash");
  for (const char* name : kTraffics) {
    const Traffic traffic = make_traffic(name);
    Runner runner(traffic);
    std::vector<std::vector<double>> times(contenders.size());
    for (int round = 0; round < kRounds; ++round) {
      for (std::size_t i = 0; i < contenders.size(); ++i) {
        times[i].push_back(runner.nanoseconds_a_packet(contenders[i]));
      }
    }
    fmt::print("{:<23}{:>12.2f}{:>12.2f}{:>12.2f}\n", name, median(times[0]), median(times[1]),
               median(times[2]));
  }
}

int run_only(const std::string& name, std::size_t batches) {
  for (const char* traffic_name : kTraffics) {
    for (const Contender& contender : make_contenders()) {
      if (name != fmt::format("{}/{}", traffic_name, contender.name)) continue;
      const Traffic traffic = make_traffic(traffic_name);
      Runner runner(traffic);
      for (std::size_t i = 0; i < batches; ++i) runner.run_batch(contender, i);
      return 0;
    }
  }
  return 2;
}

void print_names() {
  for (const char* traffic : kTraffics) {
    for (const Contender& contender : make_contenders()) fmt::print("{}/{}\n", traffic, contender.name);
  }
}

}  // namespace
}  // namespace evenkeel

int main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "--list") {
    evenkeel::print_names();
    return 0;
  }
  if (argc == 4 && std::string(argv[1]) == "--only") return evenkeel::run_only(argv[2], std::stoul(argv[3]));
  evenkeel::print_table();
  return 0;
}
