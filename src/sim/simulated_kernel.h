// The kernel's part of live input, simulated: processors that run the steering program on one packet each,
// the table that the program reads, and a receive ring for each worker.
//
// A packet is steered in two steps, reading the table and being put into a ring, and a step of anyone may lie
// between them. All packets of a connection come by the same processor, as from one receive queue of a card.
// What the real kernel promises, and no more: publish() returns when no packet that met the table before is
// still on its way.
//
// A ring has few descriptors, as a real one; while they are all lent out it gives nothing, but what stands
// before a fence it drops.
//
// Thread: the simulation's one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "bucket/steered_moves.h"
#include "engine/steered_source.h"
#include "evenkeel/source.h"
#include "packet/hash.h"

namespace evenkeel::sim {

// What a worker's dispatcher receives from.
class KernelRing final : public Source, public engine::SteeredSource {
 public:
  KernelRing(base::Random& random, bool waits, std::size_t descriptors)
      : random_(random), waits_(waits), descriptors_(descriptors) {}

  void put(Packet* packet) {
    packets_.push_back(packet);
    ++put_;
  }
  void end() { ended_ = true; }

  ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) override;
  bool can_wait() const override { return waits_; }
  SourceStatistics statistics() const override { return {}; }
  std::string name() const override { return "kernel ring"; }
  void begin_fence() override { fence_ = put_; }
  bool fence_passed() override { return taken_ >= fence_; }

  // Takes descriptors back whose packets were released.
  void reclaim();
  std::uint64_t dropped() const { return dropped_; }

 private:
  // What a dispatcher is lent instead of the packet on the wire.
  struct Descriptor {
    PacketBlock ledger;
    Packet packet;
    const Packet* original = nullptr;  // lent out, while it is set
  };

  Packet* lend(Descriptor& descriptor);
  void drop_to_fence();

  base::Random& random_;
  const bool waits_;
  std::deque<Packet*> packets_;
  std::vector<Descriptor> descriptors_;
  std::uint64_t put_ = 0, taken_ = 0, fence_ = 0, dropped_ = 0;
  bool ended_ = false;
};

class SimulatedKernel final : public bucket::KernelTable {
 public:
  // `wire`: what comes in. All references outlive this.
  SimulatedKernel(std::uint64_t seed, Source& wire, const packet::Hasher& hasher, std::uint32_t workers);

  KernelRing& ring(std::uint32_t worker) { return *rings_[worker]; }
  // Of all rings.
  std::uint64_t dropped() const;
  void reclaim();

  // The table at the start.
  void begin(std::span<const std::uint16_t> owners) { table_.assign(owners.begin(), owners.end()); }
  // Some progress of some processor.
  void step();
  // Processors go on before, while and after the table is written.
  Result<void> publish(std::span<const std::uint16_t> owners) override;

 private:
  struct Processor {
    std::deque<Packet*> waiting;
    Packet* in_hand = nullptr;  // has met the table
    std::uint32_t worker = 0;   // where it found that in_hand belongs
    bool met_old_table = false;
  };

  void receive();
  void advance(Processor& processor);
  std::uint32_t owner_of(const Packet& packet) const;
  void some_steps();

  base::Random random_;
  Source& wire_;
  const packet::Hasher& hasher_;
  std::vector<std::uint16_t> table_;  // worker of each bucket
  std::vector<Processor> processors_;
  std::vector<std::unique_ptr<KernelRing>> rings_;
  bool wire_ended_ = false;
};

}  // namespace evenkeel::sim
