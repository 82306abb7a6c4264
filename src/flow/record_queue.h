// From a worker to the thread that writes records: a ring, so that formatting and system calls stay off the
// packet path.
#pragma once

#include <atomic>
#include <cstddef>
#include <span>
#include <thread>

#include "engine/ring.h"
#include "flow/meter.h"
#include "flow/record.h"

namespace evenkeel::flow {

class RecordQueue : public RecordSink {
 public:
  static constexpr std::size_t kCapacity = 4096;

  // [worker] Waits while the queue is full: records are never lost, a slow output slows the worker down.
  void write(const FlowRecord& record) override {
    while (ring_.push({&record, 1}) == 0) std::this_thread::yield();
  }

  // [writer]
  std::size_t take(std::span<FlowRecord> out) { return ring_.pop(out); }

 private:
  engine::Ring<FlowRecord> ring_{kCapacity};
};

}  // namespace evenkeel::flow
