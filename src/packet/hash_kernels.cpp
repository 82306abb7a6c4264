#include "packet/hash_kernels.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace evenkeel::packet {
namespace {

template <typename Word>
Word load(const void* from) {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

// Windows of `bits` bits of the key from bit `position` on, first bit highest.
std::uint64_t key_window(std::span<const std::uint8_t> key, std::size_t position, int bits) {
  std::uint64_t window = 0;
  for (int i = 0; i < bits; ++i, ++position) {
    window = window << 1 | ((key[position / 8] >> (7 - position % 8)) & 1u);
  }
  return window;
}

// A key whose bits repeat every 16: swapping addresses or ports, which lie a multiple of 16 bits apart, does
// not change the hash.
bool repeats_every_16_bits(std::span<const std::uint8_t> key) {
  for (std::size_t i = 2; i < kToeplitzKeyMin; ++i) {
    if (key[i] != key[i % 2]) return false;
  }
  return true;
}

std::array<std::uint32_t, 256> byte_table(std::span<const std::uint8_t> key, std::size_t byte) {
  std::array<std::uint32_t, 256> table{};
  for (std::size_t value = 0; value < table.size(); ++value) {
    for (std::size_t bit = 0; bit < 8; ++bit) {
      if ((value >> (7 - bit)) & 1)
        table[value] ^= static_cast<std::uint32_t>(key_window(key, byte * 8 + bit, 32));
    }
  }
  return table;
}

// The bytes that a network card hashes: source and destination address, source and destination port.
struct Input {
  std::array<std::uint8_t, kHashInputMax> bytes;
  std::size_t size;
};

Input input_of(const Packet& packet) {
  Input input;
  const std::size_t address = packet.key.ip_version == 4 ? 4 : 16;
  const bool reversed = packet.reversed();
  const auto& key = packet.key;
  std::memcpy(input.bytes.data(), (reversed ? key.high_address : key.low_address).data(), address);
  std::memcpy(input.bytes.data() + address, (reversed ? key.low_address : key.high_address).data(), address);
  std::memcpy(input.bytes.data() + 2 * address, (reversed ? key.high_port : key.low_port).data(), 2);
  std::memcpy(input.bytes.data() + 2 * address + 2, (reversed ? key.low_port : key.high_port).data(), 2);
  input.size = 2 * address + 4;
  return input;
}

// Portable: one table look-up for each byte.
void toeplitz_tables(const HashState& state, std::span<Packet* const> packets) {
  for (Packet* packet : packets) {
    const Input input = input_of(*packet);
    std::uint32_t hash = 0;
    for (std::size_t i = 0; i < input.size; ++i) hash ^= state.byte_tables[i][input.bytes[i]];
    packet->hash = hash;
  }
}

// All 16-bit words of the input meet the same key bits when these repeat every 16: they can be added (xor)
// first. Unused address bytes of IPv4 are zero and add nothing.
inline std::uint16_t fold(const ConnectionKey& key) {
  const std::uint64_t words =
      load<std::uint64_t>(key.low_address.data()) ^ load<std::uint64_t>(key.low_address.data() + 8) ^
      load<std::uint64_t>(key.high_address.data()) ^ load<std::uint64_t>(key.high_address.data() + 8) ^
      load<std::uint32_t>(key.low_port.data());
  const auto half = static_cast<std::uint32_t>(words ^ words >> 32);
  return static_cast<std::uint16_t>(half ^ half >> 16);
}

// Portable: the folded word by two table look-ups.
void symmetric_tables(const HashState& state, std::span<Packet* const> packets) {
  const auto& first = state.byte_tables[0];
  const auto& second = state.byte_tables[1];
  for (Packet* packet : packets) {
    const std::uint16_t word = fold(packet->key);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&word);
    packet->hash = first[bytes[0]] ^ second[bytes[1]];
  }
}

constexpr std::array<std::uint32_t, 256> crc32c_table() {
  constexpr std::uint32_t kReversedPolynomial = 0x82f6'3b78;
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t value = 0; value < table.size(); ++value) {
    std::uint32_t crc = value;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? crc >> 1 ^ kReversedPolynomial : crc >> 1;
    table[value] = crc;
  }
  return table;
}

// Portable. The key's own order of endpoints: both directions have the same bytes.
void crc32c_tables(const HashState&, std::span<Packet* const> packets) {
  static constexpr auto kTable = crc32c_table();
  for (Packet* packet : packets) {
    Packet forward;
    forward.key = packet->key;
    const Input input = input_of(forward);
    std::uint32_t crc = ~0u;
    for (std::size_t i = 0; i < input.size; ++i) crc = crc >> 8 ^ kTable[(crc ^ input.bytes[i]) & 255];
    packet->hash = ~crc;
  }
}

#if defined(__x86_64__)

#define EVENKEEL_CLMUL __attribute__((target("pclmul,sse4.2")))

// The Toeplitz hash of a 32-bit word is the middle of its carry-less product with the 64 bits of the key that
// it meets, when the word's first bit stands lowest. Loaded as little-endian, bytes stand in that order
// already; the bits within each must be turned around.
EVENKEEL_CLMUL inline __m128i reverse_bits_of_bytes(__m128i bytes) {
  const __m128i low_nibbles = _mm_set1_epi8(0x0f);
  const __m128i of_low =
      _mm_setr_epi8(0, -128, 64, -64, 32, -96, 96, -32, 16, -112, 80, -48, 48, -80, 112, -16);
  const __m128i of_high = _mm_setr_epi8(0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15);
  const __m128i low = _mm_and_si128(bytes, low_nibbles);
  const __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), low_nibbles);
  return _mm_or_si128(_mm_shuffle_epi8(of_low, low), _mm_shuffle_epi8(of_high, high));
}

// Two 32-bit words at once: the lower two of `words`, by two windows.
EVENKEEL_CLMUL inline __m128i multiply_two(__m128i words, __m128i windows) {
  const __m128i wide = _mm_cvtepu32_epi64(words);
  return _mm_xor_si128(_mm_clmulepi64_si128(wide, windows, 0x00), _mm_clmulepi64_si128(wide, windows, 0x11));
}

EVENKEEL_CLMUL inline __m128i windows_at(const HashState& state, std::size_t word) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(&state.windows[word]));
}

EVENKEEL_CLMUL inline std::uint32_t middle(__m128i product) {
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(_mm_cvtsi128_si64(product)) >> 32);
}

// Source port, destination port.
inline std::uint32_t own_ports(const ConnectionKey& key, bool reversed) {
  const auto ports = load<std::uint32_t>(key.low_port.data());
  return reversed ? ports << 16 | ports >> 16 : ports;
}

EVENKEEL_CLMUL inline __m128i product_ipv4(const HashState& state, const ConnectionKey& key, bool reversed) {
  const auto low = load<std::uint32_t>(key.low_address.data());
  const auto high = load<std::uint32_t>(key.high_address.data());
  const std::uint64_t addresses =
      reversed ? std::uint64_t{low} << 32 | high : std::uint64_t{high} << 32 | low;
  const __m128i input = _mm_insert_epi32(_mm_cvtsi64_si128(static_cast<long long>(addresses)),
                                         static_cast<int>(own_ports(key, reversed)), 2);
  const __m128i words = reverse_bits_of_bytes(input);
  const __m128i ports = _mm_srli_si128(words, 8);
  return _mm_xor_si128(multiply_two(words, windows_at(state, 0)),
                       _mm_clmulepi64_si128(ports, windows_at(state, 2), 0x00));
}

EVENKEEL_CLMUL inline __m128i product_address(const HashState& state, const std::uint8_t* address,
                                              std::size_t word) {
  const __m128i words = reverse_bits_of_bytes(_mm_loadu_si128(reinterpret_cast<const __m128i*>(address)));
  return _mm_xor_si128(multiply_two(words, windows_at(state, word)),
                       multiply_two(_mm_srli_si128(words, 8), windows_at(state, word + 2)));
}

EVENKEEL_CLMUL inline __m128i product_ipv6(const HashState& state, const ConnectionKey& key, bool reversed) {
  const auto& source = reversed ? key.high_address : key.low_address;
  const auto& destination = reversed ? key.low_address : key.high_address;
  const __m128i ports = reverse_bits_of_bytes(_mm_cvtsi32_si128(static_cast<int>(own_ports(key, reversed))));
  const __m128i window = _mm_cvtsi64_si128(static_cast<long long>(state.windows[8]));
  const __m128i addresses =
      _mm_xor_si128(product_address(state, source.data(), 0), product_address(state, destination.data(), 4));
  return _mm_xor_si128(addresses, _mm_clmulepi64_si128(ports, window, 0x00));
}

EVENKEEL_CLMUL void toeplitz_multiply(const HashState& state, std::span<Packet* const> packets) {
  for (Packet* packet : packets) {
    const ConnectionKey& key = packet->key;
    const bool reversed = packet->reversed();
    packet->hash =
        middle(key.ip_version == 4 ? product_ipv4(state, key, reversed) : product_ipv6(state, key, reversed));
  }
}

#endif

#if defined(__SSE4_2__)

void crc32c_instruction(const HashState&, std::span<Packet* const> packets) {
  for (Packet* packet : packets) {
    const ConnectionKey& key = packet->key;
    std::uint64_t crc = ~0u;
    if (key.ip_version == 4) {
      const auto low = load<std::uint32_t>(key.low_address.data());
      const auto high = load<std::uint32_t>(key.high_address.data());
      crc = _mm_crc32_u64(crc, std::uint64_t{high} << 32 | low);
    } else {
      for (std::size_t i = 0; i < 16; i += 8)
        crc = _mm_crc32_u64(crc, load<std::uint64_t>(&key.low_address[i]));
      for (std::size_t i = 0; i < 16; i += 8)
        crc = _mm_crc32_u64(crc, load<std::uint64_t>(&key.high_address[i]));
    }
    packet->hash = ~_mm_crc32_u32(static_cast<std::uint32_t>(crc), load<std::uint32_t>(key.low_port.data()));
  }
}

#endif

}  // namespace

HashState HashState::toeplitz(std::span<const std::uint8_t> key) {
  CHECK(key.size() >= kToeplitzKeyMin && key.size() <= kToeplitzKeyMax);
  HashState state;
  std::copy(key.begin(), key.end(), state.key.begin());
  state.symmetric = repeats_every_16_bits(key);
  for (std::size_t i = 0; i < state.windows.size(); ++i) state.windows[i] = key_window(key, 32 * i, 64);
  for (std::size_t i = 0; i < kHashInputMax; ++i) state.byte_tables.push_back(byte_table(key, i));
  return state;
}

HashState HashState::crc32c() {
  HashState state;
  state.function = HashFunction::kCrc32c;
  state.symmetric = true;
  return state;
}

std::vector<HashKernel> usable_kernels(const HashState& state) {
  std::vector<HashKernel> kernels;
  if (state.function == HashFunction::kCrc32c) {
#if defined(__SSE4_2__)
    kernels.push_back({"crc32c_instruction", crc32c_instruction});
#endif
    kernels.push_back({"crc32c_tables", crc32c_tables});
    return kernels;
  }
  if (state.symmetric) kernels.push_back({"symmetric_tables", symmetric_tables});
#if defined(__x86_64__)
  if (__builtin_cpu_supports("pclmul")) kernels.push_back({"toeplitz_multiply", toeplitz_multiply});
#endif
  kernels.push_back({"toeplitz_tables", toeplitz_tables});
  return kernels;
}

}  // namespace evenkeel::packet
