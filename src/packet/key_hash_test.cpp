#include "packet/key_hash.h"

#include <gtest/gtest.h>

#include <cmath>
#include <unordered_set>
#include <vector>

namespace evenkeel::packet {
namespace {

ConnectionKey key_of(std::uint8_t version, std::uint32_t low, std::uint32_t high, std::uint16_t low_port) {
  ConnectionKey key;
  key.ip_version = version;
  key.protocol = 6;
  const std::size_t at = version == 4 ? 0 : 12;
  for (std::size_t i = 0; i < 4; ++i) {
    key.low_address[at + i] = static_cast<std::uint8_t>(low >> (24 - 8 * i));
    key.high_address[at + i] = static_cast<std::uint8_t>(high >> (24 - 8 * i));
  }
  key.low_port = {static_cast<std::uint8_t>(low_port >> 8), static_cast<std::uint8_t>(low_port)};
  key.high_port = {1, 187};
  return key;
}

// Neighbouring addresses and ports, as real networks have them.
std::vector<std::uint64_t> hashes_of_neighbours(std::uint8_t version, std::uint64_t seed) {
  std::vector<std::uint64_t> hashes;
  for (std::uint32_t host = 0; host < 64; ++host) {
    for (std::uint32_t server = 0; server < 32; ++server) {
      for (std::uint16_t port = 0; port < 64; ++port) {
        const auto key = key_of(version, 0x0a000000u + host, 0xc0a80000u + server,
                                static_cast<std::uint16_t>(32'768 + port));
        hashes.push_back(key_hash(key, seed));
      }
    }
  }
  return hashes;
}

TEST(KeyHash, NeighbouringKeysDoNotCollide) {
  for (const std::uint8_t version : {4, 6}) {
    const auto hashes = hashes_of_neighbours(version, 1);
    EXPECT_EQ(std::unordered_set<std::uint64_t>(hashes.begin(), hashes.end()).size(), hashes.size());
  }
}

TEST(KeyHash, LowAndHighBitsSpreadNeighboursEvenly) {
  constexpr std::size_t kSlots = 4'096;
  for (const std::uint8_t version : {4, 6}) {
    for (const int shift : {0, 20, 52}) {
      std::vector<double> counts(kSlots);
      const auto hashes = hashes_of_neighbours(version, 7);
      for (const std::uint64_t hash : hashes) ++counts[(hash >> shift) % kSlots];
      const double mean = static_cast<double>(hashes.size()) / kSlots;
      double chi_square = 0;
      for (const double count : counts) chi_square += (count - mean) * (count - mean) / mean;
      // Mean kSlots - 1, standard deviation sqrt(2 * kSlots): six of these either way never happen by chance.
      EXPECT_NEAR(chi_square, kSlots - 1, 6 * std::sqrt(2.0 * kSlots))
          << "version " << int{version} << " shift " << shift;
    }
  }
}

TEST(KeyHash, AnotherSeedGivesAnotherHash) {
  const auto key = key_of(4, 1, 2, 3);
  EXPECT_NE(key_hash(key, 1), key_hash(key, 2));
}

}  // namespace
}  // namespace evenkeel::packet
