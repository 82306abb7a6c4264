#include "runtime/run.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <thread>
#include <utility>

#include "actuator/in_process/steered_table_actuator.h"
#include "actuator/in_process/table_actuator.h"
#include "base/clock.h"
#include "base/random.h"
#include "engine/engine.h"
#include "runtime/checked_actuator.h"
#include "runtime/driven_engine.h"
#include "runtime/queueing_report.h"
#include "source/live/live_inputs.h"

namespace evenkeel::runtime {

namespace {

using base::CycleClock;

constexpr double kSecondsPerNanosecond = 1e-9;
constexpr std::int64_t kPollNanoseconds = 1'000'000;  // how soon the end of the input is noticed
constexpr std::int64_t kProgressIntervalNanoseconds = 250'000'000;

// By default threads are pinned only where each can have a processor of its own.
Result<control::Placement> choose_cpus(const RunOptions& options, std::span<const control::CpuPlace> places) {
  const std::vector<std::uint32_t> allowed = engine::allowed_cpus();
  if (!options.pin) return control::place(options.workers, allowed, places);
  control::Placement placement;
  if (options.pin->empty()) return placement;
  for (const std::uint32_t cpu : *options.pin) {
    if (std::find(allowed.begin(), allowed.end(), cpu) == allowed.end())
      return usage_error(
          fmt::format("pin: this process may not run on CPU {}; it may on {}", cpu, fmt::join(allowed, ",")));
  }
  for (std::uint32_t i = 0; i < options.workers; ++i)
    placement.workers.push_back((*options.pin)[i % options.pin->size()]);
  return placement;
}

std::vector<double> choose_capacity(const RunOptions& options, std::span<const std::uint32_t> worker_cpus,
                                    std::span<const control::CpuPlace> places) {
  if (!options.capacity.empty()) return options.capacity;
  if (worker_cpus.empty()) return std::vector<double>(options.workers, 1.0);
  return control::capacities_of(worker_cpus, places);
}

std::uint64_t sum(const auto& items, const auto& value) {
  std::uint64_t total = 0;
  for (const auto& item : items) total += value(item);
  return total;
}

// Input that waits for the workers, and is not paced, always comes faster than it is served: its packets have
// no time at which they should have been served, so none of them waits for too long, and order is all that
// counts. It passes straight through.
engine::QueueingOptions queueing_options(const RunOptions& options, bool input_waits) {
  engine::QueueingOptions result = options.queueing;
  result.sheds = !input_waits;
  if (input_waits && !options.speed) result.discipline = engine::Discipline::kFifo;
  return result;
}

engine::EngineOptions engine_options(const RunOptions& options, bool input_waits) {
  engine::EngineOptions result;
  result.workers = options.workers;
  result.buckets = options.buckets;
  result.connections_max = options.connections_max;
  result.lifetimes.idle_ns = options.idle_timeout_ns;
  result.lifetimes.half_open_ns = options.half_open_timeout_ns;
  result.parse.inner_tunnel = options.inner_tunnel;
  result.queueing = queueing_options(options, input_waits);
  result.elephants = options.elephants;
  std::uint64_t seed = options.seed;
  result.hash_seed = base::splitmix64(seed);
  return result;
}

// A worker of live input receives its packets itself.
engine::FusedLoop fused_loop(source::LiveInputs* live) {
  if (live == nullptr) return {};
  return {.wait = [live](std::size_t worker) { live->wait(worker); },
          .backlogged = [live](std::size_t worker,
                               std::size_t packets) { return live->backlogged(worker, packets); }};
}

}  // namespace

Run::Run(RunOptions options, RunParts parts) : options_(std::move(options)), parts_(std::move(parts)) {}

Run::~Run() = default;

Result<void> Run::prepare() {
  for (const auto step :
       {&Run::choose_processors, &Run::choose_policy, &Run::make_engine, &Run::make_actuators}) {
    if (auto done = (this->*step)(); !done) return done;
  }
  CycleClock::ticks_per_nanosecond();  // measured now, not within the run
  return {};
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

Result<void> Run::choose_policy() {
  policy_ = parts_.policy;
  if (policy_ != nullptr) return {};
  auto policy = make_policy(options_.policy);
  if (!policy) return policy.error();
  policy_of_name_ = std::move(*policy);
  policy_ = policy_of_name_.get();
  return {};
}

Result<void> Run::make_engine() {
  auto hasher = packet::Hasher::make(options_.hash, options_.hash_key);
  if (!hasher) return hasher.error();
  const bool input_waits = std::all_of(parts_.sources.begin(), parts_.sources.end(),
                                       [](const Source* source) { return source->can_wait(); });
  engine::EngineOptions engine_settings = engine_options(options_, input_waits);
  engine_settings.initial_owners = initial_owners_;
  queueing_ = engine_settings.queueing;
  if (parts_.live != nullptr) {
    engine_settings.steered = parts_.live->steered();
    engine_settings.moves = &parts_.live->moves();
  }
  auto engine = parts_.make_engine(engine_settings, parts_.sources, std::move(*hasher));
  if (!engine) return engine.error();
  engine_ = std::move(*engine);
  for (const Source* source : parts_.sources) names_.push_back(source->name());
  waiting_.resize(options_.workers);
  thread_ticks_.resize(options_.workers);
  return {};
}

Result<void> Run::make_actuators() {
  make_engine_actuator();
  checked_actuator_ =
      std::make_unique<CheckedActuator>(*table_actuator_, options_.workers, std::string(policy_->name()));
  owners_ = initial_owners_;
  recorder_ = std::make_unique<BalanceRecorder>(owners_);
  if (!parts_.wrap_actuator) return {};
  auto authors = parts_.wrap_actuator(*checked_actuator_);
  if (!authors) return usage_error("own_actuator gave no actuator");
  authors_actuator_ = std::make_unique<AuthorsActuator>(std::move(authors), *checked_actuator_);
  return {};
}

void Run::make_engine_actuator() {
  if (parts_.live == nullptr) {
    table_actuator_ = std::make_unique<actuator::TableActuator>(engine_->board());
    return;
  }
  auto steered =
      std::make_unique<actuator::SteeredTableActuator>(engine_->board(), parts_.live->moves(), *parts_.live);
  steered_actuator_ = steered.get();
  table_actuator_ = std::move(steered);
}

Result<void> Run::drive(const RunHooks& hooks) {
  if (parts_.live != nullptr) {
    if (auto started = parts_.live->start(engine_->board().newest().owner); !started) return started;
  }
  if (auto started = engine_->start(placement_, fused_loop(parts_.live)); !started) return started;
  note_start();
  load_meter_ = std::make_unique<control::LoadMeter>(engine_->worker_meters(), engine_->bucket_meters(),
                                                     capacity_, started_ticks_);
  loop_ = std::make_unique<control::Loop>(*load_meter_, *policy_, actuator(),
                                          [this](const control::Round& round) { record(round); });
  const Result<void> controlled = control_until_drained(hooks);
  if (!controlled) engine_->stop();
  engine_->finish();
  engine_->join();
  loop_->close(now());
  note_end();
  return controlled;
}

void Run::note_start() {
  const std::scoped_lock lock(mutex_);
  started_at_ = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  started_ticks_ = CycleClock::ticks();
  started_ns_ = base::monotonic_nanoseconds();
  started_ = true;
}

void Run::note_end() {
  const std::scoped_lock lock(mutex_);
  elapsed_ns_ = base::monotonic_nanoseconds() - started_ns_;
  ended_ = true;
}

void Run::record(const control::Round& round) {
  const std::scoped_lock lock(mutex_);
  recorder_->add(round);
  counts_ = loop_->counts();
  owners_.assign(table_actuator_->owners().begin(), table_actuator_->owners().end());
}

Result<void> Run::control_until_drained(const RunHooks& hooks) {
  std::int64_t next_tick_ns = started_ns_ + options_.interval_ns;
  while (!engine_->drained()) {
    if (hooks.stopped && hooks.stopped()) stop();
    if (auto done = tend_live(); !done) return done;
    const std::int64_t now_ns = base::monotonic_nanoseconds();
    tell_progress(hooks, now_ns);
    if (now_ns >= next_tick_ns) {
      if (auto done = loop_->tick(now()); !done) return done;
      next_tick_ns = std::max(next_tick_ns + options_.interval_ns, base::monotonic_nanoseconds());
    }
    const std::int64_t wait_ns = next_tick_ns - base::monotonic_nanoseconds();
    std::this_thread::sleep_for(
        std::chrono::nanoseconds(std::clamp<std::int64_t>(wait_ns, 0, kPollNanoseconds)));
  }
  return {};
}

// Of live input, what is in the kernel's rings is still processed.
void Run::stop() { parts_.live != nullptr ? parts_.live->stop() : engine_->stop(); }

Result<void> Run::tend_live() {
  if (parts_.live == nullptr) return {};
  parts_.live->watch();
  if (options_.live_duration_ns && base::monotonic_nanoseconds() - started_ns_ >= *options_.live_duration_ns)
    parts_.live->stop();
  return steered_actuator_->advance();
}

control::Moment Run::now() {
  for (std::uint32_t i = 0; i < options_.workers; ++i) {
    waiting_[i] = engine_->waiting(ProcessorId(i));
    thread_ticks_[i] = thread_ticks(ProcessorId(i));
  }
  return {.time_ns = base::monotonic_nanoseconds() - started_ns_,
          .ticks = CycleClock::ticks(),
          .waiting = waiting_,
          .thread_ticks = thread_ticks_};
}

std::uint64_t Run::thread_ticks(ProcessorId worker) const {
  return static_cast<std::uint64_t>(static_cast<double>(engine_->worker_time_ns(worker)) *
                                    CycleClock::ticks_per_nanosecond());
}

void Run::tell_progress(const RunHooks& hooks, std::int64_t now_ns) {
  if (!hooks.progress || now_ns < next_progress_ns_) return;
  hooks.progress(*this);
  next_progress_ns_ = now_ns + kProgressIntervalNanoseconds;
}

double Run::elapsed_seconds() const {
  return static_cast<double>(base::monotonic_nanoseconds() - started_ns_) * kSecondsPerNanosecond;
}

std::uint64_t Run::packets_received() const {
  return sum(engine_->dispatcher_meters(), [](const auto& m) { return m.received.read(); });
}

std::uint64_t Run::packets_processed() const {
  return sum(engine_->worker_meters(), [](const auto& m) { return m.processed.read(); });
}

std::uint64_t Run::bytes_read() const {
  return sum(engine_->dispatcher_meters(), [](const auto& m) { return m.bytes_read.read(); });
}

observe::RunReport Run::report() const {
  observe::RunReport report;
  report.options = {.workers = options_.workers,
                    .buckets = options_.buckets,
                    .hash = options_.hash,
                    .hash_key = options_.hash_key,
                    .policy = std::string(policy_->name()),
                    .interval_ns = options_.interval_ns,
                    .seed = options_.seed,
                    .inner_tunnel = options_.inner_tunnel,
                    .idle_timeout_ns = options_.idle_timeout_ns,
                    .connections_max = options_.connections_max,
                    .speed = options_.speed};
  report_balance(report);
  report_inputs(report);
  report_packets(report.packets);
  report.packets_per_second =
      static_cast<double>(report.packets.received) / std::max(report.elapsed_seconds, kSecondsPerNanosecond);
  report_connections(report.connections);
  report_workers(report);
  report_timers(report);
  report_elephants(report);
  report.queueing = queueing_report(queueing_, engine_->queue_meters());
  report.ownership_violations =
      sum(engine_->worker_meters(), [](const auto& m) { return m.ownership_violations.read(); });
  return report;
}

// All that the mutex guards.
void Run::report_balance(observe::RunReport& report) const {
  const std::scoped_lock lock(mutex_);
  report.started_at = started_at_;
  const std::int64_t elapsed_ns = ended_     ? elapsed_ns_
                                  : started_ ? base::monotonic_nanoseconds() - started_ns_
                                             : 0;
  report.elapsed_seconds = static_cast<double>(elapsed_ns) * kSecondsPerNanosecond;
  if (packets_processed() > 0) recorder_->report(report.balance, report.elapsed_seconds);
  report.balance.rebalances = counts_.rebalances;
  report.balance.moves = counts_.moves;
  report.balance.bucket_owners = owners_;
}

// A source itself is asked when it has ended.
void Run::report_inputs(observe::RunReport& report) const {
  const auto meters = engine_->dispatcher_meters();
  const bool ended = has_ended();
  if (ended && parts_.live != nullptr) return report_live(report);
  for (std::size_t i = 0; i < meters.size(); ++i) {
    if (!ended) {
      report.inputs.push_back({.name = names_[i],
                               .packets = meters[i].received.read(),
                               .bytes = meters[i].bytes.read(),
                               .error = ""});
      continue;
    }
    for (const InputStatistics& input : parts_.sources[i]->inputs()) {
      report.inputs.push_back({.name = input.name,
                               .packets = input.packets,
                               .bytes = input.bytes,
                               .error = input.error ? input.error->message : ""});
    }
  }
}

void Run::report_live(observe::RunReport& report) const {
  for (const source::LiveInputReport& one : parts_.live->report()) {
    report.inputs.push_back({.name = one.name,
                             .packets = one.packets + one.kernel_drops,
                             .bytes = one.bytes,
                             .error = "",
                             .note = one.note});
  }
}

bool Run::has_started() const {
  const std::scoped_lock lock(mutex_);
  return started_;
}

bool Run::has_ended() const {
  const std::scoped_lock lock(mutex_);
  return ended_;
}

void Run::report_packets(observe::PacketCounts& packets) const {
  const auto dispatchers = engine_->dispatcher_meters();
  const auto workers = engine_->worker_meters();
  packets.received = packets_received();
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
  // Workers count on while they are read: what has ended may be more than what was seen to open.
  const std::uint64_t gone = connections.closed + connections.expired + connections.evicted;
  connections.live = connections.opened - std::min(gone, connections.opened);
}

void Run::report_workers(observe::RunReport& report) const {
  const auto meters = engine_->worker_meters();
  const bool started = has_started();
  report.workers.resize(meters.size());
  const double elapsed_ticks =
      std::max(1.0, report.elapsed_seconds / kSecondsPerNanosecond * CycleClock::ticks_per_nanosecond());
  for (std::size_t i = 0; i < meters.size(); ++i) {
    observe::WorkerReport& worker = report.workers[i];
    // Before the start there is no thread to ask.
    const std::uint64_t thread = started ? thread_ticks(ProcessorId(static_cast<std::uint32_t>(i))) : 0;
    worker.busy_fraction = static_cast<double>(std::min(meters[i].busy_ticks.read(), thread)) / elapsed_ticks;
    worker.packets = meters[i].processed.read();
    worker.bytes = meters[i].bytes.read();
    worker.connections = meters[i].connections_flushed.read();
    worker.capacity = capacity_[i];
    if (!placement_.workers.empty()) worker.cpu = placement_.workers[i];
  }
  for (const ProcessorId owner : report.balance.bucket_owners) ++report.workers[owner.value()].buckets;
}

void Run::report_timers(observe::RunReport& report) const {
  constexpr double kMicrosecondsPerNanosecond = 1e-3;
  observe::EngineTimers& all = report.timers;
  meter::DelaySummary all_late;
  for (std::size_t i = 0; i < report.workers.size(); ++i) {
    const meter::TimerMeters& meters = engine_->worker_meters()[i].timers;
    meter::DelaySummary late;
    late.add(meters.late_ns);
    all_late.add(meters.late_ns);
    const observe::EngineTimers one{
        .started = meters.started.read(),
        .restarted = meters.restarted.read(),
        .cancelled = meters.cancelled.read(),
        .fired = meters.fired.read(),
        .fired_off_owner = meters.fired_off_owner.read(),
        .late_p99_microseconds = static_cast<double>(late.quantile(0.99)) * kMicrosecondsPerNanosecond};
    report.workers[i].timers = one;
    all.started += one.started;
    all.restarted += one.restarted;
    all.cancelled += one.cancelled;
    all.fired += one.fired;
    all.fired_off_owner += one.fired_off_owner;
  }
  all.late_p99_microseconds = static_cast<double>(all_late.quantile(0.99)) * kMicrosecondsPerNanosecond;
}

void Run::report_elephants(observe::RunReport& report) const {
  if (!has_ended()) return;
  std::vector<std::vector<engine::Elephant>> elephants;
  for (std::uint32_t i = 0; i < options_.workers; ++i)
    elephants.push_back(engine_->elephants(ProcessorId(i)));
  report.elephants = elephant_report(elephants);
}

}  // namespace evenkeel::runtime
