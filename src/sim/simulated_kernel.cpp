#include "sim/simulated_kernel.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "base/fault.h"
#include "packet/plain.h"
#include "sim/synthetic_source.h"

namespace evenkeel::sim {

ReceiveStatus KernelRing::receive(std::span<Packet*> out, std::size_t& count) {
  count = 0;
  if (packets_.empty()) return ended_ ? ReceiveStatus::kEnd : ReceiveStatus::kIdle;
  reclaim();
  const std::size_t wanted = std::min<std::size_t>(1 + random_.below(out.size()), packets_.size());
  for (Descriptor& descriptor : descriptors_) {
    if (count == wanted) break;
    if (descriptor.original == nullptr) out[count++] = lend(descriptor);
  }
  if (count == 0) drop_to_fence();
  return count == 0 ? ReceiveStatus::kIdle : ReceiveStatus::kMore;
}

Packet* KernelRing::lend(Descriptor& descriptor) {
  descriptor.original = packets_.front();
  descriptor.packet = *descriptor.original;
  descriptor.packet.block = &descriptor.ledger;
  descriptor.ledger.hand_out(1);
  packets_.pop_front();
  ++taken_;
  return &descriptor.packet;
}

void KernelRing::reclaim() {
  for (Descriptor& descriptor : descriptors_) {
    if (descriptor.original == nullptr || !descriptor.ledger.all_released()) continue;
    std::exchange(descriptor.original, nullptr)->block->release(1);
  }
}

// As live rings do (source/af_packet/packet_ring.cpp): what holds the descriptors may wait for another
// worker, and that one for this fence.
void KernelRing::drop_to_fence() {
  if (base::fault(base::Fault::kStayStarved)) return;
  for (; taken_ < fence_; ++taken_, ++dropped_) {
    packets_.front()->block->release(1);
    packets_.pop_front();
  }
}

SimulatedKernel::SimulatedKernel(std::uint64_t seed, Source& wire, const packet::Hasher& hasher,
                                 std::uint32_t workers)
    : random_(seed), wire_(wire), hasher_(hasher), processors_(1 + random_.below(4)) {
  const std::size_t descriptors = std::size_t{1} << random_.below(8);
  for (std::uint32_t i = 0; i < workers; ++i)
    rings_.push_back(std::make_unique<KernelRing>(random_, wire.can_wait(), descriptors));
}

std::uint64_t SimulatedKernel::dropped() const {
  std::uint64_t sum = 0;
  for (const auto& ring : rings_) sum += ring->dropped();
  return sum;
}

void SimulatedKernel::reclaim() {
  for (const auto& ring : rings_) ring->reclaim();
}

void SimulatedKernel::step() {
  receive();
  advance(processors_[random_.below(processors_.size())]);
  const bool empty = std::all_of(processors_.begin(), processors_.end(), [](const Processor& one) {
    return one.in_hand == nullptr && one.waiting.empty();
  });
  if (!wire_ended_ || !empty) return;
  for (const auto& ring : rings_) ring->end();
}

void SimulatedKernel::receive() {
  if (wire_ended_ || random_.below(4) != 0) return;
  std::array<Packet*, 8> packets;
  std::size_t count = 0;
  wire_ended_ = wire_.receive(packets, count) == ReceiveStatus::kEnd;
  for (Packet* packet : std::span(packets).first(count))
    processors_[SyntheticSource::connection_of(*packet) % processors_.size()].waiting.push_back(packet);
}

void SimulatedKernel::advance(Processor& processor) {
  if (processor.in_hand != nullptr) {
    rings_[processor.worker]->put(processor.in_hand);
    processor.in_hand = nullptr;
    processor.met_old_table = false;
  } else if (!processor.waiting.empty()) {
    processor.in_hand = processor.waiting.front();
    processor.waiting.pop_front();
    processor.worker = owner_of(*processor.in_hand);
  }
}

std::uint32_t SimulatedKernel::owner_of(const Packet& packet) const {
  Packet copy = packet;
  CHECK(packet::parse_plain(copy, {}));
  Packet* const one = &copy;
  hasher_.hash({&one, 1});
  return table_[copy.hash & (table_.size() - 1)];
}

void SimulatedKernel::some_steps() {
  for (std::uint64_t left = random_.below(20); left != 0; --left) step();
}

Result<void> SimulatedKernel::publish(std::span<const std::uint16_t> owners) {
  some_steps();
  table_.assign(owners.begin(), owners.end());
  for (Processor& processor : processors_) processor.met_old_table = processor.in_hand != nullptr;
  some_steps();
  for (Processor& processor : processors_) {
    if (processor.met_old_table && !base::fault(base::Fault::kSkipGracePeriod)) advance(processor);
  }
  return {};
}

}  // namespace evenkeel::sim
