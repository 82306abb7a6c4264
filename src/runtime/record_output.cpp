#include "runtime/record_output.h"

#include "engine/threads.h"

namespace evenkeel::runtime {

Result<std::unique_ptr<RecordOutput>> RecordOutput::open(const std::string& path, flow::RecordFormat format,
                                                         std::uint32_t workers) {
  auto writer = flow::RecordWriter::open(path, format);
  if (!writer) return writer.error();
  return std::unique_ptr<RecordOutput>(new RecordOutput(std::move(*writer), workers));
}

RecordOutput::RecordOutput(flow::RecordWriter writer, std::uint32_t workers) : writer_(std::move(writer)) {
  for (std::uint32_t i = 0; i < workers; ++i) queues_.push_back(std::make_unique<flow::RecordQueue>());
  thread_ = std::thread([this] { write_until_finished(); });
}

RecordOutput::~RecordOutput() { join(); }

void RecordOutput::write_until_finished() {
  engine::run_loop([this] {
    // Acquire, and read before the queues: when it is set and the queues are then empty, all is written.
    const bool finishing = finishing_.load(std::memory_order_acquire);
    if (write_queued() != 0) return engine::StepResult::kWorked;
    if (!writer_.flush()) failed_.store(true, std::memory_order_relaxed);
    return finishing ? engine::StepResult::kFinished : engine::StepResult::kIdle;
  });
}

std::size_t RecordOutput::write_queued() {
  std::size_t written = 0;
  for (const auto& queue : queues_) {
    const std::size_t count = queue->take(taken_);
    for (std::size_t i = 0; i < count; ++i) {
      if (!writer_.write(taken_[i])) failed_.store(true, std::memory_order_relaxed);
    }
    written += count;
  }
  return written;
}

void RecordOutput::join() {
  // Release: what the workers queued before is seen by the thread that sees this.
  finishing_.store(true, std::memory_order_release);
  if (thread_.joinable()) thread_.join();
}

Result<void> RecordOutput::finish() {
  join();
  return writer_.finish();
}

}  // namespace evenkeel::runtime
