#include "packet/hash.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace evenkeel::packet {
namespace {

// The key of Microsoft's RSS verification suite, which most drivers' documentation repeats.
constexpr std::array<std::uint8_t, kToeplitzKeyMin> kStandardKey = {
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

constexpr std::array<std::uint8_t, kToeplitzKeyMin> symmetric_key() {
  std::array<std::uint8_t, kToeplitzKeyMin> key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = i % 2 == 0 ? 0x6d : 0x5a;
  return key;
}

std::optional<int> digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

std::optional<std::vector<std::uint8_t>> from_hex(std::string_view text) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < text.size();) {
    if (i != 0 && text[i] == ':') ++i;
    if (i + 2 > text.size()) return std::nullopt;
    const auto high = digit_value(text[i]), low = digit_value(text[i + 1]);
    if (!high || !low) return std::nullopt;
    bytes.push_back(static_cast<std::uint8_t>(*high << 4 | *low));
    i += 2;
  }
  return bytes;
}

Result<HashState> toeplitz_state(std::string_view key) {
  if (key.empty() || key == "symmetric") return HashState::toeplitz(symmetric_key());
  if (key == "standard") return HashState::toeplitz(kStandardKey);
  const auto bytes = from_hex(key);
  if (!bytes || (bytes->size() != kToeplitzKeyMin && bytes->size() != kToeplitzKeyMax)) {
    return usage_error(fmt::format(
        "hash key '{}' is neither symmetric nor standard nor 40 or 52 bytes in hexadecimal digits", key));
  }
  if (std::all_of(bytes->begin(), bytes->end(), [](std::uint8_t byte) { return byte == 0; }))
    return usage_error("a hash key of zeros gives every connection the same hash: give it some ones");
  return HashState::toeplitz(*bytes);
}

Result<HashState> state_for(std::string_view name, std::string_view key) {
  if (name == "toeplitz") return toeplitz_state(key);
  if (name != "crc32c") return usage_error(fmt::format("no hash '{}': there are toeplitz and crc32c", name));
  if (!key.empty()) return usage_error("hash crc32c takes no key: leave it out, or use toeplitz");
  return HashState::crc32c();
}

}  // namespace

Result<Hasher> Hasher::make(std::string_view name, std::string_view key) {
  auto state = state_for(name, key);
  if (!state) return state.error();
  const HashBatch batch = usable_kernels(*state).front().batch;
  return Hasher(std::make_shared<const HashState>(std::move(*state)), batch);
}

std::uint32_t Hasher::hash_one(const ConnectionKey& key, bool reversed) const {
  Packet packet;
  packet.key = key;
  packet.flags = reversed ? std::uint8_t{Packet::kReversed} : std::uint8_t{0};
  const std::array<Packet*, 1> batch = {&packet};
  hash(batch);
  return packet.hash;
}

}  // namespace evenkeel::packet
