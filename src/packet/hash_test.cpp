#include "packet/hash.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace evenkeel::packet {
namespace {

// A packet as it stands in the verification suite, brought into the key's canonical order.
struct Directed {
  ConnectionKey key;
  bool reversed = false;
};

struct Endpoint {
  std::string address;
  std::uint16_t port;
};

std::array<std::uint8_t, 16> address_bytes(const std::string& text) {
  std::array<std::uint8_t, 16> bytes{};
  const int family = text.find(':') == std::string::npos ? AF_INET : AF_INET6;
  EXPECT_EQ(inet_pton(family, text.c_str(), bytes.data()), 1) << text;
  return bytes;
}

std::array<std::uint8_t, 2> port_bytes(std::uint16_t port) {
  return {static_cast<std::uint8_t>(port >> 8), static_cast<std::uint8_t>(port)};
}

Directed directed(const Endpoint& source, const Endpoint& destination) {
  const auto from = std::pair(address_bytes(source.address), port_bytes(source.port));
  const auto to = std::pair(address_bytes(destination.address), port_bytes(destination.port));
  const bool reversed = to < from;
  const auto& [low, high] = reversed ? std::pair(to, from) : std::pair(from, to);
  ConnectionKey key;
  key.low_address = low.first;
  key.low_port = low.second;
  key.high_address = high.first;
  key.high_port = high.second;
  key.protocol = 6;
  key.ip_version = source.address.find(':') == std::string::npos ? 4 : 6;
  return {key, reversed};
}

std::uint32_t hash_with(const HashKernel& kernel, const HashState& state, const Directed& directed) {
  Packet packet;
  packet.key = directed.key;
  if (directed.reversed) packet.flags = Packet::kReversed;
  const std::array<Packet*, 1> batch = {&packet};
  kernel.batch(state, batch);
  return packet.hash;
}

struct Verification {
  Endpoint destination, source;
  std::uint32_t addresses, with_ports;
};

// Microsoft, "Verifying the RSS Hash Calculation".
const Verification kVerificationSuite[] = {
    {{"161.142.100.80", 1766}, {"66.9.149.187", 2794}, 0x323e8fc2, 0x51ccc178},
    {{"65.69.140.83", 4739}, {"199.92.111.2", 14230}, 0xd718262a, 0xc626b0ea},
    {{"12.22.207.184", 38024}, {"24.19.198.95", 12898}, 0xd2d0a5de, 0x5c2b394a},
    {{"209.142.163.6", 2217}, {"38.27.205.30", 48228}, 0x82989176, 0xafc7327f},
    {{"202.188.127.2", 1303}, {"153.39.163.191", 44251}, 0x5d1809c5, 0x10e828a2},
    {{"3ffe:2501:200:3::1", 1766}, {"3ffe:2501:200:1fff::7", 2794}, 0x2cc18cd5, 0x40207d3d},
    {{"ff02::1", 4739}, {"3ffe:501:8::260:97ff:fe40:efab", 14230}, 0x0f0c461c, 0xdde51bbf},
    {{"fe80::200:f8ff:fe21:67cf", 38024},
     {"3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251},
     0x4b61e985,
     0x02d1feef},
};

TEST(Hash, ToeplitzWithTheStandardKeyMatchesThePublishedVerificationSuite) {
  const Hasher hasher = *Hasher::make("toeplitz", "standard");
  for (const HashKernel& kernel : usable_kernels(hasher.state())) {
    for (const auto& [destination, source, addresses, with_ports] : kVerificationSuite) {
      SCOPED_TRACE(std::string(kernel.name) + " " + source.address);
      EXPECT_EQ(hash_with(kernel, hasher.state(), directed(source, destination)), with_ports);
      EXPECT_EQ(hash_with(kernel, hasher.state(), directed({source.address, 0}, {destination.address, 0})),
                addresses);
    }
  }
}

// Bit by bit, as the definition has it (RFC 3720, appendix B.4).
std::uint32_t crc32c_of(std::span<const std::uint8_t> bytes) {
  std::uint32_t crc = ~0u;
  for (const std::uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
  }
  return ~crc;
}

TEST(Hash, Crc32cIsTheChecksumOfAddressesAndPorts) {
  const std::string check = "123456789";
  ASSERT_EQ(crc32c_of({reinterpret_cast<const std::uint8_t*>(check.data()), check.size()}), 0xe3069283u);
  const Hasher hasher = *Hasher::make("crc32c", "");
  for (const auto& [destination, source, addresses, with_ports] : kVerificationSuite) {
    const Directed packet = directed(source, destination);
    const std::size_t size = packet.key.ip_version == 4 ? 4 : 16;
    std::vector<std::uint8_t> input;
    input.insert(input.end(), packet.key.low_address.begin(), packet.key.low_address.begin() + size);
    input.insert(input.end(), packet.key.high_address.begin(), packet.key.high_address.begin() + size);
    input.insert(input.end(), packet.key.low_port.begin(), packet.key.low_port.end());
    input.insert(input.end(), packet.key.high_port.begin(), packet.key.high_port.end());
    for (const HashKernel& kernel : usable_kernels(hasher.state())) {
      EXPECT_EQ(hash_with(kernel, hasher.state(), packet), crc32c_of(input)) << kernel.name;
    }
  }
}

ConnectionKey any_key() {
  ConnectionKey key;
  key.ip_version = *rc::gen::element<std::uint8_t>(4, 6);
  const auto size = key.ip_version == 4 ? 4u : 16u;
  for (std::size_t i = 0; i < size; ++i) key.low_address[i] = *rc::gen::arbitrary<std::uint8_t>();
  for (std::size_t i = 0; i < size; ++i) key.high_address[i] = *rc::gen::arbitrary<std::uint8_t>();
  key.low_port = *rc::gen::arbitrary<std::array<std::uint8_t, 2>>();
  key.high_port = *rc::gen::arbitrary<std::array<std::uint8_t, 2>>();
  return key;
}

// Any key, and a batch of any connections, as kernels take several at once: all ways to compute a hash agree
// with the slow one that is last, one packet at a time.
void expect_all_kernels_agree(const HashState& state) {
  const auto kernels = usable_kernels(state);
  std::vector<Packet> packets(*rc::gen::inRange<std::size_t>(1, 20));
  std::vector<Packet*> batch;
  std::vector<std::uint32_t> expected;
  for (Packet& packet : packets) {
    const Directed directed{any_key(), *rc::gen::arbitrary<bool>()};
    packet.key = directed.key;
    if (directed.reversed) packet.flags = Packet::kReversed;
    batch.push_back(&packet);
    expected.push_back(hash_with(kernels.back(), state, directed));
  }
  for (const HashKernel& kernel : kernels) {
    for (Packet& packet : packets) packet.hash = 0;
    kernel.batch(state, batch);
    for (std::size_t i = 0; i < packets.size(); ++i) RC_ASSERT(packets[i].hash == expected[i]);
  }
}

RC_GTEST_PROP(Hash, AllKernelsAgreeForAnyToeplitzKey, ()) {
  const auto size = *rc::gen::element(kToeplitzKeyMin, kToeplitzKeyMax);
  const auto key = *rc::gen::container<std::vector<std::uint8_t>>(size, rc::gen::arbitrary<std::uint8_t>());
  expect_all_kernels_agree(HashState::toeplitz(key));
}

RC_GTEST_PROP(Hash, AllKernelsAgreeForAnyKeyOfPeriodSixteen, ()) {
  std::array<std::uint8_t, kToeplitzKeyMin> key;
  const auto pair = *rc::gen::arbitrary<std::array<std::uint8_t, 2>>();
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = pair[i % 2];
  const HashState state = HashState::toeplitz(key);
  RC_ASSERT(state.symmetric);
  expect_all_kernels_agree(state);
}

RC_GTEST_PROP(Hash, AllKernelsAgreeForCrc32c, ()) { expect_all_kernels_agree(HashState::crc32c()); }

RC_GTEST_PROP(Hash, BothDirectionsHashAlikeExactlyWhereTheHasherSaysSo, ()) {
  const ConnectionKey key = any_key();
  for (const auto& [name, toeplitz_key] : {std::pair("toeplitz", ""), std::pair("crc32c", "")}) {
    const Hasher hasher = *Hasher::make(name, toeplitz_key);
    RC_ASSERT(hasher.symmetric());
    RC_ASSERT(hasher.hash_one(key, false) == hasher.hash_one(key, true));
  }
  RC_ASSERT(!Hasher::make("toeplitz", "standard")->symmetric());
}

TEST(Hash, TheSymmetricKeyReachesEveryBucketUpTo65536) {
  const Hasher hasher = *Hasher::make("toeplitz", "symmetric");
  std::vector<bool> reached(65'536);
  ConnectionKey key;
  key.ip_version = 4;
  for (int port = 0; port < 65'536; ++port) {
    key.low_port = port_bytes(static_cast<std::uint16_t>(port));
    reached[hasher.hash_one(key, false) & 0xffff] = true;
  }
  EXPECT_EQ(std::count(reached.begin(), reached.end(), true), 65'536);
}

TEST(Hash, AKeyInHexadecimalDigitsIsTheSameAsItsName) {
  std::string digits, with_colons;
  for (int i = 0; i < 20; ++i) digits += "6D5a";
  for (int i = 0; i < 20; ++i) with_colons += i == 0 ? "6d:5a" : ":6d:5a";
  for (const std::string& key : {digits, with_colons}) {
    const auto hasher = Hasher::make("toeplitz", key);
    ASSERT_TRUE(hasher.ok()) << hasher.error().message;
    EXPECT_EQ(hasher->state().key, Hasher::make("toeplitz", "symmetric")->state().key);
  }
}

TEST(Hash, WrongNamesAndKeysAreUsageErrorsThatSayWhatIsRight) {
  for (const auto& [name, key] :
       {std::pair("xxh3", ""), std::pair("crc32c", "symmetric"), std::pair("toeplitz", "6d5a"),
        std::pair("toeplitz", "nonsense"), std::pair("toeplitz", "6d5")}) {
    const auto hasher = Hasher::make(name, key);
    ASSERT_FALSE(hasher.ok()) << name << " " << key;
    EXPECT_EQ(hasher.error().kind, ErrorKind::kUsage);
    EXPECT_THAT(hasher.error().message,
                testing::AnyOf(testing::HasSubstr("toeplitz"), testing::HasSubstr("symmetric")));
  }
}

}  // namespace
}  // namespace evenkeel::packet
