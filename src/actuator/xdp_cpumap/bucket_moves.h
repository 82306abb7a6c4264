// Moves of buckets from CPU to CPU, from the control side of the shared state words (src/bpf/constants.h).
// The kernel program completes a move at a packet that finds nothing of its bucket in flight; here moves are
// asked for, those of silent buckets are completed, deadlines are kept and lost packets are written off.
//
// Invariant: every change of a word is one compare-and-exchange, which fails if the kernel program counted a
// packet or moved the bucket in between; it is then tried anew on what stands there. The operations are
// sequentially consistent: they pair with the kernel's, which are, and they are rare.
//
// Thread: [control]. Times: nanoseconds of the monotonic clock, given by the caller.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "actuator/steering.h"
#include "bpf/constants.h"

namespace evenkeel::actuator {

struct BucketMovesOptions {
  MoveOrder order = MoveOrder::kIdleFirst;
  std::int64_t deadline_ns = 250'000'000;  // of kIdleFirst
  // A bucket is silent when none of its packets was sent or in flight for so long ...
  std::int64_t silence_ns = 5'000'000;
};

// ... and when the thread of its target has handed on all that has arrived, which the owner of the threads
// knows. `stamp`: of the bucket's last arrival.
class Delivery {
 public:
  virtual ~Delivery() = default;
  virtual bool delivered(std::uint64_t stamp) = 0;
};

struct BucketMovesCounts {
  std::uint64_t wanted = 0;
  std::uint64_t done = 0;
  std::uint64_t forced = 0;
  std::uint64_t withdrawn = 0;
  std::uint64_t reorder_risk = 0;
  std::uint64_t written_off = 0;  // packets counted as sent that were lost on the way
};

class BucketMoves {
 public:
  BucketMoves(std::span<evenkeel_bucket_state> states, std::span<evenkeel_bucket_arrival> arrivals,
              Delivery& delivery, const BucketMovesOptions& options);

  // Before packets flow: sets the target and forgets all else.
  void place(std::uint32_t bucket, std::uint32_t target);

  // Wants `bucket` at `target`. A wish that was pending for it is withdrawn.
  void want(std::uint32_t bucket, std::uint32_t target, std::int64_t now_ns);

  // The targets that were overloaded when last measured: their buckets are those that kIdleFirst moves at the
  // deadline.
  void note_overloaded(std::vector<std::uint32_t> targets) { overloaded_ = std::move(targets); }

  // Completes what can be: silent buckets, and overloaded ones behind their deadline.
  void settle(std::int64_t now_ns);

  // Completes all that is pending, and counts what was in flight.
  void force_all();

  // Gives up all that is pending; the buckets stay where they are.
  void withdraw_all();

  std::size_t pending() const { return pending_.size(); }
  const BucketMovesCounts& counts() const { return counts_; }

  std::uint32_t target(std::uint32_t bucket) const;
  std::uint32_t sent(std::uint32_t bucket) const;
  // Packets sent and not arrived, lost ones included until they are written off.
  std::uint32_t in_flight(std::uint32_t bucket) const;

  // Packets of `bucket` up to count `sent` have arrived or are lost: those missing are written off.
  void write_off(std::uint32_t bucket, std::uint32_t sent);

 private:
  struct Pending {
    std::uint32_t bucket;
    std::uint32_t target;
    std::int64_t deadline_ns;
    std::uint32_t clean_sent = 0;     // count at which nothing was in flight ...
    std::int64_t clean_since_ns = 0;  // ... since then; 0: something was
  };

  void give_up_earlier(std::uint32_t bucket);
  bool settle_one(Pending& pending, std::int64_t now_ns);
  bool is_overdue(const Pending& pending, std::uint64_t word, std::int64_t now_ns) const;
  bool is_silent(Pending& pending, std::uint64_t word, std::int64_t now_ns) const;
  void force(std::uint32_t bucket, std::uint32_t target);
  bool exchange(std::uint32_t bucket, std::uint64_t& expected, std::uint32_t target, std::uint32_t pending);
  std::uint64_t word(std::uint32_t bucket) const;
  std::uint32_t arrived(std::uint32_t bucket) const;

  std::span<evenkeel_bucket_state> states_;
  std::span<evenkeel_bucket_arrival> arrivals_;
  Delivery* delivery_;
  BucketMovesOptions options_;
  BucketMovesCounts counts_;
  std::vector<Pending> pending_;
  std::vector<bool> is_pending_;  // by bucket: whether it is in there
  std::vector<std::uint32_t> overloaded_;
};

}  // namespace evenkeel::actuator
