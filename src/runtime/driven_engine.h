// An engine with its threads, whatever its handler: what a run needs of it. Virtual calls are of the control
// plane only; on the packet path the handler is a template argument.
//
// Thread: [control] but where noted.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "bucket/table.h"
#include "control/topology.h"
#include "engine/elephants.h"
#include "engine/engine.h"
#include "engine/threads.h"
#include "evenkeel/result.h"

namespace evenkeel::runtime {

class DrivenEngine {
 public:
  virtual ~DrivenEngine() = default;

  virtual bucket::TableBoard& board() = 0;
  // [any] Counters.
  virtual std::span<const engine::DispatcherMeters> dispatcher_meters() const = 0;
  virtual std::span<const meter::WorkerMeters> worker_meters() const = 0;
  virtual std::span<const meter::BucketMeters> bucket_meters() const = 0;
  virtual std::span<const meter::QueueMeters> queue_meters() const = 0;
  // [any] See engine.h.
  virtual std::uint64_t waiting(ProcessorId worker) const = 0;
  virtual bool drained() const = 0;
  // When the threads have ended.
  virtual std::vector<engine::Elephant> elephants(ProcessorId worker) const = 0;

  // See threads.h; start() comes first, and once.
  virtual Result<void> start(const control::Placement& placement, engine::FusedLoop fused) = 0;
  virtual void stop() = 0;
  virtual void finish() = 0;
  virtual void join() = 0;
  // [any] after start().
  virtual std::uint64_t worker_time_ns(ProcessorId worker) const = 0;
};

template <engine::Handler H>
class DrivenEngineOf final : public DrivenEngine {
 public:
  // make_handler: see Engine::make().
  template <typename MakeHandler>
  static Result<std::unique_ptr<DrivenEngine>> make(const engine::EngineOptions& options,
                                                    std::vector<Source*> sources, packet::Hasher hasher,
                                                    MakeHandler&& make_handler) {
    auto engine =
        Engine::make(options, std::move(sources), std::move(hasher), std::forward<MakeHandler>(make_handler),
                     [](ProcessorId) { return base::CycleClock{}; });
    if (!engine) return engine.error();
    return std::unique_ptr<DrivenEngine>(new DrivenEngineOf(std::move(*engine)));
  }

  bucket::TableBoard& board() override { return engine_->board(); }
  std::span<const engine::DispatcherMeters> dispatcher_meters() const override {
    return engine_->dispatcher_meters();
  }
  std::span<const meter::WorkerMeters> worker_meters() const override { return engine_->worker_meters(); }
  std::span<const meter::BucketMeters> bucket_meters() const override { return engine_->bucket_meters(); }
  std::span<const meter::QueueMeters> queue_meters() const override { return engine_->queue_meters(); }
  std::uint64_t waiting(ProcessorId worker) const override { return engine_->waiting(worker); }
  bool drained() const override { return engine_->drained(); }
  std::vector<engine::Elephant> elephants(ProcessorId worker) const override {
    return engine_->workers()[worker.value()]->elephants();
  }

  Result<void> start(const control::Placement& placement, engine::FusedLoop fused) override {
    threads_.emplace(*engine_, placement.workers, placement.dispatchers, std::move(fused));
    return threads_->start();
  }
  void stop() override { threads_->stop(); }
  void finish() override { threads_->finish(); }
  void join() override { threads_->join(); }
  std::uint64_t worker_time_ns(ProcessorId worker) const override {
    return threads_ ? threads_->worker_time_ns(worker) : 0;
  }

 private:
  using Engine = engine::Engine<H, base::CycleClock>;

  explicit DrivenEngineOf(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

  std::unique_ptr<Engine> engine_;
  std::optional<engine::EngineThreads<Engine>> threads_;
};

}  // namespace evenkeel::runtime
