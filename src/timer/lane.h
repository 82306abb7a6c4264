// A way for calls into the service: some threads share a lane, and a lane has a ring to each timer thread.
//
// For the handover a lane is a dispatcher (bucket/table.h): it adopts a new table by putting marks into its
// rings. The control thread has it done for lanes that nobody uses, which is why a lane is locked: the lock
// is the callers' own, no timer thread ever waits for it except to call for a connection of another thread.
#pragma once

#include <mutex>
#include <vector>

#include "bucket/table.h"
#include "evenkeel/ids.h"
#include "timer/command.h"

namespace evenkeel::timer {

class Lane {
 public:
  Lane(DispatcherId id, bucket::TableBoard& board, std::vector<CommandRing*> rings);

  // [any] Passes the command to the owner of its bucket. False: that ring is full.
  bool send(const TimerCommand& command);

  // [any] Adopts the newest table. False: some marks still wait for room in a ring; call again.
  bool adopt_newest();

 private:
  void adopt_locked();
  bool flush_locked(std::uint32_t worker);
  void stage(ProcessorId worker, TimerCommand::Kind kind, BucketId bucket);

  std::mutex mutex_;
  const DispatcherId id_;
  bucket::TableBoard& board_;
  const bucket::TableVersion* table_;
  const std::vector<CommandRing*> rings_;           // by worker
  std::vector<std::vector<TimerCommand>> waiting_;  // marks, by worker, in front of all later commands
};

}  // namespace evenkeel::timer
