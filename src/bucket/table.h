// The bucket table: which worker each bucket is assigned to, in versions.
//
// The control thread publishes a version; every dispatcher adopts it at a batch boundary and puts marks into
// the rings of the workers concerned; the workers hand the buckets over and report each one done
// (ARCHITECTURE.md, "Handover"). A version is published only when the one before it is settled: adopted by
// every dispatcher, and every move done. So two tables suffice, no reader ever sees one being written, and a
// bucket is in one handover at a time.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "base/units.h"
#include "evenkeel/ids.h"

namespace evenkeel::bucket {

// A bucket that changes hands from one version to the next.
struct Reassignment {
  BucketId bucket;
  ProcessorId from;
  ProcessorId to;
};

struct TableVersion {
  std::uint32_t version = 0;
  std::vector<std::uint16_t> owner;         // by bucket
  std::vector<Reassignment> reassignments;  // from the version before
};

class TableBoard {
 public:
  // Version 0: the owners given, one for each bucket, each below `processors`; where none are, bucket j
  // belongs to processor j % processors, as a NIC's indirection table starts.
  TableBoard(std::uint32_t buckets, std::uint32_t processors, std::uint32_t dispatchers,
             std::span<const ProcessorId> owners = {});

  std::uint32_t buckets() const { return buckets_; }

  // [control] The newest table. Valid until the next publish().
  const TableVersion& newest() const { return versions_[newest_]; }

  // [control] True when every dispatcher has adopted the newest version and every one of its moves is done.
  bool settled() const;

  // [control] Makes the next version from the newest and these reassignments. Requires settled(); each
  // reassignment names the bucket's present owner and another processor, and a bucket at most once.
  void publish(std::span<const Reassignment> reassignments);

  // [dispatcher] The newest version. Stays valid until this dispatcher adopted a newer one.
  const TableVersion& current() const { return *current_.load(std::memory_order_acquire); }

  // [dispatcher] Says that the dispatcher's marks of this version are in the rings and it reads the older one
  // no more.
  void adopt(DispatcherId dispatcher, std::uint32_t version);

  // [worker] Says that the worker owns one more bucket of the newest version's moves.
  void complete_one();

 private:
  struct alignas(base::kCacheLine) Adopted {
    std::atomic<std::uint32_t> version{0};
  };

  const std::uint32_t buckets_;
  std::array<TableVersion, 2> versions_;
  std::size_t newest_ = 0;
  std::uint64_t moves_published_ = 0;
  std::atomic<const TableVersion*> current_;
  std::vector<Adopted> adopted_;
  alignas(base::kCacheLine) std::atomic<std::uint64_t> moves_completed_{0};
};

}  // namespace evenkeel::bucket
