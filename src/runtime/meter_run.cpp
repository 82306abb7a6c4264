#include "runtime/meter_run.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <memory>
#include <thread>
#include <utility>

#include "actuator/in_process/steered_table_actuator.h"
#include "actuator/in_process/table_actuator.h"
#include "base/clock.h"
#include "base/random.h"
#include "control/load_meter.h"
#include "control/loop.h"
#include "control/topology.h"
#include "engine/engine.h"
#include "engine/threads.h"
#include "flow/meter.h"

#include "runtime/queueing_report.h"
#include "runtime/record_output.h"
#include "source/make_source.h"

namespace evenkeel::runtime {

namespace {

using base::CycleClock;
using MeterEngine = engine::Engine<flow::FlowMeter, CycleClock>;

constexpr double kSecondsPerNanosecond = 1e-9;
constexpr std::int64_t kPollNanoseconds = 1'000'000;  // how soon the end of the input is noticed
constexpr std::int64_t kProgressIntervalNanoseconds = 250'000'000;

// By default threads are pinned only where each can have a processor of its own.
Result<control::Placement> choose_cpus(const MeterRunOptions& options,
                                       std::span<const control::CpuPlace> places) {
  const std::vector<std::uint32_t> allowed = engine::allowed_cpus();
  if (!options.pin) return control::place(options.workers, allowed, places);
  control::Placement placement;
  if (options.pin->empty()) return placement;
  for (const std::uint32_t cpu : *options.pin) {
    if (std::find(allowed.begin(), allowed.end(), cpu) == allowed.end())
      return usage_error(fmt::format("--pin: this process may not run on CPU {}; it may on {}", cpu,
                                     fmt::join(allowed, ",")));
  }
  for (std::uint32_t i = 0; i < options.workers; ++i)
    placement.workers.push_back((*options.pin)[i % options.pin->size()]);
  return placement;
}

std::vector<double> choose_capacity(const MeterRunOptions& options,
                                    std::span<const std::uint32_t> worker_cpus,
                                    std::span<const control::CpuPlace> places) {
  if (!options.capacity.empty()) return options.capacity;
  if (worker_cpus.empty()) return std::vector<double>(options.workers, 1.0);
  return control::capacities_of(worker_cpus, places);
}

// Watches the control loop: fills the balance part of the report.
class BalanceRecorder {
 public:
  explicit BalanceRecorder(std::span<const ProcessorId> owners)
      : initial_owners_(owners.begin(), owners.end()), work_seconds_(owners.size()) {}

  void add(const control::Round& round) {
    const double end_seconds = static_cast<double>(round.time_ns) * kSecondsPerNanosecond;
    const double length = end_seconds - last_seconds_;
    history_.add(observe::measure({.start_seconds = std::exchange(last_seconds_, end_seconds),
                                   .end_seconds = end_seconds,
                                   .busy_fraction = round.snapshot.usage,
                                   .bucket_loads = round.snapshot.bucket_load,
                                   .owners = round.snapshot.owner,
                                   .initial_owners = initial_owners_,
                                   .moves = round.moves.size(),
                                   .capacity = round.snapshot.capacity}));
    for (std::size_t j = 0; j < work_seconds_.size(); ++j)
      work_seconds_[j] += round.snapshot.bucket_load[j] * length;
  }

  void report(observe::BalanceReport& balance, double elapsed_seconds) const {
    balance.max_over_mean = history_.max_over_mean();
    balance.static_max_over_mean = history_.static_max_over_mean();
    balance.history = history_;
    balance.initial_owners = initial_owners_;
    balance.bucket_loads = work_seconds_;
    for (double& load : balance.bucket_loads) load /= std::max(elapsed_seconds, kSecondsPerNanosecond);
  }

 private:
  std::vector<ProcessorId> initial_owners_;
  std::vector<double> work_seconds_;
  observe::BalanceHistory history_;
  double last_seconds_ = 0;
};

std::uint64_t sum(const auto& items, const auto& value) {
  std::uint64_t total = 0;
  for (const auto& item : items) total += value(item);
  return total;
}

class Run {
 public:
  Run(const MeterRunOptions& options, const MeterRunHooks& hooks) : options_(options), hooks_(hooks) {}

  Result<observe::RunReport> operator()() {
    for (const auto step :
         {&Run::open_source, &Run::open_output, &Run::choose_processors, &Run::build_engine, &Run::drive}) {
      if (auto done = (this->*step)(); !done) return done.error();
    }
    return report();
  }

 private:
  // The stages of a run, in order.
  Result<void> open_source();
  Result<void> open_live();
  Result<void> open_output();
  Result<void> choose_processors();
  Result<void> build_engine();
  Result<void> drive();
  observe::RunReport report() const;

  engine::FusedLoop fused_loop();
  Result<void> control_until_drained(engine::EngineThreads<MeterEngine>& threads);
  Result<void> tend_live();
  void stop(engine::EngineThreads<MeterEngine>& threads);
  control::Moment now(const engine::EngineThreads<MeterEngine>& threads);
  void tell_progress() const;
  void report_inputs(observe::RunReport& report) const;
  void report_packets(observe::PacketCounts& packets) const;
  void report_connections(observe::ConnectionCounts& connections) const;
  void report_workers(observe::RunReport& report) const;

  const MeterRunOptions& options_;
  const MeterRunHooks& hooks_;
  std::unique_ptr<Source> source_;            // of captures and built-in traffic
  std::unique_ptr<source::LiveInputs> live_;  // instead, of live interfaces
  std::unique_ptr<RecordOutput> output_;      // outlives the engine, whose meters write to it
  std::vector<flow::MeterCounters> meter_counters_;
  std::unique_ptr<MeterEngine> engine_;
  std::unique_ptr<Policy> policy_;
  std::unique_ptr<actuator::TableActuator> actuator_;
  actuator::SteeredTableActuator* steered_actuator_ = nullptr;  // the same, of live interfaces
  std::unique_ptr<control::LoadMeter> load_meter_;
  std::unique_ptr<BalanceRecorder> recorder_;
  std::unique_ptr<control::Loop> loop_;
  control::Placement placement_;
  std::vector<double> capacity_;             // by worker
  std::vector<ProcessorId> initial_owners_;  // by bucket
  std::vector<std::uint64_t> waiting_, thread_ticks_;
  std::string started_at_;
  SourceStatistics input_;  // before the first packet: its totals
  std::int64_t started_ns_ = 0;
  std::int64_t elapsed_ns_ = 0;
  std::uint64_t elapsed_ticks_ = 0;
};

// Live interfaces are received by the workers themselves, captures by a dispatcher: one or the other.
Result<void> Run::open_live() {
  if (!std::all_of(options_.inputs.begin(), options_.inputs.end(), source::is_live_spec))
    return usage_error("live interfaces and other inputs do not go together in one run");
  if (options_.speed) return usage_error("--speed is for captures: a live interface comes at its own pace");
  const bool symmetric = options_.hash_key.empty() || options_.hash_key == "symmetric";
  if (options_.hash != "toeplitz" || !symmetric) {
    return usage_error(
        "live interfaces are steered by the symmetric toeplitz hash: leave --hash and --hash-key away");
  }
  auto live = source::open_live_inputs(options_.inputs, {.workers = options_.workers,
                                                         .buckets = options_.buckets,
                                                         .inner_tunnel = options_.inner_tunnel,
                                                         .snap_length = options_.snap_length,
                                                         .filter = options_.filter,
                                                         .xdp_use = options_.xdp_use,
                                                         .tell = hooks_.tell});
  if (!live) return live.error();
  live_ = std::move(*live);
  return {};
}

Result<void> Run::open_source() {
  if (std::any_of(options_.inputs.begin(), options_.inputs.end(), source::is_live_spec)) return open_live();
  source::SourceOptions source_options;
  source_options.seed = options_.seed;
  source_options.duration_ns = options_.duration_ns;
  source_options.speed = options_.speed;
  source_options.filter = options_.filter;
  auto source = source::make_source(options_.inputs, source_options);
  if (!source) return source.error();
  source_ = std::move(*source);
  input_ = source_->statistics();
  return {};
}

Result<void> Run::open_output() {
  if (options_.flows.empty()) return {};
  auto output = RecordOutput::open(options_.flows, options_.format, options_.workers);
  if (!output) return output.error();
  output_ = std::move(*output);
  return {};
}

// Input that waits for the workers, and is not paced, always comes faster than it is served: its packets have
// no time at which they should have been served, so none of them waits for too long, and order is all that
// counts. It passes straight through.
engine::QueueingOptions queueing_options(const MeterRunOptions& options, bool input_waits) {
  engine::QueueingOptions result = options.queueing;
  result.sheds = !input_waits;
  if (input_waits && !options.speed) result.discipline = engine::Discipline::kFifo;
  return result;
}

engine::EngineOptions engine_options(const MeterRunOptions& options, bool input_waits) {
  engine::EngineOptions result;
  result.workers = options.workers;
  result.buckets = options.buckets;
  result.connections_max = options.connections_max;
  result.lifetimes.idle_ns = options.idle_timeout_ns;
  result.parse.inner_tunnel = options.inner_tunnel;
  result.queueing = queueing_options(options, input_waits);
  result.elephants = options.elephants;
  std::uint64_t seed = options.seed;
  result.hash_seed = base::splitmix64(seed);
  return result;
}

Result<void> Run::choose_processors() {
  const std::vector<control::CpuPlace> places = control::read_topology();
  auto placement = choose_cpus(options_, places);
  if (!placement) return placement.error();
  placement_ = std::move(*placement);
  capacity_ = choose_capacity(options_, placement_.workers, places);
  initial_owners_.assign(options_.buckets, ProcessorId(0));
  return assign_by_capacity(capacity_, initial_owners_);
}

Result<void> Run::build_engine() {
  auto hasher = packet::Hasher::make(options_.hash, options_.hash_key);
  if (!hasher) return hasher.error();
  auto policy = make_policy(options_.policy);
  if (!policy) return policy.error();
  policy_ = std::move(*policy);

  meter_counters_ = std::vector<flow::MeterCounters>(options_.workers);
  const auto make_meter = [&](ProcessorId id) {
    return flow::FlowMeter({.active_ns = options_.active_timeout_ns}, output_ ? &output_->sink(id) : nullptr,
                           meter_counters_[id.value()]);
  };
  engine::EngineOptions engine_settings = engine_options(options_, !live_ && source_->can_wait());
  engine_settings.initial_owners = initial_owners_;
  std::vector<Source*> sources = {source_.get()};
  if (live_) {
    sources = live_->sources();
    engine_settings.steered = live_->steered();
    engine_settings.moves = &live_->moves();
  }
  auto engine = MeterEngine::make(engine_settings, sources, std::move(*hasher), make_meter,
                                  [](ProcessorId) { return CycleClock{}; });
  if (!engine) return engine.error();
  engine_ = std::move(*engine);
  if (live_) {
    auto actuator =
        std::make_unique<actuator::SteeredTableActuator>(engine_->board(), live_->moves(), *live_);
    steered_actuator_ = actuator.get();
    actuator_ = std::move(actuator);
  } else {
    actuator_ = std::make_unique<actuator::TableActuator>(engine_->board());
  }
  recorder_ = std::make_unique<BalanceRecorder>(actuator_->owners());
  waiting_.resize(options_.workers);
  thread_ticks_.resize(options_.workers);
  return {};
}

// A worker of live input receives its packets itself.
engine::FusedLoop Run::fused_loop() {
  if (!live_) return {};
  return {.wait = [this](std::size_t worker) { live_->wait(worker); },
          .backlogged = [this](std::size_t worker) { return live_->backlogged(worker); }};
}

Result<void> Run::drive() {
  CycleClock::ticks_per_nanosecond();  // measured now, not within the run
  engine::EngineThreads<MeterEngine> threads(*engine_, placement_.workers, placement_.dispatchers,
                                             fused_loop());
  if (live_) {
    if (auto started = live_->start(engine_->board().newest().owner); !started) return started;
  }
  started_at_ = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  const std::uint64_t started_ticks = CycleClock::ticks();
  started_ns_ = base::monotonic_nanoseconds();
  load_meter_ = std::make_unique<control::LoadMeter>(engine_->worker_meters(), engine_->bucket_meters(),
                                                     capacity_, started_ticks);
  loop_ = std::make_unique<control::Loop>(*load_meter_, *policy_, *actuator_,
                                          [&](const control::Round& round) { recorder_->add(round); });
  threads.start();
  const Result<void> controlled = control_until_drained(threads);
  if (!controlled) threads.stop();
  threads.finish();
  threads.join();
  elapsed_ns_ = base::monotonic_nanoseconds() - started_ns_;
  elapsed_ticks_ = CycleClock::ticks() - started_ticks;
  loop_->close(now(threads));
  if (output_) {
    if (auto finished = output_->finish(); !finished) return finished;
  }
  return controlled;
}

Result<void> Run::control_until_drained(engine::EngineThreads<MeterEngine>& threads) {
  std::int64_t next_tick_ns = started_ns_ + options_.interval_ns;
  std::int64_t next_progress_ns = started_ns_;
  while (!engine_->drained()) {
    if (hooks_.interrupted.load(std::memory_order_relaxed) || (output_ && output_->failed())) stop(threads);
    if (auto done = tend_live(); !done) return done;
    const std::int64_t now_ns = base::monotonic_nanoseconds();
    if (now_ns >= next_progress_ns) {
      tell_progress();
      next_progress_ns = now_ns + kProgressIntervalNanoseconds;
    }
    if (now_ns >= next_tick_ns) {
      if (auto done = loop_->tick(now(threads)); !done) return done;
      next_tick_ns = std::max(next_tick_ns + options_.interval_ns, base::monotonic_nanoseconds());
    }
    const std::int64_t wait_ns = next_tick_ns - base::monotonic_nanoseconds();
    std::this_thread::sleep_for(
        std::chrono::nanoseconds(std::clamp<std::int64_t>(wait_ns, 0, kPollNanoseconds)));
  }
  return {};
}

// Of live input, what is in the kernel's rings is still processed.
void Run::stop(engine::EngineThreads<MeterEngine>& threads) { live_ ? live_->stop() : threads.stop(); }

Result<void> Run::tend_live() {
  if (!live_) return {};
  live_->watch();
  if (options_.duration_ns && base::monotonic_nanoseconds() - started_ns_ >= *options_.duration_ns)
    live_->stop();
  return steered_actuator_->advance();
}

control::Moment Run::now(const engine::EngineThreads<MeterEngine>& threads) {
  for (std::uint32_t i = 0; i < options_.workers; ++i) {
    waiting_[i] = engine_->waiting(ProcessorId(i));
    thread_ticks_[i] = static_cast<std::uint64_t>(
        static_cast<double>(threads.worker_time_ns(ProcessorId(i))) * CycleClock::ticks_per_nanosecond());
  }
  return {.time_ns = base::monotonic_nanoseconds() - started_ns_,
          .ticks = CycleClock::ticks(),
          .waiting = waiting_,
          .thread_ticks = thread_ticks_};
}

void Run::tell_progress() const {
  if (!hooks_.progress) return;
  observe::ProgressState state;
  state.elapsed_seconds =
      static_cast<double>(base::monotonic_nanoseconds() - started_ns_) * kSecondsPerNanosecond;
  state.packets = sum(engine_->dispatcher_meters(), [](const auto& m) { return m.received.read(); });
  if (input_.bytes_total.value_or(0) > 0) {
    const std::uint64_t read =
        sum(engine_->dispatcher_meters(), [](const auto& m) { return m.bytes_read.read(); });
    state.done_fraction = static_cast<double>(read) / static_cast<double>(*input_.bytes_total);
  } else if (input_.packets_total.value_or(0) > 0) {
    state.done_fraction = static_cast<double>(state.packets) / static_cast<double>(*input_.packets_total);
  }
  hooks_.progress(state);
}

// Everything is read after the threads have ended.
observe::RunReport Run::report() const {
  observe::RunReport report;
  report.started_at = started_at_;
  report.options = {.workers = options_.workers,
                    .buckets = options_.buckets,
                    .hash = options_.hash,
                    .hash_key = options_.hash_key,
                    .policy = options_.policy,
                    .interval_ns = options_.interval_ns,
                    .seed = options_.seed,
                    .inner_tunnel = options_.inner_tunnel,
                    .idle_timeout_ns = options_.idle_timeout_ns,
                    .active_timeout_ns = options_.active_timeout_ns,
                    .connections_max = options_.connections_max,
                    .speed = options_.speed};
  report.elapsed_seconds = static_cast<double>(elapsed_ns_) * kSecondsPerNanosecond;
  report.interrupted = hooks_.interrupted.load(std::memory_order_relaxed);
  report_inputs(report);
  report_packets(report.packets);
  report.packets_per_second =
      static_cast<double>(report.packets.received) / std::max(report.elapsed_seconds, kSecondsPerNanosecond);
  report_connections(report.connections);
  report_workers(report);
  if (report.packets.processed > 0) recorder_->report(report.balance, report.elapsed_seconds);
  report.balance.rebalances = loop_->counts().rebalances;
  report.balance.moves = loop_->counts().moves;
  report.balance.bucket_owners.assign(actuator_->owners().begin(), actuator_->owners().end());
  report.queueing = queueing_report(options_.queueing, engine_->queue_meters());
  std::vector<std::vector<engine::Elephant>> elephants;
  for (const auto& worker : engine_->workers()) elephants.push_back(worker->elephants());
  report.elephants = elephant_report(elephants);
  report.records = sum(meter_counters_, [](const auto& m) { return m.records.read(); });
  report.order_violations = sum(meter_counters_, [](const auto& m) { return m.order_violations.read(); });
  report.ownership_violations =
      sum(engine_->worker_meters(), [](const auto& m) { return m.ownership_violations.read(); });
  return report;
}

void Run::report_inputs(observe::RunReport& report) const {
  if (live_) {
    for (const source::LiveInputReport& one : live_->report()) {
      observe::InputReport input;
      input.name = one.name;
      input.packets = one.packets + one.kernel_drops;
      input.bytes = one.bytes;
      input.note = one.note;
      report.inputs.push_back(std::move(input));
    }
    return;
  }
  for (const InputStatistics& input : source_->inputs()) {
    report.inputs.push_back({.name = input.name,
                             .packets = input.packets,
                             .bytes = input.bytes,
                             .error = input.error ? input.error->message : ""});
  }
}

void Run::report_packets(observe::PacketCounts& packets) const {
  const auto dispatchers = engine_->dispatcher_meters();
  const auto workers = engine_->worker_meters();
  packets.received = sum(dispatchers, [](const auto& m) { return m.received.read(); });
  // The kernel received these too.
  packets.received += sum(dispatchers, [](const auto& m) {
    return m.dropped[static_cast<std::size_t>(meter::DropReason::kKernel)].read();
  });
  packets.bytes = sum(dispatchers, [](const auto& m) { return m.bytes.read(); });
  packets.processed = sum(workers, [](const auto& m) { return m.processed.read(); });
  for (std::size_t i = 0; i < packet::kReasons; ++i) {
    const auto reason = static_cast<packet::Reason>(i);
    if (packet::verdict_of(reason) == packet::Verdict::kConnection) continue;
    auto& list =
        packet::verdict_of(reason) == packet::Verdict::kMalformed ? packets.malformed : packets.unclassified;
    list.push_back({std::string(packet::name_of(reason)),
                    sum(dispatchers, [&](const auto& m) { return m.by_parse_reason[i].read(); })});
  }
  for (std::size_t i = 0; i < meter::kDropReasons; ++i) {
    const auto dropped = [&](const auto& m) { return m.dropped[i].read(); };
    packets.dropped.push_back(
        {std::string(meter::kDropReasonNames[i]), sum(dispatchers, dropped) + sum(workers, dropped)});
  }
}

void Run::report_connections(observe::ConnectionCounts& connections) const {
  const auto workers = engine_->worker_meters();
  connections.opened = sum(workers, [](const auto& m) { return m.connections_opened.read(); });
  connections.closed = sum(workers, [](const auto& m) { return m.connections_closed.read(); });
  connections.expired = sum(workers, [](const auto& m) { return m.connections_expired.read(); });
  connections.evicted = sum(workers, [](const auto& m) { return m.connections_evicted.read(); });
  connections.live = sum(workers, [](const auto& m) { return m.connections_flushed.read(); });
}

void Run::report_workers(observe::RunReport& report) const {
  const auto meters = engine_->worker_meters();
  report.workers.resize(meters.size());
  for (std::size_t i = 0; i < meters.size(); ++i) {
    observe::WorkerReport& worker = report.workers[i];
    worker.busy_fraction = static_cast<double>(std::min(meters[i].busy_ticks.read(), thread_ticks_[i])) /
                           static_cast<double>(elapsed_ticks_);
    worker.packets = meters[i].processed.read();
    worker.bytes = meters[i].bytes.read();
    worker.connections = meters[i].connections_flushed.read();
    worker.capacity = capacity_[i];
    if (!placement_.workers.empty()) worker.cpu = placement_.workers[i];
  }
  for (const ProcessorId owner : actuator_->owners()) ++report.workers[owner.value()].buckets;
}

}  // namespace

Result<observe::RunReport> meter_run(const MeterRunOptions& options, const MeterRunHooks& hooks) {
  return Run(options, hooks)();
}

}  // namespace evenkeel::runtime
