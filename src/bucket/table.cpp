#include "bucket/table.h"

#include <algorithm>

#include "base/check.h"

namespace evenkeel::bucket {

TableBoard::TableBoard(std::uint32_t buckets, std::uint32_t processors, std::uint32_t dispatchers,
                       std::span<const ProcessorId> owners)
    : buckets_(buckets), current_(&versions_[0]), adopted_(dispatchers) {
  CHECK(processors >= 1 && buckets >= 1 && buckets <= kBucketsMax && processors <= kProcessorsMax);
  for (auto& version : versions_) {
    version.owner.resize(buckets);
    version.reassignments.reserve(buckets);
  }
  CHECK(owners.empty() || owners.size() == buckets);
  for (std::uint32_t j = 0; j < buckets; ++j) {
    const std::uint32_t owner = owners.empty() ? j % processors : owners[j].value();
    CHECK(owner < processors);
    versions_[0].owner[j] = static_cast<std::uint16_t>(owner);
  }
}

bool TableBoard::settled() const {
  // Acquire, both: what dispatchers and workers did for the version happens before the control thread goes on
  // to overwrite the older table.
  const auto has_newest = [&](const Adopted& adopted) {
    return adopted.version.load(std::memory_order_acquire) == newest().version;
  };
  return std::all_of(adopted_.begin(), adopted_.end(), has_newest) &&
         moves_completed_.load(std::memory_order_acquire) == moves_published_;
}

void TableBoard::publish(std::span<const Reassignment> reassignments) {
  CHECK(settled());
  const TableVersion& old = newest();
  TableVersion& next = versions_[newest_ ^ 1];
  next.version = old.version + 1;
  std::copy(old.owner.begin(), old.owner.end(), next.owner.begin());
  next.reassignments.assign(reassignments.begin(), reassignments.end());
  for (const Reassignment& move : reassignments) {
    CHECK(next.owner[move.bucket.value()] == move.from.value() && move.from != move.to);
    next.owner[move.bucket.value()] = static_cast<std::uint16_t>(move.to.value());
  }
  moves_published_ += reassignments.size();
  newest_ ^= 1;
  // Release: the contents of the version are visible to whoever loads the pointer.
  current_.store(&next, std::memory_order_release);
}

void TableBoard::adopt(DispatcherId dispatcher, std::uint32_t version) {
  // Release: this dispatcher's reads of the older table are over.
  adopted_[dispatcher.value()].version.store(version, std::memory_order_release);
}

void TableBoard::complete_one() {
  // Release: the worker's takeover happens before the control thread sees the version settled. An atomic
  // addition, as several workers complete at once; once for each move, not for each packet.
  moves_completed_.fetch_add(1, std::memory_order_release);
}

}  // namespace evenkeel::bucket
