#include "timer/lane.h"

#include <utility>

namespace evenkeel::timer {

Lane::Lane(DispatcherId id, bucket::TableBoard& board, std::vector<CommandRing*> rings)
    : id_(id), board_(board), table_(&board.current()), rings_(std::move(rings)), waiting_(rings_.size()) {}

bool Lane::send(const TimerCommand& command) {
  const std::lock_guard lock(mutex_);
  adopt_locked();
  const std::uint32_t worker = table_->owner[command.bucket];
  return flush_locked(worker) && rings_[worker]->push({&command, 1}) == 1;
}

bool Lane::adopt_newest() {
  const std::lock_guard lock(mutex_);
  adopt_locked();
  bool flushed = true;
  for (std::uint32_t worker = 0; worker < rings_.size(); ++worker) flushed &= flush_locked(worker);
  return flushed;
}

void Lane::adopt_locked() {
  const bucket::TableVersion& newest = board_.current();
  if (newest.version == table_->version) return;
  table_ = &newest;
  for (const bucket::Reassignment& move : newest.reassignments) {
    stage(move.from, TimerCommand::Kind::kReleaseMark, move.bucket);
    stage(move.to, TimerCommand::Kind::kAcquireMark, move.bucket);
  }
  // The marks stand before any later command, which is all that adoption promises; a full ring only delays
  // them.
  board_.adopt(id_, newest.version);
}

bool Lane::flush_locked(std::uint32_t worker) {
  std::vector<TimerCommand>& waiting = waiting_[worker];
  if (waiting.empty()) return true;
  const std::size_t pushed = rings_[worker]->push(waiting);
  waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(pushed));
  return waiting.empty();
}

void Lane::stage(ProcessorId worker, TimerCommand::Kind kind, BucketId bucket) {
  waiting_[worker.value()].push_back({.kind = kind,
                                      .bucket = static_cast<std::uint16_t>(bucket.value()),
                                      .slot_or_version = table_->version});
}

}  // namespace evenkeel::timer
