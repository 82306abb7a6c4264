// The ways to compute each hash: portable ones, and ones for instructions that not every machine has. All of
// one function give the same numbers. For Hasher, its tests and its benchmark.
//
// Methods: docs/decisions/hash.md.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "evenkeel/packet.h"

namespace evenkeel::packet {

enum class HashFunction : std::uint8_t { kToeplitz, kCrc32c };

// Source and destination addresses of IPv6 and two ports; IPv4 uses the first 12 bytes.
inline constexpr std::size_t kHashInputMax = 36;
inline constexpr std::size_t kToeplitzKeyMin = kHashInputMax + 4;
inline constexpr std::size_t kToeplitzKeyMax = 52;

using ToeplitzKey = std::array<std::uint8_t, kToeplitzKeyMax>;

// What a hash needs besides its input. For Toeplitz: what each value of each input byte contributes, and the
// 64 bits of the key that each 32-bit word of the input meets (first bit lowest).
struct HashState {
  HashFunction function = HashFunction::kToeplitz;
  bool symmetric = false;  // both directions have the same hash
  ToeplitzKey key{};       // the bytes behind the 40th do not reach the result
  std::array<std::uint64_t, kHashInputMax / 4> windows{};
  std::vector<std::array<std::uint32_t, 256>> byte_tables;
  // For a symmetric key: what each value of each nibble of the folded word contributes, lowest nibble first;
  // the low bytes of that, then the high ones. (Both halves of the hash are alike.)
  std::array<std::array<std::uint8_t, 16>, 8> nibble_tables{};

  // From a key of at least kToeplitzKeyMin bytes.
  static HashState toeplitz(std::span<const std::uint8_t> key);
  static HashState crc32c();
};

using HashBatch = void (*)(const HashState&, std::span<Packet* const>);

struct HashKernel {
  const char* name;
  HashBatch batch;
};

// The kernels that compute this hash on this machine, fastest first; the last is portable.
std::vector<HashKernel> usable_kernels(const HashState& state);

}  // namespace evenkeel::packet
