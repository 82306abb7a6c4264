// Every processor's buckets, largest first, and their moves from one to another while a plan is made.
//
// Sorted in linear time: a radix sort by the leading 16 bits of each load (12 bits of mantissa, 16 binary
// orders of magnitude below the largest load), then dealt out by owner. Loads that differ by less than 1/4096
// may stand in either order, and so may those below 2^-16 of the largest: searches are exact up to that.
//
// Thread: [control]. Allocates only when the number of buckets or processors grows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "policy/measure.h"

namespace evenkeel::policy {

class SortedBuckets {
 public:
  // Makes room for so many, so that sort() does not allocate.
  void reserve(std::size_t buckets, std::size_t processors);

  // By `owner`, which may differ from the snapshot's. Pinned buckets are left out: they are no candidates.
  void sort(const Snapshot& snapshot, const Measured& measured, std::span<const ProcessorId> owner);

  std::size_t size(std::uint32_t processor) const { return shelves_[processor].size; }
  std::span<const double> loads(std::uint32_t processor) const {
    return {loads_.data() + shelves_[processor].begin, shelves_[processor].size};
  }
  BucketId bucket(std::uint32_t processor, std::size_t position) const {
    return BucketId(ids_[shelves_[processor].begin + position]);
  }

  // Position of the largest bucket of at most `limit`, or size().
  std::size_t largest_within(std::uint32_t processor, double limit) const;

  // Where `bucket`, whose load is known, stands at its processor; size() if it does not (a pinned one).
  std::size_t find(std::uint32_t processor, BucketId bucket, double load) const;

  // Takes the bucket at `position` from one processor to another. O(buckets of the two).
  void move(std::uint32_t from, std::size_t position, std::uint32_t to);

 private:
  struct Shelf {
    std::uint32_t begin = 0;
    std::uint32_t size = 0;
    std::uint32_t capacity = 0;
  };
  void sort_by_load(const Snapshot& snapshot, const Measured& measured);
  void lay_out(std::size_t processors);
  void lay_out_again();

  std::vector<Shelf> shelves_;
  std::vector<double> loads_;                      // by shelf, descending
  std::vector<std::uint32_t> ids_;                 // the buckets they are of
  std::vector<std::uint32_t> keys_, keys_sorted_;  // key << 16 | bucket
  std::vector<double> spare_loads_;
  std::vector<std::uint32_t> spare_ids_;
  std::uint32_t slack_ = 0;
};

}  // namespace evenkeel::policy
