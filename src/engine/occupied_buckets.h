// Which buckets may hold connections: for finding one among 65,536 without visiting all.
//
// Invariant: every bucket noted and not forgotten since is found. Thread: [worker]. Memory: a bit for each
// bucket. Cost: note() and forget() a few instructions; next() one for each 64 buckets that it passes.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "evenkeel/ids.h"

namespace evenkeel::engine {

class OccupiedBuckets {
 public:
  explicit OccupiedBuckets(std::size_t buckets) : words_((buckets + 63) / 64) {}

  void note(BucketId bucket) { words_[bucket.value() / 64] |= bit(bucket); }
  void forget(BucketId bucket) { words_[bucket.value() / 64] &= ~bit(bucket); }

  // The first noted bucket at `from` or behind it, else the first of all; false where none is noted.
  bool next(BucketId from, BucketId& found) const {
    const std::size_t first = from.value() / 64;
    if (find_in(first, words_[first] & ~(bit(from) - 1), found)) return true;
    for (std::size_t i = 1; i <= words_.size(); ++i) {
      const std::size_t word = (first + i) % words_.size();
      if (find_in(word, words_[word], found)) return true;
    }
    return false;
  }

 private:
  static std::uint64_t bit(BucketId bucket) { return std::uint64_t{1} << (bucket.value() % 64); }
  static bool find_in(std::size_t word, std::uint64_t bits, BucketId& found) {
    if (bits == 0) return false;
    found =
        BucketId(static_cast<std::uint32_t>(64 * word + static_cast<std::size_t>(std::countr_zero(bits))));
    return true;
  }

  std::vector<std::uint64_t> words_;
};

}  // namespace evenkeel::engine
