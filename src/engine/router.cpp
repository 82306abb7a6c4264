#include "engine/router.h"

#include <utility>

#include "base/fault.h"
#include "engine/release.h"

namespace evenkeel::engine {

Router::Router(const Options& options, const packet::Hasher& hasher, bucket::TableBoard& board,
               std::span<WorkerRing* const> rings, meter::Counter& dropped)
    : options_(options),
      hasher_(hasher),
      board_(board),
      table_(&board.current()),
      own_owner_(options.steered != nullptr ? table_->owner : std::vector<std::uint16_t>()),
      owner_(options.steered != nullptr ? own_owner_.data() : table_->owner.data()),
      bucket_mask_(board.buckets() - 1),
      rings_(rings.begin(), rings.end()),
      dropped_(dropped),
      lanes_(rings.size()),
      lane_sizes_(rings.size()),
      staged_(rings.size()) {
  for (auto& items : staged_) items.reserve(2 * kBurst);
  workers_with_staged_.reserve(rings.size());
}

// The old owner of a bucket may let go when it has passed the release marks; the new owner parks the bucket's
// packets from the acquire mark on. Both marks stand in the rings before any packet that follows the new
// table.
void Router::adopt_newest_table(const Intake& intake) {
  const bucket::TableVersion& newest = board_.current();
  if (newest.version == table_->version) {
    if (leaving_) let_leave(intake);
    return;
  }
  table_ = &newest;
  if (options_.steered == nullptr) owner_ = newest.owner.data();
  for (const bucket::Reassignment& move : newest.reassignments) {
    if (leaves_home(move)) {
      leaving_ = true;
    } else {
      mark(move);
    }
  }
  if (options_.steered != nullptr) options_.moves->prepare(options_.id, newest.version);
  if (leaving_) return let_leave(intake);
  // The marks are staged before any later packet, which is all that adoption promises; a full ring only
  // delays them.
  board_.adopt(options_.id, newest.version);
}

void Router::mark(const bucket::Reassignment& move) {
  stage(move.from.value(), RingItem(RingItem::Mark::kRelease, move.bucket, table_->version));
  stage(move.to.value(), RingItem(RingItem::Mark::kAcquire, move.bucket, table_->version));
  if (options_.steered != nullptr)
    own_owner_[move.bucket.value()] = static_cast<std::uint16_t>(move.to.value());
}

// Buckets whose packets came to this dispatcher's own worker leave it when the kernel sends none any more,
// and all that it had sent before are in the rings.
void Router::let_leave(const Intake& intake) {
  if (!intake.source_ended) {
    if (options_.moves->in_kernel() != table_->version) return;
    if (!fenced_) options_.steered->begin_fence();
    fenced_ = true;
    if (!options_.steered->fence_passed() && !base::fault(base::Fault::kSkipFence)) return;
  }
  if (intake.in_hand) return;
  for (const bucket::Reassignment& move : table_->reassignments) {
    if (leaves_home(move)) mark(move);
  }
  leaving_ = fenced_ = false;
  board_.adopt(options_.id, table_->version);
}

// Each worker's packets go into its ring together.
void Router::route(std::span<Packet* const> packets) {
  hasher_.hash(packets);
  const std::uint16_t* const owner = owner_;
  const std::uint32_t mask = bucket_mask_;
  Lane* const lanes = lanes_.data();
  std::uint32_t* const sizes = lane_sizes_.data();
  std::array<std::uint16_t, kBurst> used;
  std::size_t used_size = 0;
  for (Packet* packet : packets) {
    const std::uint32_t bucket = packet->hash & mask;
    packet->bucket = static_cast<std::uint16_t>(bucket);
    const std::uint16_t worker = owner[bucket];
    const std::uint32_t size = sizes[worker]++;
    if (size == 0) used[used_size++] = worker;
    lanes[worker][size] = RingItem(packet);
  }
  for (std::size_t i = 0; i < used_size; ++i) push(used[i]);
}

// The worker's lane. What is staged goes first; what a full ring does not take is staged.
void Router::push(std::uint32_t worker) {
  const std::span<const RingItem> items(lanes_[worker].data(), std::exchange(lane_sizes_[worker], 0));
  const std::size_t pushed = staged_[worker].empty() ? rings_[worker]->push(items) : 0;
  for (const RingItem item : items.subspan(pushed)) stage(worker, item);
}

void Router::end() {
  for (std::uint32_t worker = 0; worker < rings_.size(); ++worker)
    stage(worker, RingItem(RingItem::Mark::kEnd, BucketId(0), table_->version));
}

void Router::stage(std::uint32_t worker, RingItem item) {
  std::vector<RingItem>& items = staged_[worker];
  if (items.empty()) workers_with_staged_.push_back(worker);
  items.push_back(item);
}

bool Router::flush() {
  if (workers_with_staged_.empty()) return true;
  std::erase_if(workers_with_staged_, [&](std::uint32_t worker) { return flush_to(worker); });
  return workers_with_staged_.empty();
}

bool Router::flush_to(std::uint32_t worker) {
  std::vector<RingItem>& items = staged_[worker];
  const std::size_t pushed = rings_[worker]->push(items);
  items.erase(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(pushed));
  // Live input does not wait: what its worker has no room for is dropped, but never a mark.
  if (!items.empty() && options_.drops) drop_packets(items);
  return items.empty();
}

void Router::drop_packets(std::vector<RingItem>& items) {
  BlockReleaser releaser;
  std::erase_if(items, [&](RingItem item) {
    if (!item.is_packet()) return false;
    releaser.release(*item.packet());
    dropped_.increment();
    return true;
  });
}

}  // namespace evenkeel::engine
