// The way of packets from a dispatcher to the workers: hash, bucket, owner, ring.
//
// Marks and packets stand in each ring in the order in which they were given here; what a full ring does not
// take is staged, and goes before anything later.
//
// Thread: [dispatcher]. After construction nothing is allocated, but where more marks wait than usual.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "bucket/steered_moves.h"
#include "bucket/table.h"
#include "engine/batch.h"
#include "engine/ring.h"
#include "engine/ring_item.h"
#include "engine/steered_source.h"
#include "meter/counter.h"
#include "packet/hash.h"

namespace evenkeel::engine {

using WorkerRing = Ring<RingItem>;

class Router {
 public:
  struct Options {
    DispatcherId id{0};
    bool drops = false;  // packets for which there is no room; else they wait
    // Set where the kernel sends the packets of one worker, the one with the dispatcher's number; both or
    // neither.
    SteeredSource* steered = nullptr;
    bucket::SteeredMoves* moves = nullptr;
  };
  // What may still come that was sent by an older version of the table.
  struct Intake {
    bool source_ended;
    bool in_hand;  // received, and not yet given to route()
  };

  // `rings`: one for each worker, this router being the producer. All references outlive the router.
  // `dropped` counts.
  Router(const Options& options, const packet::Hasher& hasher, bucket::TableBoard& board,
         std::span<WorkerRing* const> rings, meter::Counter& dropped);

  // Adopts the newest version of the table, if there is one: its marks go before any later packet.
  void adopt_newest_table(const Intake& intake);

  // Sets hash and bucket of up to kBurst packets and gives them to the buckets' owners.
  void route(std::span<Packet* const> packets);

  // Says to all workers that nothing follows.
  void end();

  // Puts what is staged into the rings. False: some of it must wait.
  bool flush();

 private:
  // The packets of one burst for one worker. (Its size stands apart: so a lane is a power of two of bytes.)
  using Lane = std::array<RingItem, kBurst>;

  bool leaves_home(const bucket::Reassignment& move) const {
    return options_.steered != nullptr && move.from.value() == options_.id.value();
  }
  void let_leave(const Intake& intake);
  void mark(const bucket::Reassignment& move);
  void push(std::uint32_t worker);
  void stage(std::uint32_t worker, RingItem item);
  bool flush_to(std::uint32_t worker);
  void drop_packets(std::vector<RingItem>& items);

  const Options options_;
  const packet::Hasher& hasher_;
  bucket::TableBoard& board_;
  const bucket::TableVersion* table_;
  bool leaving_ = false;  // buckets of the newest version are yet to leave this dispatcher's own worker
  bool fenced_ = false;   // ... and the source has been told to remember how far
  std::vector<std::uint16_t> own_owner_;  // of a steered dispatcher: the table as far as it is adopted
  const std::uint16_t* owner_;            // by bucket: own_owner_, or that of table_
  const std::uint32_t bucket_mask_;
  std::vector<WorkerRing*> rings_;
  meter::Counter& dropped_;
  std::vector<Lane> lanes_;                    // by worker
  std::vector<std::uint32_t> lane_sizes_;      // of a burst that is being routed; 0 otherwise
  std::vector<std::vector<RingItem>> staged_;  // by worker: what is not in its ring yet
  std::vector<std::uint32_t> workers_with_staged_;
};

}  // namespace evenkeel::engine
