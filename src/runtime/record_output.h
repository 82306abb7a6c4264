// Writes the records of all workers: a queue for each worker and one thread that formats and writes.
//
// Thread: open and finish [control]; each sink [worker].
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "evenkeel/ids.h"
#include "evenkeel/result.h"
#include "flow/record_queue.h"
#include "flow/record_writer.h"

namespace evenkeel::runtime {

class RecordOutput {
 public:
  // Begins the thread. Fails where `path` cannot be written.
  static Result<std::unique_ptr<RecordOutput>> open(const std::string& path, flow::RecordFormat format,
                                                    std::uint32_t workers);
  ~RecordOutput();

  flow::RecordSink& sink(ProcessorId worker) { return *queues_[worker.value()]; }

  // [any] Writing has failed: records are taken and lost from now on; finish() says why.
  bool failed() const { return failed_.load(std::memory_order_relaxed); }

  // Writes what is queued and closes, after the last worker has written. The first error of all writes.
  Result<void> finish();

 private:
  RecordOutput(flow::RecordWriter writer, std::uint32_t workers);
  void write_until_finished();
  std::size_t write_queued();
  void join();

  flow::RecordWriter writer_;
  std::vector<std::unique_ptr<flow::RecordQueue>> queues_;
  std::array<flow::FlowRecord, 64> taken_;  // [writer]
  std::atomic<bool> finishing_{false};
  std::atomic<bool> failed_{false};
  std::thread thread_;
};

}  // namespace evenkeel::runtime
