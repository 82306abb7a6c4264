// One cache line of a connection table's index: up to 12 entries, each an 8-bit tag of the key's hash and the
// number of the slot where key and value stand. Two lines of memory are read for a lookup: this one, and the
// slot. (Tags in front of an index: the idea of Abseil's Swiss tables; groups of a cache line with an
// overflow link: F14 and Dash.)
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/units.h"

namespace evenkeel::engine {

struct alignas(base::kCacheLine) IndexGroup {
  static constexpr std::uint32_t kPlaces = 12;
  static constexpr std::uint8_t kFree = 0;  // the tag of a place without an entry

  std::array<std::uint8_t, kPlaces> tags;
  std::uint32_t next;  // the group where the chain goes on, by its number in the GroupPool; 0: ends here
  std::array<std::uint32_t, kPlaces> slots;

  // Bit i is set where tags[i] == tag.
  std::uint32_t match(std::uint8_t tag) const {
#if defined(__SSE2__)
    const __m128i line = _mm_load_si128(reinterpret_cast<const __m128i*>(this));
    const __m128i equal = _mm_cmpeq_epi8(line, _mm_set1_epi8(static_cast<char>(tag)));
    return static_cast<std::uint32_t>(_mm_movemask_epi8(equal)) & ((1u << kPlaces) - 1);
#else
    std::uint32_t mask = 0;
    for (std::uint32_t i = 0; i < kPlaces; ++i) mask |= static_cast<std::uint32_t>(tags[i] == tag) << i;
    return mask;
#endif
  }

  std::uint32_t free_places() const { return match(kFree); }
  std::uint32_t used_places() const { return free_places() ^ ((1u << kPlaces) - 1); }
  std::uint32_t size() const { return static_cast<std::uint32_t>(std::popcount(used_places())); }
};
static_assert(sizeof(IndexGroup) == base::kCacheLine);

}  // namespace evenkeel::engine
