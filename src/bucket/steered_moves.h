// Moves of buckets whose packets the kernel already hands to their workers.
//
// Without the kernel's help one dispatcher reads all packets of a source, and its marks stand between those
// of the old table and those of the new one. Here each worker has a receive ring of its own, and a kernel
// program puts each packet into the ring of its bucket's worker. So a move takes three steps:
//
//   1. Every dispatcher adopts the new table version for all buckets but those that leave its own ring, and
//      says so: prepare(). From then on the new worker's dispatcher knows where the bucket's packets go.
//   2. [control] The kernel's table is rewritten, and no program that read the old one is still running:
//      KernelTable::publish() returns. Then set_in_kernel().
//   3. The old worker's dispatcher notes how far its ring is filled. When it has read that far, nothing of
//      the bucket can come out of its ring any more: only now does it put its release mark.
//
// The new worker parks the bucket's packets until that mark was passed (engine/worker.h), so a connection's
// packets are served in the order in which the kernel put them into rings. How long they are parked is
// bounded by what the old ring held.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "base/units.h"
#include "evenkeel/ids.h"
#include "evenkeel/result.h"

namespace evenkeel::bucket {

// The copy of the bucket table that kernel programs read.
class KernelTable {
 public:
  virtual ~KernelTable() = default;

  // [control] Writes the worker of each bucket. When it returns, every packet that was steered by the table
  // before is in its ring, or dropped and counted. Cost: an RCU grace period, 5 to 50 ms.
  virtual Result<void> publish(std::span<const std::uint16_t> owners) = 0;
};

// The state that control and dispatchers share on the way.
class SteeredMoves {
 public:
  explicit SteeredMoves(std::uint32_t dispatchers) : prepared_(dispatchers) {}

  // [dispatcher] Release: its acquire marks are staged before any packet that the new kernel table sends.
  void prepare(DispatcherId dispatcher, std::uint32_t version) {
    prepared_[dispatcher.value()].version.store(version, std::memory_order_release);
  }

  // [control] Acquire: pairs with prepare().
  bool prepared(std::uint32_t version) const {
    return std::all_of(prepared_.begin(), prepared_.end(), [&](const Prepared& one) {
      return one.version.load(std::memory_order_acquire) == version;
    });
  }

  // [control] Release: the kernel's table was written before a dispatcher sees this.
  void set_in_kernel(std::uint32_t version) { in_kernel_.store(version, std::memory_order_release); }

  // [dispatcher] The version of the kernel's table; no packet is steered by an older one.
  std::uint32_t in_kernel() const { return in_kernel_.load(std::memory_order_acquire); }

 private:
  struct alignas(base::kCacheLine) Prepared {
    std::atomic<std::uint32_t> version{0};
  };

  std::vector<Prepared> prepared_;
  alignas(base::kCacheLine) std::atomic<std::uint32_t> in_kernel_{0};
};

}  // namespace evenkeel::bucket
