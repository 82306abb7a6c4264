#include "actuator/xdp_cpumap/bucket_moves.h"

#include <algorithm>

#include "base/check.h"

namespace evenkeel::actuator {
namespace {

constexpr std::uint32_t target_of(std::uint64_t word) {
  return static_cast<std::uint32_t>(word >> kStateTargetShift) & kTargetMask;
}
constexpr std::uint32_t pending_of(std::uint64_t word) {
  return static_cast<std::uint32_t>(word) & kTargetMask;
}
constexpr std::uint32_t sent_of(std::uint64_t word) {
  return static_cast<std::uint32_t>(word >> kStateSentShift);
}
constexpr std::uint64_t make_word(std::uint32_t sent, std::uint32_t target, std::uint32_t pending) {
  return std::uint64_t{sent} << kStateSentShift | std::uint64_t{target} << kStateTargetShift | pending;
}

}  // namespace

BucketMoves::BucketMoves(std::span<evenkeel_bucket_state> states, std::span<evenkeel_bucket_arrival> arrivals,
                         Delivery& delivery, const BucketMovesOptions& options)
    : states_(states),
      arrivals_(arrivals),
      delivery_(&delivery),
      options_(options),
      is_pending_(states.size()) {
  CHECK(states.size() == arrivals.size());
}

std::uint64_t BucketMoves::word(std::uint32_t bucket) const {
  return __atomic_load_n(&states_[bucket].word, __ATOMIC_SEQ_CST);
}
std::uint32_t BucketMoves::arrived(std::uint32_t bucket) const {
  return static_cast<std::uint32_t>(__atomic_load_n(&arrivals_[bucket].packets, __ATOMIC_SEQ_CST));
}
std::uint32_t BucketMoves::target(std::uint32_t bucket) const { return target_of(word(bucket)); }
std::uint32_t BucketMoves::sent(std::uint32_t bucket) const { return sent_of(word(bucket)); }

// Arrivals are read first: a packet that arrives in between is then seen as in flight, never the reverse.
std::uint32_t BucketMoves::in_flight(std::uint32_t bucket) const {
  const std::uint32_t before = arrived(bucket);
  return sent(bucket) - before;
}

void BucketMoves::place(std::uint32_t bucket, std::uint32_t target) {
  const std::uint64_t fresh = make_word(0, target, kTargetNone);
  __atomic_store_n(&states_[bucket].word, fresh, __ATOMIC_SEQ_CST);
  __atomic_store_n(&arrivals_[bucket].packets, 0, __ATOMIC_SEQ_CST);
  __atomic_store_n(&arrivals_[bucket].stamp, kTargetInline, __ATOMIC_SEQ_CST);
}

bool BucketMoves::exchange(std::uint32_t bucket, std::uint64_t& expected, std::uint32_t target,
                           std::uint32_t pending) {
  const std::uint64_t desired = make_word(sent_of(expected), target, pending);
  __u64 found = expected;  // the kernel's own 64 bits, another type to clang
  const bool done = __atomic_compare_exchange_n(&states_[bucket].word, &found, desired, false,
                                                __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  expected = found;
  return done;
}

void BucketMoves::give_up_earlier(std::uint32_t bucket) {
  if (!is_pending_[bucket]) return;
  const auto earlier = std::find_if(pending_.begin(), pending_.end(),
                                    [bucket](const Pending& pending) { return pending.bucket == bucket; });
  const bool done = target_of(word(bucket)) == earlier->target;
  ++(done ? counts_.done : counts_.withdrawn);
  pending_.erase(earlier);
  is_pending_[bucket] = false;
}

void BucketMoves::want(std::uint32_t bucket, std::uint32_t target, std::int64_t now_ns) {
  give_up_earlier(bucket);
  ++counts_.wanted;
  if (options_.order == MoveOrder::kFast) return force(bucket, target);
  std::uint64_t expected = word(bucket);
  while (!exchange(bucket, expected, target_of(expected), target)) {
  }
  pending_.push_back({.bucket = bucket, .target = target, .deadline_ns = now_ns + options_.deadline_ns});
  is_pending_[bucket] = true;
}

void BucketMoves::force(std::uint32_t bucket, std::uint32_t target) {
  std::uint64_t expected = word(bucket);
  std::uint32_t behind = 0;
  do {
    if (target_of(expected) == target) break;
    behind = sent_of(expected) - arrived(bucket);
  } while (!exchange(bucket, expected, target, kTargetNone));
  ++counts_.done;
  if (behind == 0) return;
  ++counts_.forced;
  counts_.reorder_risk += behind;
}

// Nothing was sent and nothing was in flight for the whole of silence_ns, and what had arrived was delivered.
bool BucketMoves::is_silent(Pending& pending, std::uint64_t word, std::int64_t now_ns) const {
  const std::uint32_t sent = sent_of(word);
  if (arrived(pending.bucket) != sent) {
    pending.clean_since_ns = 0;
    return false;
  }
  if (pending.clean_since_ns == 0 || pending.clean_sent != sent) {
    pending.clean_since_ns = now_ns;
    pending.clean_sent = sent;
    return false;
  }
  return now_ns - pending.clean_since_ns >= options_.silence_ns &&
         delivery_->delivered(__atomic_load_n(&arrivals_[pending.bucket].stamp, __ATOMIC_SEQ_CST));
}

bool BucketMoves::is_overdue(const Pending& pending, std::uint64_t word, std::int64_t now_ns) const {
  return options_.order == MoveOrder::kIdleFirst && now_ns >= pending.deadline_ns &&
         std::find(overloaded_.begin(), overloaded_.end(), target_of(word)) != overloaded_.end();
}

bool BucketMoves::settle_one(Pending& pending, std::int64_t now_ns) {
  std::uint64_t expected = word(pending.bucket);
  if (target_of(expected) == pending.target && pending_of(expected) == kTargetNone) {
    ++counts_.done;  // by the kernel program
    return true;
  }
  if (is_silent(pending, expected, now_ns)) {
    const bool moved = exchange(pending.bucket, expected, pending.target, kTargetNone);
    counts_.done += moved ? 1 : 0;
    return moved;
  }
  if (!is_overdue(pending, expected, now_ns)) return false;
  force(pending.bucket, pending.target);
  return true;
}

void BucketMoves::settle(std::int64_t now_ns) {
  std::erase_if(pending_, [&](Pending& pending) {
    if (!settle_one(pending, now_ns)) return false;
    is_pending_[pending.bucket] = false;
    return true;
  });
}

void BucketMoves::force_all() {
  for (const Pending& pending : pending_) force(pending.bucket, pending.target);
  pending_.clear();
  is_pending_.assign(is_pending_.size(), false);
}

void BucketMoves::withdraw_all() {
  for (const Pending& pending : pending_) {
    std::uint64_t expected = word(pending.bucket);
    while (pending_of(expected) != kTargetNone &&
           !exchange(pending.bucket, expected, target_of(expected), kTargetNone)) {
    }
    ++(target_of(word(pending.bucket)) == pending.target ? counts_.done : counts_.withdrawn);
  }
  pending_.clear();
  is_pending_.assign(is_pending_.size(), false);
}

void BucketMoves::write_off(std::uint32_t bucket, std::uint32_t sent) {
  const auto lost = static_cast<std::int32_t>(sent - arrived(bucket));
  if (lost <= 0) return;
  __atomic_fetch_add(&arrivals_[bucket].packets, static_cast<std::uint64_t>(lost), __ATOMIC_SEQ_CST);
  counts_.written_off += static_cast<std::uint64_t>(lost);
}

}  // namespace evenkeel::actuator
