// The threads of a timer service: timer threads, the control thread, and the callers' way in.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <memory>
#include <new>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "actuator/in_process/table_actuator.h"
#include "base/clock.h"
#include "control/load_meter.h"
#include "control/loop.h"
#include "engine/threads.h"
#include "evenkeel/policy.h"
#include "evenkeel/timer_service.h"
#include "packet/hash.h"
#include "timer/core.h"
#include "timer/worker.h"

namespace evenkeel::timer {

namespace {

// The system's monotonic clock; its ticks are nanoseconds, so that callers on any processor agree on the
// time.
class MonotonicClock {
 public:
  static std::uint64_t ticks() { return static_cast<std::uint64_t>(base::monotonic_nanoseconds()); }
  static double ticks_per_nanosecond() { return 1.0; }
};
static_assert(base::TickClock<MonotonicClock>);

// Threads that call the service share these; more would cost rings, fewer would make them wait for each
// other.
constexpr std::uint32_t kCallerLanes = 4;
// Longest sleep of an idle timer thread. Calls that come meanwhile wait for its end: it is at most a tick, so
// that no timer they start is late for it.
constexpr std::int64_t kNapMax_ns = 1'000'000;
// A thread has a ring from each lane. Of many threads they are smaller, so that all hold 64 MB or so.
std::size_t ring_capacity(std::uint32_t threads) {
  constexpr std::size_t kCommandsMax = (std::size_t{64} << 20) / sizeof(TimerCommand);
  const std::size_t rings = std::size_t{threads} * (threads + kCallerLanes);
  return std::bit_floor(std::clamp<std::size_t>(kCommandsMax / rings, 16, 4096));
}
// How often the control thread looks whether marks found room in the rings.
constexpr std::chrono::milliseconds kFlushInterval{1};

class Service;

struct CallHandler {
  Service* service;
  void operator()(const TimerExpiry& expiry) const;
};

using Worker = TimerWorker<MonotonicClock, CallHandler>;

// The worker whose handler is running on this thread, if any.
struct Running {
  const Service* service = nullptr;
  Worker* worker = nullptr;
  std::uint32_t lane = 0;
};
thread_local Running running;

std::uint32_t caller_lane() {
  static std::atomic<std::uint32_t> threads{0};
  // Relaxed: any number will do, as long as a thread keeps it.
  thread_local const std::uint32_t mine = threads.fetch_add(1, std::memory_order_relaxed);
  return mine % kCallerLanes;
}

class Service : public TimerService {
 public:
  Service(const TimerServiceOptions& options, TimerHandler handler, packet::Hasher hasher,
          std::unique_ptr<Policy> policy, std::unique_ptr<Core> core)
      : options_(options),
        handler_(std::move(handler)),
        hasher_(std::move(hasher)),
        policy_(std::move(policy)),
        core_(std::move(core)),
        actuator_(core_->board) {}
  ~Service() override;

  Result<void> begin();

  std::optional<TimerConnection> add(const TimerTuple& tuple, std::uint64_t tag) override;
  TimerCall remove(TimerConnection connection) override;
  TimerCall start(TimerConnection connection, std::uint8_t timer, std::chrono::nanoseconds delay) override;
  TimerCall restart(TimerConnection connection, std::uint8_t timer, std::chrono::nanoseconds delay) override;
  TimerCall cancel(TimerConnection connection, std::uint8_t timer) override;
  TimerReport report() const override;

  void handle(const TimerExpiry& expiry) { handler_(*this, expiry); }

 private:
  TimerCall call(TimerCommand::Kind kind, TimerConnection connection, std::uint8_t timer,
                 std::chrono::nanoseconds delay);
  TimerCall send(const TimerCommand& command);
  void run_worker(std::uint32_t index);
  void run_control();
  void nap(const Worker& worker) const;
  Result<void> pin(std::thread& thread, std::uint32_t processor);

  const TimerServiceOptions options_;
  const TimerHandler handler_;
  const packet::Hasher hasher_;
  const std::unique_ptr<Policy> policy_;
  const std::unique_ptr<Core> core_;
  actuator::TableActuator actuator_;
  std::optional<control::LoadMeter> meter_;  // this and the next two: [control] from begin() on
  std::optional<control::Loop> loop_;
  std::vector<std::uint64_t> waiting_;  // commands, by worker
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
  std::thread control_;
  std::int64_t begin_ns_ = 0;
  std::atomic<std::uint64_t> moves_{0};
  std::atomic<bool> stop_{false};
};

void CallHandler::operator()(const TimerExpiry& expiry) const { service->handle(expiry); }

Service::~Service() {
  // Relaxed: joining the threads orders everything else.
  stop_.store(true, std::memory_order_relaxed);
  if (control_.joinable()) control_.join();
  for (std::thread& thread : threads_) thread.join();
}

// What threads need is made before they begin: in a thread there is nobody to tell that there is no memory.
Result<void> Service::begin() {
  begin_ns_ = base::monotonic_nanoseconds();
  meter_.emplace(core_->worker_meters, core_->bucket_meters, std::vector<double>(options_.threads, 1.0),
                 MonotonicClock::ticks());
  loop_.emplace(*meter_, *policy_, actuator_, [](const control::Round&) {});
  waiting_.resize(options_.threads);
  for (std::uint32_t i = 0; i < options_.threads; ++i) {
    workers_.push_back(std::make_unique<Worker>(*core_, ProcessorId(i), MonotonicClock(), CallHandler{this}));
  }
  const std::vector<std::uint32_t> processors = options_.processors.value_or(engine::allowed_cpus());
  for (std::uint32_t i = 0; i < options_.threads; ++i) {
    threads_.emplace_back([this, i] { run_worker(i); });
    if (i >= processors.size()) continue;
    if (auto pinned = pin(threads_.back(), processors[i]); !pinned) return pinned;
  }
  control_ = std::thread([this] { run_control(); });
  return {};
}

Result<void> Service::pin(std::thread& thread, std::uint32_t processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (processor < CPU_SETSIZE) CPU_SET(processor, &set);
  if (pthread_setaffinity_np(thread.native_handle(), sizeof set, &set) == 0) return {};
  return usage_error(fmt::format("a timer thread cannot run on processor {}; this program may use {}",
                                 processor, fmt::join(engine::allowed_cpus(), ",")));
}

void Service::run_worker(std::uint32_t index) {
  Worker& worker = *workers_[index];
  running = {this, &worker, index};
  while (!stop_.load(std::memory_order_relaxed)) {
    if (!worker.step()) nap(worker);
  }
}

void Service::nap(const Worker& worker) const {
  const std::int64_t now_ns = base::monotonic_nanoseconds();
  const std::int64_t longest_ns = std::min<std::int64_t>(options_.resolution.count(), kNapMax_ns);
  const std::int64_t nap_ns = std::min(worker.next_due_ns() - now_ns, longest_ns);
  if (nap_ns > 0) std::this_thread::sleep_for(std::chrono::nanoseconds(nap_ns));
}

void Service::run_control() {
  std::int64_t next_ns = begin_ns_ + options_.rebalance_interval.count();
  while (!stop_.load(std::memory_order_relaxed)) {
    const std::int64_t now_ns = base::monotonic_nanoseconds();
    if (now_ns >= next_ns) {
      for (std::uint32_t i = 0; i < options_.threads; ++i) waiting_[i] = core_->waiting(i);
      // Loads and moves are the service's own, so nothing in them can be refused.
      CHECK(loop_->tick(
          {.time_ns = now_ns - begin_ns_, .ticks = static_cast<std::uint64_t>(now_ns), .waiting = waiting_}));
      moves_.store(loop_->counts().moves, std::memory_order_relaxed);
      next_ns = now_ns + options_.rebalance_interval.count();
    }
    const bool flushed = core_->adopt_newest();
    const auto until_next = std::chrono::nanoseconds(next_ns - now_ns);
    std::this_thread::sleep_for(
        flushed ? std::min<std::chrono::nanoseconds>(until_next, std::chrono::milliseconds(20))
                : std::chrono::nanoseconds(kFlushInterval));
  }
}

// The smaller endpoint first, as in every connection key, so that both ends of a connection map alike.
BucketId bucket_of(const TimerTuple& tuple, const packet::Hasher& hasher, std::uint32_t buckets) {
  const auto port = [](std::uint16_t number) {
    return std::array<std::uint8_t, 2>{static_cast<std::uint8_t>(number >> 8),
                                       static_cast<std::uint8_t>(number)};
  };
  std::pair local{tuple.local_address, port(tuple.local_port)},
      remote{tuple.remote_address, port(tuple.remote_port)};
  const bool reversed = remote < local;
  if (reversed) std::swap(local, remote);
  ConnectionKey key;
  key.low_address = local.first;
  key.low_port = local.second;
  key.high_address = remote.first;
  key.high_port = remote.second;
  key.ip_version = tuple.ip_version;
  return BucketId(hasher.hash_one(key, reversed) & (buckets - 1));
}

std::optional<TimerConnection> Service::add(const TimerTuple& tuple, std::uint64_t tag) {
  return core_->connections->add(bucket_of(tuple, hasher_, options_.buckets), tag);
}

TimerCall Service::remove(TimerConnection connection) {
  return call(TimerCommand::Kind::kRemove, connection, 0, std::chrono::nanoseconds(0));
}
TimerCall Service::start(TimerConnection connection, std::uint8_t timer, std::chrono::nanoseconds delay) {
  return call(TimerCommand::Kind::kStart, connection, timer, delay);
}
TimerCall Service::restart(TimerConnection connection, std::uint8_t timer, std::chrono::nanoseconds delay) {
  return call(TimerCommand::Kind::kRestart, connection, timer, delay);
}
TimerCall Service::cancel(TimerConnection connection, std::uint8_t timer) {
  return call(TimerCommand::Kind::kCancel, connection, timer, std::chrono::nanoseconds(0));
}

TimerCall Service::call(TimerCommand::Kind kind, TimerConnection connection, std::uint8_t timer,
                        std::chrono::nanoseconds delay) {
  if (timer >= options_.timers_per_connection || connection.slot >= core_->connections->slots() ||
      !core_->connections->is_current(connection)) {
    return TimerCall::kUnknown;
  }
  if (delay.count() < 0 ||
      delay.count() / options_.resolution.count() >= static_cast<std::int64_t>(ServiceWheel::kRange)) {
    return TimerCall::kTooLong;
  }
  return send({.kind = kind,
               .timer = timer,
               .bucket = connection.bucket,
               .generation = connection.generation,
               .slot_or_version = connection.slot,
               .deadline_ns = base::monotonic_nanoseconds() + delay.count()});
}

TimerCall Service::send(const TimerCommand& command) {
  if (running.service == this) {
    if (running.worker->try_directly(command)) return TimerCall::kDone;
    // A timer thread must not wait for another one, which might wait for it.
    return core_->lane(running.lane).send(command) ? TimerCall::kDone : TimerCall::kBusy;
  }
  Lane& lane = core_->lane(options_.threads + caller_lane());
  while (!lane.send(command)) std::this_thread::yield();
  return TimerCall::kDone;
}

TimerReport Service::report() const {
  const auto elapsed_ns = static_cast<double>(base::monotonic_nanoseconds() - begin_ns_);
  TimerReport report;
  meter::DelaySummary all;
  for (std::uint32_t i = 0; i < options_.threads; ++i) {
    const meter::TimerMeters& meters = core_->worker_meters[i].timers;
    meter::DelaySummary late;
    late.add(meters.late_ns);
    all.add(meters.late_ns);
    const TimerCounts counts{
        .started = meters.started.read(),
        .restarted = meters.restarted.read(),
        .cancelled = meters.cancelled.read(),
        .fired = meters.fired.read(),
        .fired_off_owner = meters.fired_off_owner.read(),
        .late_p99_microseconds = static_cast<double>(late.quantile(0.99)) / 1000,
        .usage = static_cast<double>(core_->worker_meters[i].busy_ticks.read()) / elapsed_ns,
    };
    report.threads.push_back(counts);
    report.all.started += counts.started;
    report.all.restarted += counts.restarted;
    report.all.cancelled += counts.cancelled;
    report.all.fired += counts.fired;
    report.all.fired_off_owner += counts.fired_off_owner;
    report.all.usage += counts.usage / options_.threads;
  }
  report.all.late_p99_microseconds = static_cast<double>(all.quantile(0.99)) / 1000;
  report.moves = moves_.load(std::memory_order_relaxed);
  return report;
}

Result<void> check(const TimerServiceOptions& options) {
  const auto refuse = [](const char* what, std::uint64_t given, const char* accepted) {
    return usage_error(fmt::format("{} is {}: {}", what, given, accepted));
  };
  if (options.threads < 1 || options.threads > kProcessorsMax)
    return refuse("threads", options.threads, "1 to 1024");
  if (!std::has_single_bit(options.buckets) || options.buckets > kBucketsMax) {
    return refuse("buckets", options.buckets, "a power of two, 1 to 65536");
  }
  if (options.connections_max < 1 || options.connections_max > kConnectionsMax)
    return refuse("connections_max", options.connections_max,
                  fmt::format("1 to {}", kConnectionsMax).c_str());
  if (options.timers_per_connection < 1 || options.timers_per_connection > engine::kTimerKindsMax) {
    return refuse("timers_per_connection", options.timers_per_connection, "1 to 16");
  }
  if (options.resolution < std::chrono::microseconds(10) || options.resolution > std::chrono::seconds(1)) {
    return usage_error(
        fmt::format("resolution is {} ns: 10 microseconds to 1 second", options.resolution.count()));
  }
  if (options.rebalance_interval < std::chrono::milliseconds(1) ||
      options.rebalance_interval > std::chrono::hours(1)) {
    return usage_error(fmt::format("rebalance_interval is {} ns: 1 millisecond to 1 hour",
                                   options.rebalance_interval.count()));
  }
  return {};
}

Result<std::unique_ptr<TimerService>> make_service(const TimerServiceOptions& options, TimerHandler handler) {
  if (auto checked = check(options); !checked) return checked.error();
  if (!handler) return usage_error("a timer service without a handler has nobody to tell");
  auto hasher = packet::Hasher::make(options.hash, "");
  if (!hasher) return hasher.error();
  auto policy = make_policy(options.policy);
  if (!policy) return policy.error();
  auto core = Core::make({.workers = options.threads,
                          .caller_lanes = kCallerLanes,
                          .buckets = options.buckets,
                          .connections_max = options.connections_max,
                          .timers_each = options.timers_per_connection,
                          .resolution_ns = options.resolution.count(),
                          .ring_capacity = ring_capacity(options.threads)});
  if (!core) return core.error();
  auto service = std::make_unique<Service>(options, std::move(handler), std::move(*hasher),
                                           std::move(*policy), std::move(*core));
  if (auto begun = service->begin(); !begun) return begun.error();
  return std::unique_ptr<TimerService>(std::move(service));
}

}  // namespace
}  // namespace evenkeel::timer

namespace evenkeel {

// A service that was half made ends its threads on the way out.
Result<std::unique_ptr<TimerService>> TimerService::make(const TimerServiceOptions& options,
                                                         TimerHandler handler) {
  try {
    return timer::make_service(options, std::move(handler));
  } catch (const std::bad_alloc&) {
    return runtime_error(
        fmt::format("not enough memory for a timer service of {} threads, {} buckets and {} connections",
                    options.threads, options.buckets, options.connections_max));
  } catch (const std::system_error&) {
    return runtime_error(
        fmt::format("the system gives no more threads: a timer service of {} timer threads needs {}",
                    options.threads, options.threads + 1));
  }
}

}  // namespace evenkeel
