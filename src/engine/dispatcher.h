// A dispatcher: takes packets from a source, finds the bucket of each and hands it to the worker that owns
// the bucket.
//
// Passive: step() does one iteration, driven by a thread or by the simulation. It adopts a new version of the
// bucket table only between two bursts, and then puts the marks that hand buckets over into the rings before
// any later packet.
//
// Thread: [dispatcher] but where noted. After construction the packet path allocates nothing.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "bucket/table.h"
#include "engine/batch.h"
#include "engine/router.h"
#include "evenkeel/source.h"
#include "meter/meters.h"
#include "packet/fragments.h"
#include "packet/hash.h"
#include "packet/parse.h"

namespace evenkeel::engine {

struct DispatcherOptions {
  DispatcherId id{0};
  packet::ParseOptions parse;
  packet::FragmentLimits fragments;
  std::uint64_t fragment_seed = 0;
  // Set for a source to which the kernel sends the packets of one worker, the one with this dispatcher's
  // number; both or neither.
  SteeredSource* steered = nullptr;
  bucket::SteeredMoves* moves = nullptr;
};

// Written by one dispatcher [dispatcher].
struct alignas(base::kCacheLine) DispatcherMeters {
  meter::Counter received;
  meter::Counter bytes;                                          // on the wire
  std::array<meter::Counter, packet::kReasons> by_parse_reason;  // malformed and unclassified packets
  meter::DropCounters dropped;
  meter::Counter bytes_read;  // of the source's input
};

enum class DispatchStatus : std::uint8_t {
  kWorked,    // call again at once
  kIdle,      // the source has nothing now
  kBlocked,   // a worker's ring is full: it must run first
  kDrained,   // the source has ended; the dispatcher goes on adopting table versions until finish()
  kFinished,  // the end marks are in the rings: no further call is needed
};

class Dispatcher {
 public:
  // `rings`: one for each worker, this dispatcher being the producer. All references outlive the dispatcher.
  Dispatcher(const DispatcherOptions& options, Source& source, const packet::Hasher& hasher,
             bucket::TableBoard& board, std::span<WorkerRing* const> rings, DispatcherMeters& meters);

  DispatchStatus step();

  // [control] Says that no further table version will be published: once the source has ended, the dispatcher
  // adopts the newest one and ends.
  void finish() { finish_.store(true, std::memory_order_release); }
  // [control] Treats the source as ended.
  void stop() { stop_.store(true, std::memory_order_relaxed); }
  // [any] The source has ended and all of its packets are in the rings.
  bool drained() const { return drained_.load(std::memory_order_acquire); }

  // [worker] Packet time up to which everything received is in the rings: when a worker reads this and then
  // finds its ring empty, no packet older than this can come to it from here.
  std::int64_t handed_over_ns() const { return handed_over_ns_.load(std::memory_order_acquire); }

 private:
  static constexpr std::size_t kPrefetchAhead = 4;
  // Full bursts between two looks at what the source counts: 2,048 packets, well below a millisecond.
  static constexpr std::uint32_t kBurstsPerStatistics = 64;

  void adopt_newest_table();
  DispatchStatus receive();
  DispatchStatus end();
  void take_burst();
  bool dispatch_burst();
  bool dispatch_other(Packet& packet);
  bool dispatch_fragment(Packet& packet, const packet::ParseResult& parsed);
  void hand_over();
  void publish_statistics();

  const packet::ParseOptions parse_options_;
  Source& source_;
  Router router_;
  DispatcherMeters& meters_;
  packet::FragmentTracker fragments_;
  std::array<Packet*, kBurst> burst_;  // received; dispatched up to burst_next_
  std::size_t burst_size_ = 0;
  std::size_t burst_next_ = 0;
  std::uint32_t bursts_ = 0;
  std::array<Packet*, kBurst> ready_;  // parsed, not yet hashed
  std::size_t ready_size_ = 0;
  std::int64_t now_ns_;
  bool source_ended_ = false;
  bool ended_ = false;  // the end marks are staged
  std::atomic<bool> finish_{false};
  std::atomic<bool> stop_{false};
  std::atomic<bool> drained_{false};
  alignas(base::kCacheLine) std::atomic<std::int64_t> handed_over_ns_;
};

}  // namespace evenkeel::engine
