#include "policy/sorted_buckets.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "base/check.h"

namespace evenkeel::policy {
namespace {

constexpr unsigned kKeyBits = 16;
constexpr std::uint32_t kKeyMax = (1u << kKeyBits) - 1;
// Of a float's 23 bits of mantissa: 12 are kept, which leaves 4 bits of the exponent.
constexpr unsigned kDroppedBits = 11;
constexpr unsigned kDigitBits = 8;
constexpr std::size_t kDigits = 1u << kDigitBits;
static_assert(kBucketsMax <= 1u << 16, "a bucket and its key share 32 bits");

std::uint32_t leading_bits(double load) {
  return std::bit_cast<std::uint32_t>(static_cast<float>(load)) >> kDroppedBits;
}

// One stable pass by the digit at `shift`, with the digits counted before.
void scatter(const std::vector<std::uint32_t>& from, std::size_t count, unsigned shift,
             std::array<std::uint32_t, kDigits>& counts, std::vector<std::uint32_t>& to) {
  std::uint32_t sum = 0;
  for (std::uint32_t& slot : counts) sum += std::exchange(slot, sum);
  for (std::size_t k = 0; k < count; ++k) to[counts[(from[k] >> shift) & (kDigits - 1)]++] = from[k];
}

}  // namespace

// Descending: the key of the largest load is 0.
void SortedBuckets::sort_by_load(const Snapshot& snapshot, const Measured& measured) {
  const std::size_t buckets = snapshot.bucket_load.size();
  std::array<std::uint32_t, kDigits> low{}, high{};
  const double norm = measured.largest_bucket > 0 ? 1 / measured.largest_bucket : 0;
  const std::uint32_t top = leading_bits(1.0);
  for (std::uint32_t j = 0; j < buckets; ++j) {
    const std::uint32_t key = std::min(top - leading_bits(measured.load_of(snapshot, j) * norm), kKeyMax);
    keys_[j] = key << 16 | j;
    ++low[key & (kDigits - 1)];
    ++high[key >> kDigitBits];
  }
  scatter(keys_, buckets, 16, low, keys_sorted_);
  scatter(keys_sorted_, buckets, 16 + kDigitBits, high, keys_);
}

// A shelf has room for what it holds and a fair share more, so that most moves need no new lay-out.
void SortedBuckets::lay_out(std::size_t processors) {
  std::uint32_t begin = 0;
  for (std::size_t i = 0; i < processors; ++i) {
    Shelf& shelf = shelves_[i];
    shelf.capacity = shelf.size + slack_;
    shelf.begin = begin;
    begin += shelf.capacity;
  }
}

void SortedBuckets::reserve(std::size_t buckets, std::size_t processors) {
  slack_ = static_cast<std::uint32_t>(buckets / processors + 16);
  const std::size_t slots = buckets + processors * slack_;
  if (keys_.size() < buckets) keys_.resize(buckets);
  keys_sorted_.resize(keys_.size());
  if (loads_.size() < slots) loads_.resize(slots);
  ids_.resize(loads_.size());
  spare_loads_.resize(loads_.size());
  spare_ids_.resize(loads_.size());
  shelves_.reserve(processors);
}

void SortedBuckets::sort(const Snapshot& snapshot, const Measured& measured,
                         std::span<const ProcessorId> owner) {
  const std::size_t buckets = snapshot.bucket_load.size();
  const std::size_t processors = measured.processors.size();
  reserve(buckets, processors);
  sort_by_load(snapshot, measured);

  shelves_.assign(processors, {});
  for (const ProcessorId processor : owner) ++shelves_[processor.value()].size;
  lay_out(processors);
  for (Shelf& shelf : shelves_) shelf.size = 0;
  const bool pins = !snapshot.pinned.empty();
  for (std::size_t k = 0; k < buckets; ++k) {
    const std::uint32_t bucket = keys_[k] & 0xffff;
    if (pins && snapshot.pinned[bucket]) continue;
    Shelf& shelf = shelves_[owner[bucket].value()];
    const std::uint32_t slot = shelf.begin + shelf.size++;
    loads_[slot] = measured.load_of(snapshot, bucket);
    ids_[slot] = bucket;
  }
}

std::size_t SortedBuckets::largest_within(std::uint32_t processor, double limit) const {
  const Shelf& shelf = shelves_[processor];
  const double* data = loads_.data() + shelf.begin;
  std::size_t low = 0, length = shelf.size;
  while (length > 0) {
    const std::size_t half = length / 2;
    const bool above = data[low + half] > limit;
    low = above ? low + half + 1 : low;
    length = above ? length - half - 1 : half;
  }
  // The order is exact only to the key: step over the few that stand wrong.
  while (low < shelf.size && data[low] > limit) ++low;
  return low;
}

std::size_t SortedBuckets::find(std::uint32_t processor, BucketId bucket, double load) const {
  const Shelf& shelf = shelves_[processor];
  const auto scan = [&](std::size_t begin, std::size_t end) {
    while (begin < end && ids_[shelf.begin + begin] != bucket.value()) ++begin;
    return begin;
  };
  // Mostly close to where its load belongs; among the smallest, which are in no order, anywhere.
  const std::size_t close = largest_within(processor, load * 1.001);
  const std::size_t found = scan(close, shelf.size);
  if (found < shelf.size) return found;
  const std::size_t before = scan(0, close);
  return before < close ? before : shelf.size;
}

// Lays all shelves out again, into the other set of buffers. Room for everything is certain: the slots are
// buckets + processors * slack.
void SortedBuckets::lay_out_again() {
  std::uint32_t begin = 0;
  for (Shelf& shelf : shelves_) {
    std::copy_n(loads_.begin() + shelf.begin, shelf.size, spare_loads_.begin() + begin);
    std::copy_n(ids_.begin() + shelf.begin, shelf.size, spare_ids_.begin() + begin);
    shelf.begin = begin;
    shelf.capacity = shelf.size + slack_;
    begin += shelf.capacity;
  }
  loads_.swap(spare_loads_);
  ids_.swap(spare_ids_);
}

void SortedBuckets::move(std::uint32_t from, std::size_t position, std::uint32_t to) {
  CHECK(position < shelves_[from].size);
  if (shelves_[to].size == shelves_[to].capacity) lay_out_again();
  Shelf& source = shelves_[from];
  Shelf& target = shelves_[to];
  const double load = loads_[source.begin + position];
  const std::uint32_t id = ids_[source.begin + position];
  --source.size;
  const auto close = [&](auto& values) {
    const auto at = values.begin() + source.begin + position;
    std::copy(at + 1, values.begin() + source.begin + source.size + 1, at);
  };
  close(loads_);
  close(ids_);
  const std::size_t slot = largest_within(to, load);
  const auto open = [&](auto& values, auto value) {
    const auto at = values.begin() + target.begin + slot;
    std::copy_backward(at, values.begin() + target.begin + target.size,
                       values.begin() + target.begin + target.size + 1);
    *at = value;
  };
  open(loads_, load);
  open(ids_, id);
  ++target.size;
}

}  // namespace evenkeel::policy
