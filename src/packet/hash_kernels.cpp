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

bool key_bit(std::span<const std::uint8_t> key, std::size_t position) {
  return ((key[position / 8] >> (7 - position % 8)) & 1) != 0;
}

// The 32 bits of the key from `position` on, first bit highest: what a 1 at this place of the input adds.
std::uint32_t key_word(std::span<const std::uint8_t> key, std::size_t position) {
  std::uint32_t word = 0;
  for (std::size_t i = 0; i < 32; ++i) word = word << 1 | (key_bit(key, position + i) ? 1u : 0u);
  return word;
}

// The 64 bits of the key from `position` on, first bit lowest.
std::uint64_t key_window(std::span<const std::uint8_t> key, std::size_t position) {
  std::uint64_t window = 0;
  for (std::size_t i = 0; i < 64; ++i) window |= std::uint64_t{key_bit(key, position + i)} << i;
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
  for (std::size_t bit = 0; bit < 8; ++bit) table[std::size_t{128} >> bit] = key_word(key, byte * 8 + bit);
  // Of several bits: the lowest, and the others together.
  for (std::size_t value = 1; value < table.size(); ++value)
    table[value] = table[value & (~value + 1)] ^ table[value & (value - 1)];
  return table;
}

// What a network card hashes, in its order: source and destination address, source and destination port.
struct Input {
  const std::uint8_t* source;
  const std::uint8_t* destination;
  const std::uint8_t* source_port;
  const std::uint8_t* destination_port;
};

Input input_of(const ConnectionKey& key, bool reversed) {
  const Input forward{key.low_address.data(), key.high_address.data(), key.low_port.data(),
                      key.high_port.data()};
  if (!reversed) return forward;
  return {forward.destination, forward.source, forward.destination_port, forward.source_port};
}

using ByteTable = std::array<std::uint32_t, 256>;

template <std::size_t Size>
std::uint32_t look_up(const ByteTable* tables, const std::uint8_t* bytes) {
  std::uint32_t hash = 0;
  for (std::size_t i = 0; i < Size; ++i) hash ^= tables[i][bytes[i]];
  return hash;
}

template <std::size_t AddressSize>
std::uint32_t look_up_all(const ByteTable* tables, const Input& input) {
  const ByteTable* const ports = tables + 2 * AddressSize;
  return look_up<AddressSize>(tables, input.source) ^
         look_up<AddressSize>(tables + AddressSize, input.destination) ^
         look_up<2>(ports, input.source_port) ^ look_up<2>(ports + 2, input.destination_port);
}

// Portable: one table look-up for each byte.
void toeplitz_tables(const HashState& state, std::span<Packet* const> packets) {
  const ByteTable* const tables = state.byte_tables.data();
  for (Packet* packet : packets) {
    const Input input = input_of(packet->key, packet->reversed());
    packet->hash =
        packet->key.ip_version == 4 ? look_up_all<4>(tables, input) : look_up_all<16>(tables, input);
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

std::uint32_t add_to_crc32c(std::uint32_t crc, const std::uint8_t* bytes, std::size_t size) {
  static constexpr auto kTable = crc32c_table();
  for (std::size_t i = 0; i < size; ++i) crc = crc >> 8 ^ kTable[(crc ^ bytes[i]) & 255];
  return crc;
}

// Portable. The key's own order of endpoints: both directions have the same bytes.
void crc32c_tables(const HashState&, std::span<Packet* const> packets) {
  for (Packet* packet : packets) {
    const Input input = input_of(packet->key, false);
    const std::size_t address = packet->key.ip_version == 4 ? 4 : 16;
    std::uint32_t crc = add_to_crc32c(~0u, input.source, address);
    crc = add_to_crc32c(crc, input.destination, address);
    packet->hash = ~add_to_crc32c(add_to_crc32c(crc, input.source_port, 2), input.destination_port, 2);
  }
}

#if defined(__x86_64__)

// AVX only for its instructions of three operands, and for operands in memory that need no alignment.
#define EVENKEEL_AVX __attribute__((target("avx")))

EVENKEEL_AVX inline __m128i load_words(const void* from) {
  return _mm_loadu_si128(static_cast<const __m128i*>(from));
}

EVENKEEL_AVX inline __m128i add_addresses(const ConnectionKey& key) {
  return _mm_xor_si128(load_words(key.low_address.data()), load_words(key.high_address.data()));
}

// The ports of a key, as one word.
EVENKEEL_AVX inline int ports_of(const Packet* packet) { return load<int>(packet->key.low_port.data()); }

// The folded words of four packets (see fold()), each in the lower half of a word of 32 bits.
EVENKEEL_AVX inline __m128i fold_four(Packet* const* packets) {
  const __m128i a = add_addresses(packets[0]->key), b = add_addresses(packets[1]->key);
  const __m128i c = add_addresses(packets[2]->key), d = add_addresses(packets[3]->key);
  const __m128i ab = _mm_xor_si128(_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
  const __m128i cd = _mm_xor_si128(_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
  __m128i ports = _mm_cvtsi32_si128(ports_of(packets[0]));
  ports = _mm_insert_epi32(ports, ports_of(packets[1]), 1);
  ports = _mm_insert_epi32(ports, ports_of(packets[2]), 2);
  ports = _mm_insert_epi32(ports, ports_of(packets[3]), 3);
  const __m128i addresses = _mm_xor_si128(_mm_unpacklo_epi64(ab, cd), _mm_unpackhi_epi64(ab, cd));
  const __m128i words = _mm_xor_si128(addresses, ports);
  return _mm_and_si128(_mm_xor_si128(words, _mm_srli_epi32(words, 16)), _mm_set1_epi32(0xffff));
}

// Of eight words at once what one of their nibbles contributes; `table` gives low bytes or high bytes.
EVENKEEL_AVX inline __m128i look_up_nibbles(const HashState& state, std::size_t table,
                                            const std::array<__m128i, 4>& nibbles) {
  __m128i sum = _mm_shuffle_epi8(load_words(state.nibble_tables[table].data()), nibbles[0]);
  for (std::size_t i = 1; i < nibbles.size(); ++i) {
    const __m128i values = load_words(state.nibble_tables[table + i].data());
    sum = _mm_xor_si128(sum, _mm_shuffle_epi8(values, nibbles[i]));
  }
  return sum;
}

EVENKEEL_AVX inline void store_four(Packet* const* packets, __m128i hashes) {
  packets[0]->hash = static_cast<std::uint32_t>(_mm_cvtsi128_si32(hashes));
  packets[1]->hash = static_cast<std::uint32_t>(_mm_extract_epi32(hashes, 1));
  packets[2]->hash = static_cast<std::uint32_t>(_mm_extract_epi32(hashes, 2));
  packets[3]->hash = static_cast<std::uint32_t>(_mm_extract_epi32(hashes, 3));
}

// Eight packets at once: their folded words side by side, and each nibble by a byte shuffle. The upper byte
// of each lane is no nibble; it looks up what 0 contributes, which is nothing.
EVENKEEL_AVX inline void hash_eight(const HashState& state, Packet* const* packets) {
  const __m128i words = _mm_packus_epi32(fold_four(packets), fold_four(packets + 4));
  const __m128i low_nibble = _mm_set1_epi16(0xf);
  const std::array<__m128i, 4> nibbles = {
      _mm_and_si128(words, low_nibble), _mm_and_si128(_mm_srli_epi16(words, 4), low_nibble),
      _mm_and_si128(_mm_srli_epi16(words, 8), low_nibble), _mm_srli_epi16(words, 12)};
  const __m128i high_bytes = _mm_slli_epi16(look_up_nibbles(state, 4, nibbles), 8);
  const __m128i halves = _mm_or_si128(look_up_nibbles(state, 0, nibbles), high_bytes);
  store_four(packets, _mm_unpacklo_epi16(halves, halves));
  store_four(packets + 4, _mm_unpackhi_epi16(halves, halves));
}

EVENKEEL_AVX void symmetric_shuffle(const HashState& state, std::span<Packet* const> packets) {
  std::size_t i = 0;
  for (; i + 8 <= packets.size(); i += 8) hash_eight(state, &packets[i]);
  symmetric_tables(state, packets.subspan(i));
}

// Every processor with pclmul but the first has AVX.
#define EVENKEEL_CLMUL __attribute__((target("pclmul,avx")))

// The Toeplitz hash of a 32-bit word x is the middle (bits 31 to 62) of its carry-less product with the 64
// bits of the key that it meets, where x has its first bit highest and the key its first bit lowest: bit 31+j
// is then the sum of all x_i * key_(i+j). It comes out with its first bit lowest, so results are turned
// around, four at a time.
EVENKEEL_CLMUL inline __m128i reverse_bits_of_words(__m128i words) {
  const __m128i low_nibbles = _mm_set1_epi8(0x0f);
  const __m128i bytes_reversed = _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
  const __m128i of_low =
      _mm_setr_epi8(0, -128, 64, -64, 32, -96, 96, -32, 16, -112, 80, -48, 48, -80, 112, -16);
  const __m128i of_high = _mm_setr_epi8(0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15);
  const __m128i bytes = _mm_shuffle_epi8(words, bytes_reversed);
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

// From low address, high address, low port, high port to words in the packet's own direction, each with its
// first bit highest. The second order is that of reversed packets.
alignas(16) constexpr std::int8_t kOwnOrder[2][16] = {
    {3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, -1, -1, -1, -1},
    {7, 6, 5, 4, 3, 2, 1, 0, 9, 8, 11, 10, -1, -1, -1, -1},
};

EVENKEEL_CLMUL inline __m128i own_words(const ConnectionKey& key, bool reversed) {
  __m128i words = _mm_cvtsi32_si128(load<int>(key.low_address.data()));
  words = _mm_insert_epi32(words, load<int>(key.high_address.data()), 1);
  words = _mm_insert_epi32(words, load<int>(key.low_port.data()), 2);
  return _mm_shuffle_epi8(words, load_words(kOwnOrder[reversed ? 1 : 0]));
}

EVENKEEL_CLMUL inline __m128i product_ipv4(const HashState& state, const ConnectionKey& key, bool reversed) {
  const __m128i words = own_words(key, reversed);
  const __m128i ports = _mm_srli_si128(words, 8);
  return _mm_xor_si128(multiply_two(words, windows_at(state, 0)),
                       _mm_clmulepi64_si128(ports, windows_at(state, 2), 0x00));
}

EVENKEEL_CLMUL inline __m128i product_address(const HashState& state, const std::uint8_t* address,
                                              std::size_t word) {
  const __m128i first_bits_high = _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
  const __m128i words = _mm_shuffle_epi8(load_words(address), first_bits_high);
  return _mm_xor_si128(multiply_two(words, windows_at(state, word)),
                       multiply_two(_mm_srli_si128(words, 8), windows_at(state, word + 2)));
}

EVENKEEL_CLMUL __m128i product_ipv6(const HashState& state, const ConnectionKey& key, bool reversed) {
  const Input input = input_of(key, reversed);
  const __m128i ports = _mm_srli_si128(own_words(key, reversed), 8);
  const __m128i window = _mm_cvtsi64_si128(static_cast<long long>(state.windows[8]));
  const __m128i addresses =
      _mm_xor_si128(product_address(state, input.source, 0), product_address(state, input.destination, 4));
  return _mm_xor_si128(addresses, _mm_clmulepi64_si128(ports, window, 0x00));
}

// The middle of the product, in the lower half of the lower half.
EVENKEEL_CLMUL inline __m128i middle(const HashState& state, const Packet& packet) {
  const bool reversed = packet.reversed();
  const __m128i product = packet.key.ip_version == 4 ? product_ipv4(state, packet.key, reversed)
                                                     : product_ipv6(state, packet.key, reversed);
  return _mm_srli_epi64(product, 31);
}

EVENKEEL_CLMUL inline void hash_four(const HashState& state, Packet* const* packets) {
  const __m128i first = _mm_unpacklo_epi32(middle(state, *packets[0]), middle(state, *packets[1]));
  const __m128i second = _mm_unpacklo_epi32(middle(state, *packets[2]), middle(state, *packets[3]));
  const __m128i hashes = reverse_bits_of_words(_mm_unpacklo_epi64(first, second));
  store_four(packets, hashes);
}

EVENKEEL_CLMUL void toeplitz_multiply(const HashState& state, std::span<Packet* const> packets) {
  std::size_t i = 0;
  for (; i + 4 <= packets.size(); i += 4) hash_four(state, &packets[i]);
  for (; i < packets.size(); ++i) {
    const __m128i hash = reverse_bits_of_words(middle(state, *packets[i]));
    packets[i]->hash = static_cast<std::uint32_t>(_mm_cvtsi128_si32(hash));
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
  for (std::size_t i = 0; i < state.windows.size(); ++i) state.windows[i] = key_window(key, 32 * i);
  for (std::size_t i = 0; i < kHashInputMax; ++i) state.byte_tables.push_back(byte_table(key, i));
  for (std::size_t i = 0; i < 4 * 16; ++i) {
    const std::uint32_t part = state.byte_tables[i / 32][i / 16 % 2 == 0 ? i % 16 : i % 16 * 16];
    state.nibble_tables[i / 16][i % 16] = static_cast<std::uint8_t>(part);
    state.nibble_tables[4 + i / 16][i % 16] = static_cast<std::uint8_t>(part >> 8);
  }
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
#if defined(__x86_64__)
  if (state.symmetric && __builtin_cpu_supports("avx"))
    kernels.push_back({"symmetric_shuffle", symmetric_shuffle});
#endif
  if (state.symmetric) kernels.push_back({"symmetric_tables", symmetric_tables});
#if defined(__x86_64__)
  if (__builtin_cpu_supports("pclmul") && __builtin_cpu_supports("avx"))
    kernels.push_back({"toeplitz_multiply", toeplitz_multiply});
#endif
  kernels.push_back({"toeplitz_tables", toeplitz_tables});
  return kernels;
}

}  // namespace evenkeel::packet
