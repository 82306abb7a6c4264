// The two ends of a bucket's handover, whatever the bucket holds.
//
// A bucket moves from worker X to worker Y in table version v. Every dispatcher puts a release mark for it
// into X's ring and an acquire mark into Y's (table.h). X serves the bucket until it has passed the release
// mark of every dispatcher, then lets go. Y, from the first acquire mark on, sets aside what comes for the
// bucket; when X has let go, Y takes over.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "bucket/table.h"
#include "evenkeel/ids.h"

namespace evenkeel::bucket {

// What a bucket carries of its handover. `owner` names the worker that may touch the bucket.
struct Ownership {
  // The owner of a bucket that is between its old and its new owner.
  static constexpr std::uint32_t kNoOwner = ~std::uint32_t{0};

  // Written by the worker that takes over or lets go; read by others only to ask "is it me?", which only they
  // themselves can make true.
  std::atomic<std::uint32_t> owner{kNoOwner};
  std::uint32_t release_marks = 0;  // [owner] of the present handover: one comes from each dispatcher
  bool awaited = false;             // [next owner] it has seen the acquire mark

  // The table version for which the old owner has let go. Its release store and the next owner's acquire load
  // make all that the old owner did to the bucket happen before what the next one does.
  std::atomic<std::uint32_t> released_version{0};

  // [worker] Relaxed: only this worker ever makes it equal to its own id.
  bool is_of(ProcessorId worker) const { return owner.load(std::memory_order_relaxed) == worker.value(); }
};

// One worker's side. Thread: [worker].
class HandoverEnd {
 public:
  HandoverEnd(ProcessorId worker, std::uint32_t dispatchers, TableBoard& board)
      : worker_(worker), dispatchers_(dispatchers), board_(board) {
    awaited_.reserve(board.buckets());
  }

  bool owns(const Ownership& bucket) const { return bucket.is_of(worker_); }
  // Whether it waits for buckets that their old owners have not let go.
  bool waits() const { return !awaited_.empty(); }

  // Counts a release mark; true if it was the last one: then put the bucket in order and let_go().
  bool is_last_release(Ownership& bucket) { return ++bucket.release_marks == dispatchers_; }

  void let_go(Ownership& bucket, std::uint32_t version) {
    bucket.release_marks = 0;
    bucket.owner.store(Ownership::kNoOwner, std::memory_order_relaxed);
    // Release: pairs with the acquire in take_over(); all that was done to the bucket here happens before.
    bucket.released_version.store(version, std::memory_order_release);
  }

  // The first dispatcher's mark counts; those of the others may even come when the bucket is here already,
  // and its next owner awaits it: so whether it is here is asked first, as `awaited` is the next owner's
  // then.
  void acquire_mark(BucketId id, Ownership& bucket, std::uint32_t version) {
    if (owns(bucket) || bucket.awaited) return;
    bucket.awaited = true;
    awaited_.push_back({id, version});
  }

  // Takes over what was let go: begin(BucketId) is called when the bucket is owned. Returns how many.
  // `at_once` is a deliberate fault: not to wait for the old owner.
  template <typename OwnershipOf, typename Begin>
  std::size_t take_over(OwnershipOf&& ownership_of, Begin&& begin, bool at_once = false) {
    return take_over_if(ownership_of, begin, at_once, [](BucketId) { return true; });
  }
  // The same, of those only of which may_begin(BucketId) says so; the others stay awaited.
  template <typename OwnershipOf, typename Begin, typename MayBegin>
  std::size_t take_over_if(OwnershipOf&& ownership_of, Begin&& begin, bool at_once, MayBegin&& may_begin) {
    if (awaited_.empty()) return 0;
    return std::erase_if(awaited_, [&](const Awaited& awaited) {
      Ownership& bucket = ownership_of(awaited.bucket);
      // Acquire: pairs with the release in let_go().
      if (bucket.released_version.load(std::memory_order_acquire) != awaited.version && !at_once)
        return false;
      if (!may_begin(awaited.bucket)) return false;
      bucket.owner.store(worker_.value(), std::memory_order_relaxed);
      bucket.awaited = false;
      begin(awaited.bucket);
      board_.complete_one();
      return true;
    });
  }

 private:
  // A bucket whose acquire mark was seen, while its old owner has not let go.
  struct Awaited {
    BucketId bucket;
    std::uint32_t version;
  };

  const ProcessorId worker_;
  const std::uint32_t dispatchers_;
  TableBoard& board_;
  std::vector<Awaited> awaited_;
};

}  // namespace evenkeel::bucket
