// Finds the connections that are far above all others: more than a gigabyte in ten seconds of packet time, or
// more than half of a worker's time.
//
// A worker shows the tracker a sample of what it serves, each sample standing for several packets. The
// tracker keeps the 64 connections that were heaviest lately, in 16 sets of 4 by hash: a newcomer takes the
// place of the lightest of its set. So the cost of a sample is constant, and what the tracker says of bytes
// and packets is an estimate: of n samples, to about 1 / sqrt(n).
//
// Sampled is the time in the handler. What a connection takes of the worker is its part of all samples, of
// the time that the worker was busy. What was shed of it counts as asked for: fair queueing would hide the
// heaviest of all else. Entries of a bucket that moves go along.
//
// Passive. Thread: [worker]; named() also by [control] when the worker has ended. No allocation after
// construction.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/units.h"
#include "evenkeel/packet.h"

namespace evenkeel::engine {

struct ElephantOptions {
  std::uint64_t window_bytes = 1'000'000'000;  // within window_ns: on the wire
  std::int64_t window_ns = 10 * base::kNanosecondsPerSecond;
  double worker_share = 0.5;  // of the worker's time within the window
};

// One of the named, as seen by one worker.
struct Elephant {
  ConnectionKey key;
  std::uint64_t hash = 0;
  std::uint64_t packets = 0;  // estimated, since it was noticed
  std::uint64_t bytes = 0;    // likewise
  std::int64_t first_ns = 0;  // packet time
  std::int64_t last_ns = 0;
  double share_max = 0;        // greatest share of the worker's time that it took within a window
  std::uint64_t shed = 0;      // packets that the queueing model took from it: counted, not estimated
  std::uint64_t bypassed = 0;  // packets of it that the handler did not want to see
};

class ElephantTracker {
 public:
  // ticks_min: a share of the worker's time is told only of at least this much time.
  ElephantTracker(const ElephantOptions& options, std::uint64_t now_ticks, std::uint64_t ticks_min);
  ~ElephantTracker();

  // `packet` and others of its connection were served: `packets` of `bytes` in all, within `ticks`. The
  // worker's clock says `now_ticks`, of which it was busy for `busy_ticks`. Returns whether the connection is
  // an elephant.
  bool note(const Packet& packet, std::uint64_t hash, std::uint64_t packets, std::uint64_t bytes,
            std::uint64_t ticks, std::uint64_t now_ticks, std::uint64_t busy_ticks);

  // A packet of this connection was shed, or bypassed. Counted where the connection is known.
  void note_shed(const Packet& packet, std::uint64_t hash);
  void note_bypassed(std::uint64_t hash) {
    if (Entry* entry = find(hash)) ++entry->seen.bypassed;
  }

  std::vector<Elephant> named() const;

  // What is known of the heavier connections of a bucket, taken out because it goes to another worker;
  // nullptr: nothing. It lies in this tracker, which must outlive the move. When so many are on their way
  // already that there is no room, less is known.
  struct Carried;
  Carried* take(std::uint16_t bucket);
  // The same at the bucket's next owner. `carried` goes back to where it came from.
  void put(Carried* carried);

 private:
  static constexpr std::size_t kSets = 16;
  static constexpr std::size_t kWays = 4;
  static constexpr std::size_t kSlots = 10;  // of a window
  // Of a bucket that goes, connections with less than this part of what makes an elephant are forgotten.
  static constexpr std::uint64_t kCarriedPart = 1024;
  static constexpr std::size_t kCarriedMax = 32;  // on their way at once

  // A connection that may become an elephant. Slot s of a window is at s % kSlots.
  struct Entry {
    Elephant seen;
    std::uint16_t bucket = 0;
    std::int64_t slot = 0;  // of the newest sample
    std::uint64_t window_bytes = 0;
    std::uint64_t window_ticks = 0;
    std::uint64_t window_packets = 0;  // served
    std::uint64_t window_shed = 0;
    std::array<std::uint64_t, kSlots> slot_bytes{};
    std::array<std::uint64_t, kSlots> slot_ticks{};
    std::array<std::uint64_t, kSlots> slot_packets{};
    std::array<std::uint64_t, kSlots> slot_shed{};
    bool used = false;
    bool named = false;
  };

  Entry* find(std::uint64_t hash);
  Entry* lightest_of(std::uint64_t hash);
  Entry* find_or_replace(const Packet& packet, std::uint64_t hash);
  void go_on_to(std::int64_t slot, std::uint64_t now_ticks, std::uint64_t busy_ticks);
  bool is_worth_carrying(const Entry& entry) const;
  Carried* free_carried();
  void keep_aside(const Elephant& elephant);
  static void forget_before(Entry& entry, std::int64_t slot);
  void judge(Entry& entry, std::uint64_t now_ticks, std::uint64_t busy_ticks);

  const ElephantOptions options_;
  const std::int64_t slot_ns_;
  const std::uint64_t ticks_min_;
  std::uint64_t start_ticks_;
  std::int64_t slot_ = -1;                              // the newest
  std::array<std::uint64_t, kSlots> slot_start_ticks_;  // by the worker's clock
  std::array<std::uint64_t, kSlots> slot_start_busy_{};
  std::array<std::uint64_t, kSlots> slot_sampled_{};  // ticks of all samples
  std::uint64_t window_sampled_ = 0;
  std::vector<Entry> entries_;
  std::unique_ptr<Carried[]> carried_;
  std::vector<Elephant>
      crowded_out_;  // named ones that came with a bucket and found their set full of others
};

}  // namespace evenkeel::engine
