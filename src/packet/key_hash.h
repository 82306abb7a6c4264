// A fast seeded hash of a ConnectionKey, for tables that hold connections. Independent of the hash that picks
// the bucket: keys of one bucket, whose bucket hashes share their low bits, are spread over all 64 bits here.
//
// Method: multiply two 64-bit words to 128 bits and add the halves (xor), as wyhash does. The seed is secret
// to the process where keys come from strangers: without it collisions cannot be made to order cheaply.
// IPv4 keys hash only the bytes that can differ. Not stable between machines of different byte order: never
// store it.
//
// Thread: [any]. Cost: IPv4 two multiplications, IPv6 three.
#pragma once

#include <cstdint>
#include <cstring>

#include "evenkeel/packet.h"

namespace evenkeel::packet {

namespace detail {

inline std::uint64_t word_at(const std::uint8_t* from) {
  std::uint64_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

inline std::uint32_t half_word_at(const std::uint8_t* from) {
  std::uint32_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

inline std::uint64_t multiply_fold(std::uint64_t a, std::uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Odd numbers with about as many ones as zeros, from wyhash (Wang Yi, public domain).
inline constexpr std::uint64_t kMixOne = 0x2d358dccaa6c78a5;
inline constexpr std::uint64_t kMixTwo = 0x8bb84b93962eacc9;
inline constexpr std::uint64_t kMixThree = 0x4b33a62ed433d4a3;

}  // namespace detail

inline std::uint64_t key_hash(const ConnectionKey& key, std::uint64_t seed) {
  using namespace detail;
  const std::uint64_t tail = word_at(key.low_port.data());  // ports, protocol, version, reserved
  if (key.ip_version == 4) {
    const std::uint64_t addresses =
        half_word_at(key.low_address.data()) | std::uint64_t{half_word_at(key.high_address.data())} << 32;
    return multiply_fold(multiply_fold(addresses ^ kMixOne, tail ^ seed) ^ seed, kMixTwo);
  }
  const std::uint8_t* const low = key.low_address.data();
  const std::uint8_t* const high = key.high_address.data();
  const std::uint64_t first = multiply_fold(word_at(low) ^ kMixOne, word_at(low + 8) ^ seed);
  const std::uint64_t second = multiply_fold(word_at(high) ^ kMixTwo, word_at(high + 8) ^ ~seed);
  return multiply_fold(first ^ second ^ kMixThree, tail ^ seed);
}

}  // namespace evenkeel::packet
