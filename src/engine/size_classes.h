// Finds an item of (nearly) the largest size among many whose sizes change all the time, in constant time.
//
// Items stand in lists by the class of their size: four classes for each doubling, as in the histograms of
// HdrHistogram. A bit for each class that has items gives the highest one in one instruction. Of two items in
// one class the larger is less than 5/4 of the smaller; hence what largest() gives has more than 4/5 of the
// largest size. Sizes from kSizeMax on are one class.
//
// Thread: one at a time. Memory: 520 bytes, and the links in each item. No allocation.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "base/linked_list.h"

namespace evenkeel::engine {

using SizeClass = std::uint8_t;
inline constexpr std::uint32_t kSizeClasses = 64;
inline constexpr std::uint64_t kSizeMax = std::uint64_t{7} << 14;  // where the last class begins

// 0 to 3 are classes of their own; then the leading bit and the two bits behind it say which.
constexpr SizeClass size_class(std::uint64_t size) {
  if (size < 4) return static_cast<SizeClass>(size);
  const auto octave = static_cast<std::uint64_t>(std::bit_width(size)) - 1;
  const std::uint64_t exact = 4 * (octave - 1) + (size >> (octave - 2) & 3);
  return static_cast<SizeClass>(std::min<std::uint64_t>(exact, kSizeClasses - 1));
}
static_assert(size_class(kSizeMax) == kSizeClasses - 1 && size_class(kSizeMax - 1) == kSizeClasses - 2);

template <typename T, base::ListLinks<T> T::*kLinks>
class SizeClasses {
 public:
  bool empty() const { return occupied_ == 0; }

  // The highest class that has an item. Not when empty.
  SizeClass top() const { return static_cast<SizeClass>(63 - std::countl_zero(occupied_)); }
  // The item of the highest class that came into it last, or nullptr.
  T* largest() const { return empty() ? nullptr : heads_[top()]; }

  void insert(T& item, SizeClass where) {
    base::ListLinks<T>& links = item.*kLinks;
    T*& head = heads_[where];
    links = {nullptr, head, true};
    if (head != nullptr) (head->*kLinks).previous = &item;
    head = &item;
    occupied_ |= std::uint64_t{1} << where;
  }

  // `where`: the class in which it was inserted.
  void remove(T& item, SizeClass where) {
    base::ListLinks<T>& links = item.*kLinks;
    DCHECK(links.linked);
    (links.previous == nullptr ? heads_[where] : (links.previous->*kLinks).next) = links.next;
    if (links.next != nullptr) (links.next->*kLinks).previous = links.previous;
    if (heads_[where] == nullptr) occupied_ &= ~(std::uint64_t{1} << where);
    links = {};
  }

 private:
  std::uint64_t occupied_ = 0;
  std::array<T*, kSizeClasses> heads_{};
};

}  // namespace evenkeel::engine
