#include "sim/simulate/machine.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <memory>
#include <queue>
#include <utility>
#include <vector>

#include "actuator/in_process/table_actuator.h"
#include "base/check.h"
#include "base/random.h"
#include "control/load_meter.h"
#include "control/loop.h"
#include "engine/engine.h"
#include "evenkeel/policy.h"
#include "policy/measure.h"
#include "sim/simulate/feed_source.h"
#include "sim/simulate/latency.h"
#include "sim/virtual_clock.h"

namespace evenkeel::sim {

namespace {

// Packet time begins here: 2026-01-01 00:00:00 UTC.
constexpr std::int64_t kEpoch_ns = 1'767'225'600 * base::kNanosecondsPerSecond;
// How often a processor that waits for a bucket looks for it: as the engine's threads do, at once at first,
// then less often.
constexpr std::uint64_t kPollMin_ns = 500;
constexpr std::uint64_t kPollMax_ns = 50'000;

// What all handlers of a machine share.
struct Bench {
  const ServiceCost& service;
  const MachineOptions& options;
  std::vector<std::uint64_t> now_ns;   // by processor: its clock
  std::vector<std::uint16_t> warm_at;  // by bucket: the processor that served it last
  LatencyHistogram latency;
  double wait_ns = 0;  // sum
  std::uint64_t reordered = 0;
};

// Takes the time that a packet costs, and notes when it was done.
class TimedHandler {
 public:
  struct State {
    std::uint64_t next_sequence = 0;  // greater than that of any packet so far
    std::uint64_t left_ns = 0;        // when the last one left
  };
  using Connection = engine::Connection<State>;

  TimedHandler(ProcessorId id, Bench& bench)
      : bench_(&bench),
        now_ns_(&bench.now_ns[id.value()]),
        id_(static_cast<std::uint16_t>(id.value())),
        per_capacity_(1 / bench.options.capacity[id.value()]) {}

  void open(Connection&, const Packet&) {}
  void packet(Connection& connection, const Packet& packet) {
    double cost_ns = bench_->service.of(packet.sequence, packet.wire_length);
    std::uint16_t& warm_at = bench_->warm_at[packet.bucket];
    if (warm_at != id_) [[unlikely]] {
      warm_at = id_;
      cost_ns += static_cast<double>(bench_->options.move_cost_ns);
    }
    const std::uint64_t begun_ns = *now_ns_;
    *now_ns_ += static_cast<std::uint64_t>(std::llround(cost_ns * per_capacity_));
    note(connection.state, packet, begun_ns);
  }
  std::int64_t deadline_ns(const Connection&) const { return engine::kNoDeadline; }
  void due(const ConnectionKey&, Connection&, std::int64_t) {}
  void close(const ConnectionKey&, Connection&, engine::CloseReason, std::int64_t) {}
  void idle() {}

 private:
  void note(State& state, const Packet& packet, std::uint64_t begun_ns) {
    const std::int64_t came_ns = packet.time_ns - kEpoch_ns;
    if (came_ns >= bench_->options.warmup_ns) {
      bench_->latency.add(static_cast<std::int64_t>(*now_ns_) - came_ns);
      bench_->wait_ns += static_cast<double>(static_cast<std::int64_t>(begun_ns) - came_ns);
      if (packet.sequence < state.next_sequence || *now_ns_ < state.left_ns) ++bench_->reordered;
    }
    state.next_sequence = std::max(state.next_sequence, packet.sequence + 1);
    state.left_ns = std::max(state.left_ns, *now_ns_);
  }

  Bench* bench_;
  std::uint64_t* now_ns_;
  std::uint16_t id_;
  double per_capacity_;
};

using MachineEngine = engine::Engine<TimedHandler, ProcessorClock>;

// A policy with a stopwatch.
class TimedPolicy final : public Policy {
 public:
  explicit TimedPolicy(std::unique_ptr<Policy> policy) : policy_(std::move(policy)) {}
  std::string_view name() const override { return policy_->name(); }
  Result<void> plan(const Snapshot& snapshot, Plan& plan) override {
    const auto begin = std::chrono::steady_clock::now();
    auto result = policy_->plan(snapshot, plan);
    times_ns_.push_back(
        std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count());
    return result;
  }
  void forget() override { policy_->forget(); }

  double median_ns() {
    if (times_ns_.empty()) return 0;
    const auto middle = times_ns_.begin() + static_cast<std::ptrdiff_t>(times_ns_.size() / 2);
    std::nth_element(times_ns_.begin(), middle, times_ns_.end());
    return *middle;
  }

 private:
  std::unique_ptr<Policy> policy_;
  std::vector<double> times_ns_;
};

// Where every packet went, so far.
struct Counts {
  std::uint64_t received = 0, processed = 0, malformed = 0, unclassified = 0;
  std::array<std::uint64_t, meter::kDropReasons> dropped{};

  std::uint64_t lost() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : dropped) sum += count;
    return sum;
  }
  std::uint64_t dropped_for(meter::DropReason reason) const {
    return dropped[static_cast<std::size_t>(reason)];
  }
};

class Machine {
 public:
  Machine(const MachineOptions& options, const ServiceCost& service, Feed& feed)
      : options_(options),
        feed_(feed),
        source_(feed, kEpoch_ns),
        bench_{.service = service,
               .options = options,
               .now_ns = std::vector<std::uint64_t>(options.processors()),
               .warm_at = std::vector<std::uint16_t>(options.buckets),
               .latency = {}},
        workers_(options.processors()),
        waiting_(options.processors()) {}

  Result<void> build();
  Result<void> run();
  Outcome outcome();

 private:
  // Of each processor.
  struct WorkerState {
    bool scheduled = false;     // it is in events_
    std::uint64_t awaited = 0;  // buckets that were ever assigned to it by a move
    std::uint64_t poll_ns = kPollMin_ns;
  };
  // Time in the upper bits, processor in the lower ones.
  using Event = std::uint64_t;
  static constexpr unsigned kProcessorBits = 10;
  static_assert(kProcessorsMax <= 1u << kProcessorBits);

  void advance_to(std::int64_t time_ns);
  void step_first();
  void step(std::uint32_t worker);
  void schedule(std::uint32_t worker, std::uint64_t at_ns);
  void wake(std::uint32_t worker, std::int64_t now_ns);
  void dispatch(std::int64_t now_ns);
  void tick(std::int64_t now_ns);
  void hand_over(std::int64_t now_ns);
  void wake_movers(std::int64_t now_ns);
  void observe(const control::Round& round);
  Counts count() const;
  void begin_window(std::int64_t now_ns);
  void end_window(std::int64_t now_ns);
  void drain();

  bool awaits(std::uint32_t worker) const {
    return workers_[worker].awaited != engine_->worker_meters()[worker].buckets_taken_over.read();
  }

  const MachineOptions& options_;
  Feed& feed_;
  FeedSource source_;
  Bench bench_;
  std::unique_ptr<MachineEngine> engine_;
  std::unique_ptr<TimedPolicy> policy_;
  std::unique_ptr<actuator::TableActuator> actuator_;
  std::unique_ptr<control::LoadMeter> load_meter_;
  std::unique_ptr<control::Loop> loop_;
  policy::Measured measured_;
  std::vector<WorkerState> workers_;
  std::vector<std::uint64_t> waiting_;  // for the control loop
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::int64_t next_tick_ns_ = 0;
  bool blocked_ = false;  // the dispatcher has marks that a full ring does not take yet
  Result<void> controlled_;
  bool in_window_ = false;
  Counts at_warmup_;
  std::vector<std::uint64_t> busy_at_warmup_, busy_in_window_;
  double window_seconds_ = 0;
  std::uint64_t interval_received_ = 0, interval_lost_ = 0;  // at the end of the interval before
  std::vector<IntervalSample> intervals_;
};

Result<void> Machine::build() {
  auto policy = make_policy(options_.policy, {.move_cost = static_cast<double>(options_.move_cost_ns) /
                                                           static_cast<double>(options_.interval_ns)});
  if (!policy) return policy.error();
  policy_ = std::make_unique<TimedPolicy>(std::move(*policy));
  engine::EngineOptions engine_options;
  engine_options.workers = options_.processors();
  engine_options.buckets = options_.buckets;
  engine_options.connections_max = options_.connections_max;
  engine_options.lifetimes.idle_ns = options_.idle_ns;
  engine_options.queueing = options_.queueing;
  std::uint64_t seed = options_.seed;
  engine_options.hash_seed = base::splitmix64(seed);
  engine_options.initial_owners.assign(options_.buckets, ProcessorId(0));
  if (auto done = assign_by_capacity(options_.capacity, engine_options.initial_owners); !done) return done;
  for (std::uint32_t j = 0; j < options_.buckets; ++j)
    bench_.warm_at[j] = static_cast<std::uint16_t>(engine_options.initial_owners[j].value());
  auto hasher = packet::Hasher::make("toeplitz", "");
  if (!hasher) return hasher.error();
  auto engine = MachineEngine::make(
      engine_options, {&source_}, std::move(*hasher),
      [&](ProcessorId id) { return TimedHandler(id, bench_); },
      [&](ProcessorId id) { return ProcessorClock(&bench_.now_ns[id.value()]); });
  if (!engine) return engine.error();
  engine_ = std::move(*engine);
  actuator_ = std::make_unique<actuator::TableActuator>(engine_->board());
  load_meter_ = std::make_unique<control::LoadMeter>(engine_->worker_meters(), engine_->bucket_meters(),
                                                     options_.capacity, 0);
  loop_ = std::make_unique<control::Loop>(*load_meter_, *policy_, *actuator_,
                                          [this](const control::Round& round) { observe(round); });
  next_tick_ns_ = options_.interval_ns;
  return {};
}

Result<void> Machine::run() {
  if (options_.warmup_ns == 0) begin_window(0);
  Arrival arrival;
  while (controlled_.ok() && feed_.next(arrival) && arrival.time_ns < options_.duration_ns) {
    advance_to(arrival.time_ns);
    if (!in_window_ && arrival.time_ns >= options_.warmup_ns) begin_window(arrival.time_ns);
    source_.offer(arrival);
    dispatch(arrival.time_ns);
  }
  if (auto error = feed_.error()) return *error;
  const std::int64_t end_ns = std::max(
      options_.duration_ns < arrival.time_ns ? options_.duration_ns : arrival.time_ns, std::int64_t{1});
  advance_to(end_ns);
  end_window(end_ns);
  drain();
  return controlled_;
}

// Does what happens until then, that moment included.
void Machine::advance_to(std::int64_t time_ns) {
  const auto until = static_cast<std::uint64_t>(time_ns);
  while (true) {
    const std::uint64_t worker_ns = events_.empty() ? ~std::uint64_t{0} : events_.top() >> kProcessorBits;
    const auto tick_ns = static_cast<std::uint64_t>(next_tick_ns_);
    if (std::min(worker_ns, tick_ns) > until) return;
    if (tick_ns <= worker_ns) {
      tick(next_tick_ns_);
      next_tick_ns_ += options_.interval_ns;
    } else {
      step_first();
    }
  }
}

void Machine::step_first() {
  const Event event = events_.top();
  events_.pop();
  const auto worker = static_cast<std::uint32_t>(event & ((1u << kProcessorBits) - 1));
  workers_[worker].scheduled = false;
  const std::uint64_t now_ns = event >> kProcessorBits;
  bench_.now_ns[worker] = std::max(bench_.now_ns[worker], now_ns);
  step(worker);
  if (!blocked_) return;
  dispatch(static_cast<std::int64_t>(now_ns));
  if (!blocked_) wake_movers(static_cast<std::int64_t>(now_ns));
}

// One iteration of a worker, from its clock's time on.
void Machine::step(std::uint32_t worker) {
  WorkerState& state = workers_[worker];
  const bool worked = engine_->workers()[worker]->step();
  if (worked) state.poll_ns = kPollMin_ns;
  if (worked && engine_->waiting(ProcessorId(worker)) != 0) return schedule(worker, bench_.now_ns[worker]);
  if (!awaits(worker)) return;
  schedule(worker, bench_.now_ns[worker] + state.poll_ns);
  state.poll_ns = std::min(2 * state.poll_ns, kPollMax_ns);
}

void Machine::schedule(std::uint32_t worker, std::uint64_t at_ns) {
  if (std::exchange(workers_[worker].scheduled, true)) return;
  CHECK(at_ns < std::uint64_t{1} << (64 - kProcessorBits));
  events_.push(at_ns << kProcessorBits | worker);
}

// Something has come into a worker's ring: it steps at once, or as soon as it is free.
void Machine::wake(std::uint32_t worker, std::int64_t now_ns) {
  if (workers_[worker].scheduled) return;
  const auto now = static_cast<std::uint64_t>(now_ns);
  if (bench_.now_ns[worker] > now) return schedule(worker, bench_.now_ns[worker]);
  bench_.now_ns[worker] = now;
  step(worker);
}

void Machine::dispatch(std::int64_t now_ns) {
  engine::Dispatcher& dispatcher = *engine_->dispatchers()[0];
  do {
    const std::span<Packet* const> offered = source_.offered();
    const std::size_t count = std::min(offered.size(), engine::kBurst);
    std::array<Packet*, engine::kBurst> packets;
    std::copy_n(offered.begin(), count, packets.begin());
    blocked_ = dispatcher.step() == engine::DispatchStatus::kBlocked;
    if (source_.offered().size() == offered.size()) break;
    // By the newest table, which the dispatcher has adopted before.
    const std::vector<std::uint16_t>& owner = engine_->board().newest().owner;
    for (std::size_t i = 0; i < count; ++i) wake(owner[packets[i]->bucket], now_ns);
  } while (!source_.empty() && !blocked_);
}

void Machine::tick(std::int64_t now_ns) {
  // Timers go by packet time: a worker without packets looks at them now and then.
  for (std::uint32_t i = 0; i < options_.processors(); ++i) wake(i, now_ns);
  for (std::uint32_t i = 0; i < options_.processors(); ++i) waiting_[i] = engine_->waiting(ProcessorId(i));
  const std::uint32_t version = engine_->board().newest().version;
  auto done =
      loop_->tick({.time_ns = now_ns, .ticks = static_cast<std::uint64_t>(now_ns), .waiting = waiting_});
  if (!done) controlled_ = done;
  if (engine_->board().newest().version != version) hand_over(now_ns);
}

// A new table was published: the dispatcher adopts it at once, and those concerned look at their marks.
void Machine::hand_over(std::int64_t now_ns) {
  const auto& moves = engine_->board().newest().reassignments;
  for (const bucket::Reassignment& move : moves) ++workers_[move.to.value()].awaited;
  dispatch(now_ns);
  wake_movers(now_ns);
}

// Those who have marks in their rings.
void Machine::wake_movers(std::int64_t now_ns) {
  const auto& moves = engine_->board().newest().reassignments;
  for (const bucket::Reassignment& move : moves) wake(move.from.value(), now_ns);
  for (const bucket::Reassignment& move : moves) wake(move.to.value(), now_ns);
}

void Machine::observe(const control::Round& round) {
  IntervalSample sample;
  sample.end_seconds = static_cast<double>(round.time_ns) / 1e9;
  if (measured_.read(round.snapshot).ok()) {
    sample.max_over_mean = measured_.max_over_mean();
    sample.lower_bound = measured_.lower_bound();
    double most = 0, least = 1e300;
    for (const policy::ProcessorLoad& processor : measured_.processors) {
      most = std::max(most, processor.load / processor.capacity);
      least = std::min(least, processor.load / processor.capacity);
    }
    if (least > 0) sample.spread = (most - least) / least;
  }
  sample.moves = round.moves.size();
  for (const Move& move : round.moves) sample.load_moved += move.load;
  const Counts counts = count();
  const std::uint64_t received = counts.received - std::exchange(interval_received_, counts.received);
  const std::uint64_t lost = counts.lost() - std::exchange(interval_lost_, counts.lost());
  sample.loss = received == 0 ? 0 : static_cast<double>(lost) / static_cast<double>(received);
  intervals_.push_back(sample);
}

Counts Machine::count() const {
  Counts counts;
  for (const engine::DispatcherMeters& meters : engine_->dispatcher_meters()) {
    counts.received += meters.received.read();
    for (std::size_t i = 1; i < packet::kReasons; ++i) {
      const auto verdict = packet::verdict_of(static_cast<packet::Reason>(i));
      (verdict == packet::Verdict::kMalformed ? counts.malformed : counts.unclassified) +=
          meters.by_parse_reason[i].read();
    }
    for (std::size_t i = 0; i < counts.dropped.size(); ++i) counts.dropped[i] += meters.dropped[i].read();
  }
  for (const meter::WorkerMeters& meters : engine_->worker_meters()) {
    counts.processed += meters.processed.read();
    for (std::size_t i = 0; i < counts.dropped.size(); ++i) counts.dropped[i] += meters.dropped[i].read();
  }
  return counts;
}

void Machine::begin_window(std::int64_t now_ns) {
  in_window_ = true;
  at_warmup_ = count();
  window_seconds_ = -static_cast<double>(now_ns) / 1e9;
  for (const auto& meters : engine_->worker_meters()) busy_at_warmup_.push_back(meters.busy_ticks.read());
}

void Machine::end_window(std::int64_t now_ns) {
  if (!in_window_) begin_window(now_ns);
  window_seconds_ += static_cast<double>(now_ns) / 1e9;
  for (std::size_t i = 0; i < busy_at_warmup_.size(); ++i)
    busy_in_window_.push_back(engine_->worker_meters()[i].busy_ticks.read() - busy_at_warmup_[i]);
}

// No packet comes any more and no bucket moves: what waits is served.
void Machine::drain() {
  source_.end();
  engine::Dispatcher& dispatcher = *engine_->dispatchers()[0];
  dispatcher.finish();
  bool finished = false;
  while (true) {
    finished = finished || dispatcher.step() == engine::DispatchStatus::kFinished;
    if (!finished && events_.empty()) {
      for (std::uint32_t i = 0; i < options_.processors(); ++i) step(i);
      continue;
    }
    if (events_.empty()) break;
    step_first();
  }
  for (const auto& worker : engine_->workers()) {
    while (worker->step()) continue;
    CHECK(worker->finished());
  }
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

double quantile_of(std::vector<double> values, double fraction) {
  if (values.empty()) return 0;
  const auto at =
      values.begin() + static_cast<std::ptrdiff_t>(fraction * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

void summarize_intervals(double warmup_seconds, Outcome& outcome) {
  std::vector<double> ratio, bound, excess, spread;
  double moves = 0, load_moved = 0, seconds = 0, last_seconds = 0;
  for (const IntervalSample& sample : outcome.intervals) {
    const double length = sample.end_seconds - std::exchange(last_seconds, sample.end_seconds);
    if (sample.end_seconds <= warmup_seconds) continue;
    seconds += length;
    ratio.push_back(sample.max_over_mean);
    bound.push_back(sample.lower_bound);
    excess.push_back(sample.max_over_mean / sample.lower_bound - 1);
    if (sample.spread > 0) spread.push_back(sample.spread);
    moves += static_cast<double>(sample.moves);
    load_moved += sample.load_moved;
  }
  outcome.has_intervals = !ratio.empty();
  if (ratio.empty()) return;
  outcome.interval_max_over_mean = mean_of(ratio);
  outcome.interval_lower_bound = mean_of(bound);
  outcome.excess = mean_of(excess);
  outcome.excess_p95 = quantile_of(excess, 0.95);
  outcome.spread = mean_of(spread);
  outcome.moves_per_second = moves / seconds;
  outcome.load_moved_per_second = load_moved / seconds;
}

Outcome Machine::outcome() {
  Outcome outcome;
  outcome.policy = options_.policy;
  outcome.processors = options_.processors();
  outcome.buckets = options_.buckets;
  const Counts counts = count();
  outcome.packets = counts.received;
  outcome.processed = counts.processed;
  outcome.malformed = counts.malformed;
  outcome.unclassified = counts.unclassified;
  outcome.ring_full = counts.dropped_for(meter::DropReason::kRingFull);
  outcome.overload = counts.dropped_for(meter::DropReason::kOverload);
  outcome.connection_limit = counts.dropped_for(meter::DropReason::kConnectionLimit);
  CHECK(counts.received == counts.processed + counts.lost() + counts.malformed + counts.unclassified);
  for (const meter::WorkerMeters& meters : engine_->worker_meters()) {
    outcome.per_processor.push_back(
        {meters.processed.read(), static_cast<double>(meters.busy_ticks.read()) / 1e9});
    outcome.connections += meters.connections_opened.read();
    outcome.evicted += meters.connections_evicted.read();
    outcome.ownership_violations += meters.ownership_violations.read() + meters.timers.fired_off_owner.read();
  }
  outcome.measured = bench_.latency.count();
  outcome.lost = counts.lost() - at_warmup_.lost();
  const std::uint64_t came = counts.received - at_warmup_.received;
  outcome.loss = came == 0 ? 0 : static_cast<double>(outcome.lost) / static_cast<double>(came);
  outcome.mean_ns = bench_.latency.mean_ns();
  outcome.p50_ns = bench_.latency.quantile_ns(0.5);
  outcome.p99_ns = bench_.latency.quantile_ns(0.99);
  outcome.p999_ns = bench_.latency.quantile_ns(0.999);
  outcome.max_ns = bench_.latency.max_ns();
  outcome.p99_with_lost_ns = bench_.latency.quantile_ns(0.99, outcome.lost);
  outcome.mean_wait_ns = outcome.measured == 0 ? 0 : bench_.wait_ns / static_cast<double>(outcome.measured);
  outcome.reordered = bench_.reordered;
  double most = 0, sum = 0, capacity = 0;
  for (std::size_t i = 0; i < busy_in_window_.size(); ++i) {
    const double busy = static_cast<double>(busy_in_window_[i]) / 1e9;
    most = std::max(most, busy);
    sum += busy * options_.capacity[i];
    capacity += options_.capacity[i];
  }
  const double mean = sum / capacity;
  if (mean > 0) outcome.max_over_mean = most / mean;
  outcome.load = window_seconds_ > 0 ? mean / window_seconds_ : 0;
  outcome.moves = loop_->counts().moves;
  outcome.rebalances = loop_->counts().rebalances;
  outcome.rounds = loop_->counts().rounds;
  outcome.skipped = loop_->counts().skipped;
  outcome.plan_ns_median = policy_->median_ns();
  outcome.intervals = std::move(intervals_);
  summarize_intervals(static_cast<double>(options_.warmup_ns) / 1e9, outcome);
  return outcome;
}

}  // namespace

Result<Outcome> run_machine(const MachineOptions& options, const ServiceCost& service, Feed& feed) {
  const auto begin = std::chrono::steady_clock::now();
  Machine machine(options, service, feed);
  if (auto done = machine.build(); !done) return done.error();
  if (auto done = machine.run(); !done) return done.error();
  Outcome outcome = machine.outcome();
  outcome.simulate_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return outcome;
}

}  // namespace evenkeel::sim
