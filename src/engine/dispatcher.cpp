#include "engine/dispatcher.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/fault.h"
#include "base/prefetch.h"
#include "packet/plain.h"

namespace evenkeel::engine {

Dispatcher::Dispatcher(const DispatcherOptions& options, Source& source, const packet::Hasher& hasher,
                       bucket::TableBoard& board, std::span<WorkerRing* const> rings,
                       DispatcherMeters& meters)
    : parse_options_(options.parse),
      source_(source),
      router_(
          {.id = options.id, .drops = !source.can_wait(), .steered = options.steered, .moves = options.moves},
          hasher, board, rings, meters.dropped[static_cast<std::size_t>(meter::DropReason::kRingFull)]),
      meters_(meters),
      fragments_(options.fragments, options.fragment_seed),
      now_ns_(std::numeric_limits<std::int64_t>::min()),
      handed_over_ns_(now_ns_) {}

DispatchStatus Dispatcher::step() {
  adopt_newest_table();
  if (!router_.flush()) return DispatchStatus::kBlocked;
  return source_ended_ && burst_next_ == burst_size_ ? end() : receive();
}

void Dispatcher::adopt_newest_table() {
  router_.adopt_newest_table({.source_ended = source_ended_, .in_hand = burst_next_ != burst_size_});
}

DispatchStatus Dispatcher::receive() {
  if (burst_next_ == burst_size_ && !source_ended_) take_burst();
  const bool worked = burst_next_ != burst_size_ || source_ended_;
  if (!dispatch_burst()) return DispatchStatus::kBlocked;
  if (source_ended_) {
    fragments_.give_up_all();
    publish_statistics();
  }
  if (!router_.flush()) return DispatchStatus::kBlocked;
  // Release: everything received up to now_ns_ is in the rings for a worker that reads this.
  handed_over_ns_.store(now_ns_, std::memory_order_release);
  return worked ? DispatchStatus::kWorked : DispatchStatus::kIdle;
}

void Dispatcher::take_burst() {
  burst_next_ = burst_size_ = 0;
  ReceiveStatus status = ReceiveStatus::kEnd;
  if (!stop_.load(std::memory_order_relaxed)) status = source_.receive(burst_, burst_size_);
  source_ended_ = status == ReceiveStatus::kEnd || status == ReceiveStatus::kError;
  if (base::fault(base::Fault::kAllocate)) ::operator delete(::operator new(64));
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
  router_.end();
  ended_ = true;
  return router_.flush() ? DispatchStatus::kFinished : DispatchStatus::kBlocked;
}

// Returns false where it must go on later, as the memory for fragments is lent out to workers.
bool Dispatcher::dispatch_burst() {
  // Copies of members, which the compiler would otherwise read again behind each store to a packet.
  const packet::ParseOptions options = parse_options_;
  const std::size_t end = burst_size_;
  std::size_t i = burst_next_, ready = ready_size_;
  std::int64_t now_ns = now_ns_;
  std::uint64_t bytes = 0;
  for (; i < end; ++i) {
    if (i + kPrefetchAhead < end) base::prefetch(burst_[i + kPrefetchAhead]->data);
    Packet& packet = *burst_[i];
    now_ns = std::max(now_ns, packet.time_ns);
    packet.now_ns = now_ns;
    const std::uint32_t wire_length = packet.wire_length;  // before it may be released
    if (packet::parse_plain(packet, options)) [[likely]] {
      ready_[ready++] = &packet;
    } else {
      ready_size_ = ready;
      const bool done = dispatch_other(packet);
      ready = ready_size_;
      if (!done) break;
    }
    bytes += wire_length;
  }
  burst_next_ = i;
  ready_size_ = ready;
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

void Dispatcher::hand_over() { router_.route({ready_.data(), std::exchange(ready_size_, 0)}); }

void Dispatcher::publish_statistics() {
  const SourceStatistics statistics = source_.statistics();
  meters_.bytes_read.set(statistics.bytes_read);
  meters_.dropped[static_cast<std::size_t>(meter::DropReason::kKernel)].set(statistics.dropped_before);
  meters_.dropped[static_cast<std::size_t>(meter::DropReason::kFragmentOrphan)].set(
      fragments_.statistics().orphans);
}

}  // namespace evenkeel::engine
