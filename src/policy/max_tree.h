// Which of some numbers is the largest, while they change one at a time: a tournament.
//
// Thread: [control]. Cost: set() log2 of how many there are, top() nothing. Allocates only when they grow.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace evenkeel::policy {

class MaxTree {
 public:
  // `count` numbers, all 0.
  void assign(std::size_t count) {
    leaves_ = std::bit_ceil(count);
    values_.assign(leaves_, 0);
    winner_.resize(2 * leaves_);
    for (std::size_t i = 0; i < leaves_; ++i) winner_[leaves_ + i] = static_cast<std::uint32_t>(i);
    for (std::size_t node = leaves_ - 1; node > 0; --node) winner_[node] = winner_[2 * node];
  }

  double operator[](std::size_t i) const { return values_[i]; }

  void set(std::size_t i, double value) {
    values_[i] = value;
    for (std::size_t node = (leaves_ + i) / 2; node > 0; node /= 2) {
      const std::uint32_t left = winner_[2 * node], right = winner_[2 * node + 1];
      winner_[node] = values_[right] > values_[left] ? right : left;
    }
  }

  // Of equal ones, the first.
  std::uint32_t top() const { return winner_[1]; }

 private:
  std::size_t leaves_ = 0;  // a power of two
  std::vector<double> values_;
  std::vector<std::uint32_t> winner_;  // of the two nodes below; from leaves_ on, the numbers themselves
};

}  // namespace evenkeel::policy
