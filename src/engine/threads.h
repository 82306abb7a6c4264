// Drives an engine by threads: one for each dispatcher, one for each worker; or, where each worker's packets
// come to a dispatcher of its own, one for both.
//
// Thread: [control], one.
#pragma once

#include <cstdint>
#include <functional>
#include <latch>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "engine/dispatcher.h"
#include "engine/thread_time.h"
#include "evenkeel/result.h"

namespace evenkeel::engine {

// What a thread does when it finds nothing to do: first it spins, as work mostly comes within a microsecond;
// then it offers its processor to others, as there may be more threads than processors; then it sleeps, at
// most 50 us at a time.
class Backoff {
 public:
  void reset() { rounds_ = 0; }
  void wait();

 private:
  static constexpr std::uint32_t kSpins = 64;
  static constexpr std::uint32_t kYields = 64;
  static constexpr std::uint32_t kSleepNanoseconds = 50'000;

  std::uint32_t rounds_ = 0;
};

// Keeps the calling thread to these processors; does nothing where there are none or the system refuses.
void pin_this_thread(std::span<const std::uint32_t> cpus);
// The processors that this process may run on, ascending.
std::vector<std::uint32_t> allowed_cpus();

// A step of a loop thread: what it did tells the loop whether to go on at once, to wait, or to end.
enum class StepResult : std::uint8_t { kWorked, kIdle, kFinished };
void run_loop(const std::function<StepResult()>& step);

// For one thread that drives dispatcher i and worker i.
struct FusedLoop {
  // Waits for the source's next packets, but no longer than a worker may leave its rings alone (1 ms).
  std::function<void(std::size_t)> wait;
  // Whether more than about so many packets wait at the source, or it is about to lose some for lack of room.
  std::function<bool(std::size_t, std::size_t)> backlogged;
};
// What waits at the source waits first in, first out. When that is more work than so many quanta, it is taken
// in, where the queueing model tells connections apart and sheds fairly; what piled up while the thread was
// not scheduled for a moment is not.
inline constexpr std::size_t kPatienceQuanta = 20;
// Bursts that are then taken in at least before a batch is served; more, as long as it takes no longer than
// the batch before did: taking in must not leave the worker without time to serve.
inline constexpr int kBacklogBursts = 4;
inline constexpr int kBacklogBurstsMax = 32;  // a worker's step takes in no more

// For whom this thread works; nullptr: for nobody. An engine's threads work for whom the thread works that
// started them, so that a call from inside (a handler's, say) can be told from one from outside.
inline thread_local const void* thread_owner = nullptr;

template <typename Engine>
class EngineThreads {
 public:
  // worker_cpus: by worker, to which its thread is pinned; empty: none is pinned. dispatcher_cpus: to which
  // dispatchers are kept, together; empty: they run anywhere.
  EngineThreads(Engine& engine, std::vector<std::uint32_t> worker_cpus,
                std::vector<std::uint32_t> dispatcher_cpus = {}, FusedLoop fused = {})
      : engine_(engine),
        fused_(std::move(fused)),
        worker_cpus_(std::move(worker_cpus)),
        dispatcher_cpus_(std::move(dispatcher_cpus)),
        all_finished_(static_cast<std::ptrdiff_t>(engine.workers().size())),
        times_(engine.workers().size()) {}
  ~EngineThreads() { join(); }

  // Where the system gives fewer threads than are needed, none of them begins, and the error says so.
  Result<void> start() {
    const std::size_t workers = engine_.workers().size();
    const std::size_t needed = fused_.wait ? workers : workers + engine_.dispatchers().size();
    const bool complete = make_threads(needed, [this, workers, owner = thread_owner](std::size_t i) {
      thread_owner = owner;
      begin_.wait();
      if (cancelled_) return;
      if (fused_.wait) return work_and_dispatch(i);
      i < workers ? work(i) : dispatch(i - workers);
    });
    cancelled_ = !complete;
    begin_.count_down();
    if (complete) return {};
    join();
    return runtime_error("the system gives no more threads: this needs " + std::to_string(needed));
  }

  // Processor time of a worker's thread so far, or of its whole life.
  std::uint64_t worker_time_ns(ProcessorId worker) const { return times_[worker.value()].nanoseconds(); }

  // Treats all sources as ended.
  void stop() {
    for (const auto& dispatcher : engine_.dispatchers()) dispatcher->stop();
  }

  // To be called when the last table version was published; the threads end when their sources have.
  void finish() {
    for (const auto& dispatcher : engine_.dispatchers()) dispatcher->finish();
  }

  // Returns when all threads have ended and all connections are closed. Requires finish().
  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  template <typename Body>
  bool make_threads(std::size_t count, Body body) {
    try {
      for (std::size_t i = 0; i < count; ++i) threads_.emplace_back(body, i);
      return true;
    } catch (const std::system_error&) {
      return false;
    }
  }

  void work(std::size_t index) {
    times_[index].begin();
    if (!worker_cpus_.empty()) pin_this_thread({&worker_cpus_[index], 1});
    auto& worker = *engine_.workers()[index];
    run_loop([&] {
      if (worker.step()) return StepResult::kWorked;
      return worker.finished() ? StepResult::kFinished : StepResult::kIdle;
    });
    // Only when no worker opens any more: what one frees, others would fill beyond the limit.
    all_finished_.arrive_and_wait();
    worker.close_all(engine_.handed_over_ns());
    times_[index].end();
  }

  void work_and_dispatch(std::size_t index) {
    times_[index].begin();
    if (!worker_cpus_.empty()) pin_this_thread({&worker_cpus_[index], 1});
    auto& worker = *engine_.workers()[index];
    Dispatcher& dispatcher = *engine_.dispatchers()[index];
    std::uint64_t served_ticks = 0;  // of the last step of the worker
    for (bool dispatched = false; !dispatched || !worker.finished();) {
      bool worked = false;
      const std::uint64_t start = base::CycleClock::ticks();
      for (int bursts = 0; !dispatched && bursts < kBacklogBurstsMax; ++bursts) {
        if (bursts >= kBacklogBursts && base::CycleClock::ticks() - start > served_ticks) break;
        const DispatchStatus status = dispatcher.step();
        dispatched = status == DispatchStatus::kFinished;
        if (status != DispatchStatus::kWorked) break;
        worked = true;
        if (!worker.queues() || !fused_.backlogged(index, kPatienceQuanta * worker.straight_max())) break;
      }
      const std::uint64_t taken_in = base::CycleClock::ticks();
      if (worked) worker.add_busy(taken_in - start);
      const bool served = worker.step();
      served_ticks = base::CycleClock::ticks() - taken_in;
      worked |= served;
      if (!worked) fused_.wait(index);
    }
    all_finished_.arrive_and_wait();
    worker.close_all(engine_.handed_over_ns());
    times_[index].end();
  }

  void dispatch(std::size_t index) {
    pin_this_thread(dispatcher_cpus_);
    Dispatcher& dispatcher = *engine_.dispatchers()[index];
    run_loop([&] {
      switch (dispatcher.step()) {
        case DispatchStatus::kWorked:
          return StepResult::kWorked;
        case DispatchStatus::kFinished:
          return StepResult::kFinished;
        default:
          return StepResult::kIdle;
      }
    });
  }

  Engine& engine_;
  FusedLoop fused_;
  std::vector<std::uint32_t> worker_cpus_, dispatcher_cpus_;
  std::latch begin_{1};
  bool cancelled_ = false;         // written before begin_ is counted down, which orders it
  std::latch all_finished_;        // workers to which no packet will come any more
  std::vector<ThreadTime> times_;  // by worker
  std::vector<std::thread> threads_;
};

}  // namespace evenkeel::engine
