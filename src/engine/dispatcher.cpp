#include "engine/dispatcher.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "engine/release.h"

namespace evenkeel::engine {

Dispatcher::Dispatcher(const DispatcherOptions& options, Source& source, const packet::Hasher& hasher,
                       bucket::TableBoard& board, std::span<WorkerRing* const> rings,
                       DispatcherMeters& meters)
    : id_(options.id),
      parse_options_(options.parse),
      source_(source),
      hasher_(hasher),
      board_(board),
      table_(&board.current()),
      steered_(options.steered),
      moves_(options.moves),
      own_owner_(steered_ != nullptr ? table_->owner : std::vector<std::uint16_t>()),
      owner_(steered_ != nullptr ? own_owner_.data() : table_->owner.data()),
      bucket_mask_(board.buckets() - 1),
      rings_(rings.begin(), rings.end()),
      meters_(meters),
      fragments_(options.fragments, options.fragment_seed),
      now_ns_(std::numeric_limits<std::int64_t>::min()),
      lanes_(rings.size()),
      staged_(rings.size()),
      handed_over_ns_(now_ns_) {
  for (auto& items : staged_) items.reserve(2 * kBurst);
  workers_with_staged_.reserve(rings.size());
}

DispatchStatus Dispatcher::step() {
  adopt_newest_table();
  if (!flush()) return DispatchStatus::kBlocked;
  return source_ended_ && burst_next_ == burst_size_ ? end() : receive();
}

// The old owner of a bucket may let go when it has passed the release marks; the new owner parks the bucket's
// packets from the acquire mark on. Both marks stand in the rings before any packet that follows the new
// table.
void Dispatcher::adopt_newest_table() {
  const bucket::TableVersion& newest = board_.current();
  if (newest.version == table_->version) {
    if (leaving_) let_leave();
    return;
  }
  table_ = &newest;
  if (steered_ == nullptr) owner_ = newest.owner.data();
  for (const bucket::Reassignment& move : newest.reassignments) {
    if (leaves_home(move)) {
      leaving_ = true;
    } else {
      mark(move);
    }
  }
  if (steered_ != nullptr) moves_->prepare(id_, newest.version);
  if (leaving_) return let_leave();
  // The marks are staged before any later packet, which is all that adoption promises; a full ring only
  // delays them.
  board_.adopt(id_, newest.version);
}

void Dispatcher::mark(const bucket::Reassignment& move) {
  stage(move.from, RingItem(RingItem::Mark::kRelease, move.bucket, table_->version));
  stage(move.to, RingItem(RingItem::Mark::kAcquire, move.bucket, table_->version));
  if (steered_ != nullptr) own_owner_[move.bucket.value()] = static_cast<std::uint16_t>(move.to.value());
}

// Buckets whose packets came to this dispatcher's own worker leave it when the kernel sends none any more,
// and all that it had sent before are in the rings.
void Dispatcher::let_leave() {
  if (!source_ended_) {
    if (moves_->in_kernel() != table_->version) return;
    if (!fenced_) steered_->begin_fence();
    fenced_ = true;
    if (!steered_->fence_passed()) return;
  }
  if (burst_next_ != burst_size_) return;  // received, and not yet in the rings
  for (const bucket::Reassignment& move : table_->reassignments) {
    if (leaves_home(move)) mark(move);
  }
  leaving_ = fenced_ = false;
  board_.adopt(id_, table_->version);
}

DispatchStatus Dispatcher::receive() {
  if (burst_next_ == burst_size_ && !source_ended_) take_burst();
  const bool worked = burst_next_ != burst_size_ || source_ended_;
  if (!dispatch_burst()) return DispatchStatus::kBlocked;
  if (source_ended_) {
    fragments_.give_up_all();
    publish_statistics();
  }
  if (!flush()) return DispatchStatus::kBlocked;
  // Release: everything received up to now_ns_ is in the rings for a worker that reads this.
  handed_over_ns_.store(now_ns_, std::memory_order_release);
  return worked ? DispatchStatus::kWorked : DispatchStatus::kIdle;
}

void Dispatcher::take_burst() {
  burst_next_ = burst_size_ = 0;
  ReceiveStatus status = ReceiveStatus::kEnd;
  if (!stop_.load(std::memory_order_relaxed)) status = source_.receive(burst_, burst_size_);
  source_ended_ = status == ReceiveStatus::kEnd || status == ReceiveStatus::kError;
  if (burst_size_ == 0) now_ns_ = std::max(now_ns_, source_.quiet_until_ns());
  meters_.received.add(burst_size_);
  // A full burst tells that there is more to come: what is told meanwhile need not be exact.
  if (burst_size_ < kBurst || ++bursts_ % kBurstsPerStatistics == 0) publish_statistics();
}

DispatchStatus Dispatcher::end() {
  if (ended_) return DispatchStatus::kFinished;
  handed_over_ns_.store(now_ns_, std::memory_order_release);
  // Release: the last packets are in the rings before anyone sees that there will be no more.
  drained_.store(true, std::memory_order_release);
  // Acquire: when this is set, the newest table is the last one.
  if (!finish_.load(std::memory_order_acquire)) return DispatchStatus::kDrained;
  adopt_newest_table();
  for (std::uint32_t worker = 0; worker < rings_.size(); ++worker)
    stage(ProcessorId(worker), RingItem(RingItem::Mark::kEnd, BucketId(0), table_->version));
  ended_ = true;
  return flush() ? DispatchStatus::kFinished : DispatchStatus::kBlocked;
}

// Returns false where it must go on later, as the memory for fragments is lent out to workers.
bool Dispatcher::dispatch_burst() {
  std::uint64_t bytes = 0;
  std::int64_t now_ns = now_ns_;
  std::size_t i = burst_next_;
  const std::size_t end = burst_size_;
  for (; i < end; ++i) {
    if (i + kPrefetchAhead < end) __builtin_prefetch(burst_[i + kPrefetchAhead]->data);
    Packet& packet = *burst_[i];
    now_ns = std::max(now_ns, packet.time_ns);
    packet.now_ns = now_ns;
    const std::uint32_t wire_length = packet.wire_length;  // before it may be released
    if (packet::parse_plain(packet, parse_options_)) [[likely]] {
      ready_[ready_size_++] = &packet;
    } else if (!dispatch_other(packet)) {
      break;
    }
    bytes += wire_length;
  }
  burst_next_ = i;
  now_ns_ = now_ns;
  meters_.bytes.add(bytes);
  hand_over();
  return i == end;
}

// Any other packet than a plain one.
bool Dispatcher::dispatch_other(Packet& packet) {
  const packet::ParseResult parsed = packet::parse_carefully(packet, parse_options_);
  if (!parsed.connection()) {
    meters_.by_parse_reason[static_cast<std::size_t>(parsed.reason)].increment();
    packet.block->release(1);
    return true;
  }
  if (parsed.fragments_count != 0) return dispatch_fragment(packet, parsed);
  ready_[ready_size_++] = &packet;
  return true;
}

bool Dispatcher::dispatch_fragment(Packet& packet, const packet::ParseResult& parsed) {
  switch (fragments_.offer(packet, parsed)) {
    case packet::FragmentFate::kGoesOn:
      hand_over();
      while (Packet* released = fragments_.take_released()) {
        ready_[ready_size_++] = released;
        if (ready_size_ == ready_.size()) hand_over();
      }
      ready_[ready_size_++] = &packet;
      hand_over();
      break;
    case packet::FragmentFate::kHeld:
    case packet::FragmentFate::kOrphan:
      packet.block->release(1);
      break;
    case packet::FragmentFate::kWait:
      if (source_.can_wait()) return false;
      packet.block->release(1);
      meters_.dropped[static_cast<std::size_t>(meter::DropReason::kRingFull)].increment();
      break;
  }
  return true;
}

// Each worker's packets go into its ring together. What a full ring does not take is staged.
void Dispatcher::hand_over() {
  const std::span<Packet* const> packets(ready_.data(), ready_size_);
  ready_size_ = 0;
  hasher_.hash(packets);
  const std::uint16_t* const owner = owner_;
  std::array<std::uint16_t, kBurst> lanes_used;
  std::size_t lanes_used_size = 0;
  for (Packet* packet : packets) {
    const std::uint32_t bucket = packet->hash & bucket_mask_;
    packet->bucket = static_cast<std::uint16_t>(bucket);
    Lane& lane = lanes_[owner[bucket]];
    if (lane.size == 0) lanes_used[lanes_used_size++] = owner[bucket];
    lane.items[lane.size++] = RingItem(packet);
  }
  for (std::size_t i = 0; i < lanes_used_size; ++i) {
    const std::uint32_t worker = lanes_used[i];
    const std::span<const RingItem> items(lanes_[worker].items.data(), std::exchange(lanes_[worker].size, 0));
    // What is staged goes first.
    const std::size_t pushed = staged_[worker].empty() ? rings_[worker]->push(items) : 0;
    for (const RingItem item : items.subspan(pushed)) stage(ProcessorId(worker), item);
  }
}

void Dispatcher::stage(ProcessorId worker, RingItem item) {
  std::vector<RingItem>& items = staged_[worker.value()];
  if (items.empty()) workers_with_staged_.push_back(worker.value());
  items.push_back(item);
}

bool Dispatcher::flush() {
  std::erase_if(workers_with_staged_, [&](std::uint32_t worker) { return flush_to(worker); });
  return workers_with_staged_.empty();
}

bool Dispatcher::flush_to(std::uint32_t worker) {
  std::vector<RingItem>& items = staged_[worker];
  const std::size_t pushed = rings_[worker]->push(items);
  items.erase(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(pushed));
  // Live input does not wait: what its worker has no room for is dropped, but never a mark.
  if (!items.empty() && !source_.can_wait()) drop_staged_packets(items);
  return items.empty();
}

void Dispatcher::drop_staged_packets(std::vector<RingItem>& items) {
  BlockReleaser releaser;
  std::erase_if(items, [&](RingItem item) {
    if (!item.is_packet()) return false;
    releaser.release(*item.packet());
    meters_.dropped[static_cast<std::size_t>(meter::DropReason::kRingFull)].increment();
    return true;
  });
}

void Dispatcher::publish_statistics() {
  const SourceStatistics statistics = source_.statistics();
  meters_.bytes_read.set(statistics.bytes_read);
  meters_.dropped[static_cast<std::size_t>(meter::DropReason::kKernel)].set(statistics.dropped_before);
  meters_.dropped[static_cast<std::size_t>(meter::DropReason::kFragmentOrphan)].set(
      fragments_.statistics().orphans);
}

}  // namespace evenkeel::engine
