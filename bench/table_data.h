// What the table benchmark stores and asks for: 16-byte keys, 64-byte values, uniform and Zipf access.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "base/random.h"

namespace evenkeel::bench {

struct Key {
  std::uint64_t high;
  std::uint64_t low;
  friend bool operator==(const Key&, const Key&) = default;
};

struct Value {
  std::uint64_t packets = 0;
  std::array<std::uint64_t, 7> more{};
};
static_assert(sizeof(Value) == 64);

// The same hash for every contender: one 64 by 64 bit multiply, both halves folded (as in wyhash).
struct Hash {
  using is_avalanching = void;  // tells Boost that it need not mix once more
  std::uint64_t operator()(const Key& key) const noexcept {
    const auto product = static_cast<unsigned __int128>(key.high ^ 0xa0761d6478bd642fu) *
                         static_cast<unsigned __int128>(key.low ^ 0xe7037ed1a0b428dbu);
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }
};

inline Key key_of(std::uint64_t number) {
  std::uint64_t state = number * 2 + 1;
  const std::uint64_t high = base::splitmix64(state);
  return {high, base::splitmix64(state)};
}

// Ranks 1 to n with probability in proportion to rank^-exponent. Method: rejection-inversion (Hörmann and
// Derflinger, "Rejection-inversion to generate variates from monotone discrete distributions", 1996).
class Zipf {
 public:
  Zipf(std::uint64_t n, double exponent) : n_(static_cast<double>(n)), exponent_(exponent) {
    integral_first_ = integral(1.5) - 1.0;
    integral_last_ = integral(n_ + 0.5);
    accept_ = 2.0 - inverse(integral(2.5) - std::pow(2.0, -exponent_));
  }

  std::uint64_t rank(base::Random& random) const {
    while (true) {
      const double u = integral_last_ + random.uniform() * (integral_first_ - integral_last_);
      const double x = inverse(u);
      const double k = std::min(std::max(std::floor(x + 0.5), 1.0), n_);
      if (k - x <= accept_ || u >= integral(k + 0.5) - std::pow(k, -exponent_)) {
        return static_cast<std::uint64_t>(k);
      }
    }
  }

 private:
  double integral(double x) const { return (std::pow(x, 1 - exponent_) - 1) / (1 - exponent_); }
  double inverse(double y) const { return std::pow(1 + y * (1 - exponent_), 1 / (1 - exponent_)); }

  double n_;
  double exponent_;
  double integral_first_;
  double integral_last_;
  double accept_;
};

enum class Access { kUniform, kZipf };

// Keys to look up, in the order in which they come. Ranks are spread over all keys, so that those asked for
// often were not all inserted together.
inline std::vector<Key> make_queries(std::uint64_t keys, std::size_t count, Access access,
                                     std::uint64_t seed) {
  constexpr std::uint64_t kPrime = 2'654'435'761;
  base::Random random(seed);
  const Zipf zipf(keys, 1.1);
  std::vector<Key> queries(count);
  for (Key& query : queries) {
    query = key_of(access == Access::kUniform ? random.below(keys) : zipf.rank(random) * kPrime % keys);
  }
  return queries;
}

}  // namespace evenkeel::bench
