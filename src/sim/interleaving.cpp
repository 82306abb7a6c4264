#include "sim/interleaving.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "actuator/in_process/steered_table_actuator.h"
#include "actuator/in_process/table_actuator.h"
#include "base/check.h"
#include "base/random.h"
#include "control/load_meter.h"
#include "control/loop.h"
#include "engine/engine.h"
#include "evenkeel/policy.h"
#include "sim/law_book.h"
#include "sim/simulated_kernel.h"
#include "sim/synthetic_source.h"
#include "sim/virtual_clock.h"

namespace evenkeel::sim {

namespace {

using WitnessEngine = engine::Engine<Witness, VirtualClock>;

// Steps without which a run counts as hung: far above what the slowest setting needs.
constexpr std::uint64_t kStepsMax = 500'000;

// Who decides what moves.
enum class Mover : std::uint8_t { kFew, kAll, kLoop };

struct Setting {
  bool steered;  // as live input: the kernel gives each worker's dispatcher the packets of its buckets
  std::uint32_t dispatchers, workers, buckets, connections, connections_max, blocks, packets_per_block;
  std::uint64_t packets;  // of each source
  std::size_t ring_capacity;
  bool waits;
  Mover mover;                          // some buckets at random, all at once, or the control loop
  std::size_t policy;                   // of the loop
  bool removes;                         // takes workers out of service for a while
  std::uint32_t flood_each, jump_each;  // see SyntheticOptions
  std::uint64_t clock_jump_each;        // of so many steps, in one the clock jumps; 0: none
  std::int64_t idle_ns, deadline_after_ns;
  engine::QueueingOptions queueing;
};

// Workers evict a little before the limit: each is guaranteed a part of the last 32nd, a place at least
// (engine/connection_keeper.h), and holds back as much in its cache (engine/connection_arena.h).
bool evicts_nothing(const Setting& s) {
  return s.connections_max > s.connections + 3 * s.workers + s.connections_max / 16;
}

engine::QueueingOptions choose_queueing(base::Random& random, bool waits) {
  engine::QueueingOptions queueing;
  if (random.below(4) != 0) queueing.discipline = engine::Discipline::kFair;
  queueing.quantum_ns = static_cast<std::int64_t>(1 + random.below(20'000));
  queueing.limits = {static_cast<std::uint32_t>(1 + random.below(300)),
                     static_cast<std::uint32_t>(1 + random.below(200)),
                     static_cast<std::uint32_t>(1 + random.below(100))};
  queueing.sheds = !waits;
  queueing.codel_target_ns = static_cast<std::int64_t>(1 + random.below(200'000));
  queueing.codel_interval_ns = 10 * queueing.codel_target_ns;
  return queueing;
}

Setting choose_setting(base::Random& random) {
  Setting setting;
  setting.dispatchers = static_cast<std::uint32_t>(1 + random.below(3));
  setting.workers = static_cast<std::uint32_t>(1 + random.below(8));
  setting.buckets = 1u << random.below(9);
  setting.connections = static_cast<std::uint32_t>(1 + random.below(400));
  // Sometimes fewer than there are connections, so that some are evicted.
  setting.connections_max = random.below(4) == 0 ? static_cast<std::uint32_t>(1 + random.below(100)) : 10'000;
  setting.blocks = static_cast<std::uint32_t>(2 + random.below(8));
  setting.packets_per_block = static_cast<std::uint32_t>(1 + random.below(64));
  setting.packets = 200 + random.below(2'000);
  setting.ring_capacity = std::size_t{1} << (1 + random.below(9));
  setting.waits = random.below(4) != 0;
  setting.mover = static_cast<Mover>(random.below(3));
  setting.policy = random.below(policy_names().size());
  setting.removes = setting.mover != Mover::kLoop && setting.workers > 1 && random.below(3) == 0;
  setting.flood_each = random.below(3) == 0 ? static_cast<std::uint32_t>(1 + random.below(1'000)) : 0;
  setting.jump_each = random.below(4) == 0 ? static_cast<std::uint32_t>(1 + random.below(500)) : 0;
  setting.clock_jump_each = random.below(4) == 0 ? 1 + random.below(1'000) : 0;
  setting.idle_ns = static_cast<std::int64_t>(1 + random.below(200'000'000));
  setting.deadline_after_ns =
      random.below(2) == 0 ? static_cast<std::int64_t>(1 + random.below(20'000'000)) : 0;
  setting.queueing = choose_queueing(random, setting.waits);
  setting.steered = random.below(3) == 0;
  if (setting.steered) setting.dispatchers = setting.workers;
  return setting;
}

// What packets come from: the dispatchers' own, or the one wire before the kernel.
std::uint32_t sources_of(const Setting& setting) { return setting.steered ? 1 : setting.dispatchers; }

std::string describe_mover(const Setting& s) {
  std::string text = s.mover == Mover::kLoop  ? fmt::format("policy {}", policy_names()[s.policy])
                     : s.mover == Mover::kAll ? "all buckets move"
                                              : "some buckets move";
  if (s.removes) text += ", workers come and go";
  if (s.flood_each != 0) text += ", floods";
  if (s.jump_each != 0) text += ", packet time jumps";
  if (s.clock_jump_each != 0) text += ", the clock jumps";
  if (s.steered) text += ", steered by the kernel";
  return text;
}

std::string describe(const Setting& s) {
  return fmt::format(
      "{} dispatchers, {} workers, {} buckets, {} connections (at most {}), {} packets each, rings of {}, {} "
      "blocks of {}, {}, {}, {} by {} ns, {} + {} + {} queued",
      s.dispatchers, s.workers, s.buckets, s.connections, s.connections_max, s.packets, s.ring_capacity,
      s.blocks, s.packets_per_block, s.waits ? "waiting" : "dropping", describe_mover(s),
      engine::kDisciplineNames[static_cast<std::size_t>(s.queueing.discipline)], s.queueing.quantum_ns,
      s.queueing.limits.worker_packets, s.queueing.limits.bucket_packets,
      s.queueing.limits.connection_packets);
}

// Tells the law book what came.
class WitnessedSource final : public Source {
 public:
  WitnessedSource(SyntheticSource& source, LawBook& laws) : source_(source), laws_(laws) {}
  ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) override {
    const ReceiveStatus status = source_.receive(out, count);
    laws_.came({out.data(), count});
    return status;
  }
  bool can_wait() const override { return source_.can_wait(); }
  SourceStatistics statistics() const override { return source_.statistics(); }
  std::string name() const override { return source_.name(); }

 private:
  SyntheticSource& source_;
  LawBook& laws_;
};

class Interleaving {
 public:
  explicit Interleaving(std::uint64_t seed)
      : random_(seed),
        setting_(choose_setting(random_)),
        laws_({.sources = sources_of(setting_),
               .packets_per_source = setting_.packets,
               .connections = setting_.connections,
               .buckets = setting_.buckets,
               .connections_max = setting_.connections_max,
               .idle_ns = setting_.idle_ns,
               .exact = setting_.waits && setting_.dispatchers == 1 && !setting_.steered &&
                        evicts_nothing(setting_)}),
        steered_moves_(setting_.dispatchers) {
    build();
  }

  InterleavingResult run();

 private:
  void build();
  void build_sources();
  void build_control();
  void step();
  void choose_weights();
  void step_dispatcher(std::size_t index);
  void control();
  void move_buckets();
  void remove_or_add_worker();
  ProcessorId any_worker_in_service();
  void tick();
  void check_laws();
  bool done() const;
  std::uint64_t dropped() const;
  void check_end();

  base::Random random_;
  const Setting setting_;
  LawBook laws_;
  std::uint64_t now_ticks_ = 0;
  std::vector<std::unique_ptr<SyntheticSource>> sources_;
  std::unique_ptr<WitnessEngine> engine_;
  std::vector<std::unique_ptr<Source>> witnessed_;
  const packet::Hasher hasher_ = *packet::Hasher::make("toeplitz", "");
  std::unique_ptr<SimulatedKernel> kernel_;                     // of a steered run
  bucket::SteeredMoves steered_moves_;                          // likewise
  actuator::SteeredTableActuator* steered_actuator_ = nullptr;  // likewise
  std::unique_ptr<Policy> policy_;
  std::unique_ptr<actuator::TableActuator> actuator_;
  std::unique_ptr<control::LoadMeter> load_meter_;
  std::unique_ptr<control::Loop> loop_;
  std::vector<std::uint64_t> waiting_;
  std::vector<bool> in_service_;  // by worker
  std::vector<bool> dispatcher_finished_;
  bool finishing_ = false;
  InterleavingResult result_;
  // Actors are dispatchers, then workers, then the control thread, then the kernel; some are slow for a
  // while.
  std::vector<std::uint64_t> weights_;
  std::uint64_t weights_until_ = 0;
};

void Interleaving::build_sources() {
  for (std::uint32_t i = 0; i < sources_of(setting_); ++i) {
    sources_.push_back(std::make_unique<SyntheticSource>(SyntheticOptions{
        .seed = random_.next(),
        .packets = setting_.packets,
        .connections = setting_.connections,
        .blocks = setting_.blocks,
        .packets_per_block = setting_.packets_per_block,
        .source = static_cast<std::uint16_t>(i),
        .waits = setting_.waits,
        .flood_each = setting_.flood_each,
        .jump_each = setting_.jump_each,
    }));
    witnessed_.push_back(std::make_unique<WitnessedSource>(*sources_.back(), laws_));
  }
  if (setting_.steered)
    kernel_ = std::make_unique<SimulatedKernel>(random_.next(), *witnessed_[0], hasher_, setting_.workers);
}

void Interleaving::build() {
  build_sources();
  engine::EngineOptions options;
  options.workers = setting_.workers;
  options.buckets = setting_.buckets;
  options.connections_max = setting_.connections_max;
  options.ring_capacity = setting_.ring_capacity;
  options.lifetimes.idle_ns = setting_.idle_ns;
  options.queueing = setting_.queueing;
  std::vector<Source*> sources;
  for (const auto& source : witnessed_) sources.push_back(source.get());
  if (setting_.steered) {
    sources.clear();
    for (std::uint32_t i = 0; i < setting_.workers; ++i) {
      sources.push_back(&kernel_->ring(i));
      options.steered.push_back(&kernel_->ring(i));
    }
    options.moves = &steered_moves_;
  }
  auto engine = WitnessEngine::make(
      options, sources, hasher_,
      [&](ProcessorId id) { return Witness(id, laws_, &now_ticks_, setting_.deadline_after_ns); },
      [&](ProcessorId) { return VirtualClock(&now_ticks_); });
  CHECK(engine.ok());
  engine_ = std::move(*engine);
  for (const auto& worker : engine_->workers()) worker->handler().watch(engine_->board());
  dispatcher_finished_.resize(setting_.dispatchers);
  in_service_.assign(setting_.workers, true);
  waiting_.resize(setting_.workers);
  build_control();
  result_.setting = describe(setting_);
}

void Interleaving::build_control() {
  auto policy = make_policy(policy_names()[setting_.policy]);
  CHECK(policy.ok());
  policy_ = std::move(*policy);
  if (setting_.steered) {
    kernel_->begin(engine_->board().newest().owner);
    auto steered =
        std::make_unique<actuator::SteeredTableActuator>(engine_->board(), steered_moves_, *kernel_);
    steered_actuator_ = steered.get();
    actuator_ = std::move(steered);
  } else {
    actuator_ = std::make_unique<actuator::TableActuator>(engine_->board());
  }
  load_meter_ = std::make_unique<control::LoadMeter>(engine_->worker_meters(), engine_->bucket_meters(),
                                                     std::vector<double>(setting_.workers, 1.0), 0);
  loop_ = std::make_unique<control::Loop>(*load_meter_, *policy_, *actuator_, [](const control::Round&) {});
}

// Who is slow, and how slow, changes every few hundred steps; a weight of 0 is a stall.
void Interleaving::choose_weights() {
  weights_.resize(setting_.dispatchers + setting_.workers + (setting_.steered ? 2 : 1));
  for (auto& weight : weights_) weight = random_.below(8) == 0 ? 0 : 1 + random_.below(10);
  weights_until_ = result_.steps + 1 + random_.below(500);
}

void Interleaving::step() {
  if (result_.steps >= weights_until_) choose_weights();
  std::uint64_t total = 0;
  for (const std::uint64_t weight : weights_) total += weight;
  if (total == 0) return;
  std::uint64_t drawn = random_.below(total);
  std::size_t actor = 0;
  while (drawn >= weights_[actor]) drawn -= weights_[actor++];
  now_ticks_ += random_.below(1000);
  if (setting_.clock_jump_each != 0 && random_.below(setting_.clock_jump_each) == 0)
    now_ticks_ += random_.below(100'000'000'000);
  if (actor == setting_.dispatchers + setting_.workers) return control();
  if (actor > setting_.dispatchers + setting_.workers) return kernel_->step();
  // Law 7. What a new table brings may take memory, as that is not for each packet.
  const bool settled = engine_->board().settled();
  const std::uint64_t allocations = allocation_count == nullptr ? 0 : allocation_count();
  if (actor < setting_.dispatchers) {
    step_dispatcher(actor);
  } else {
    engine_->workers()[actor - setting_.dispatchers]->step();
  }
  if (settled && allocation_count != nullptr && allocation_count() != allocations &&
      laws_.violation().empty())
    laws_.violate("frugality: memory was allocated on the packet path");
}

void Interleaving::step_dispatcher(std::size_t index) {
  if (dispatcher_finished_[index]) return;
  dispatcher_finished_[index] = engine_->dispatchers()[index]->step() == engine::DispatchStatus::kFinished;
}

void Interleaving::control() {
  if (engine_->drained() && !finishing_) {
    for (const auto& dispatcher : engine_->dispatchers()) dispatcher->finish();
    finishing_ = true;
  }
  if (finishing_) return;
  if (setting_.steered) CHECK(steered_actuator_->advance().ok());
  if (setting_.mover == Mover::kLoop) return tick();
  if (!engine_->board().settled() || setting_.workers == 1) return;
  if (setting_.removes && random_.below(4) == 0) remove_or_add_worker();
  move_buckets();
}

void Interleaving::tick() {
  for (std::uint32_t i = 0; i < setting_.workers; ++i) waiting_[i] = engine_->waiting(ProcessorId(i));
  const std::uint64_t moves = loop_->counts().moves;
  const auto done = loop_->tick(
      {.time_ns = static_cast<std::int64_t>(now_ticks_), .ticks = now_ticks_, .waiting = waiting_});
  if (!done) laws_.violate("control: " + done.error().message);
  result_.moves += loop_->counts().moves - moves;
  ++result_.rounds;
}

// One worker at least stays.
void Interleaving::remove_or_add_worker() {
  const std::uint64_t worker = random_.below(setting_.workers);
  const auto others =
      std::count(in_service_.begin(), in_service_.end(), true) - (in_service_[worker] ? 1 : 0);
  if (in_service_[worker] && others == 0) return;
  in_service_[worker] = !in_service_[worker];
  result_.removed += in_service_[worker] ? 0 : 1;
}

ProcessorId Interleaving::any_worker_in_service() {
  while (true) {
    const auto worker = static_cast<std::uint32_t>(random_.below(setting_.workers));
    if (in_service_[worker]) return ProcessorId(worker);
  }
}

// Buckets of workers that are out of service all move.
void Interleaving::move_buckets() {
  std::vector<Move> moves;
  const std::uint64_t chance = setting_.mover == Mover::kAll ? 1 : 1 + random_.below(setting_.buckets);
  for (std::uint32_t j = 0; j < setting_.buckets; ++j) {
    const ProcessorId from(engine_->board().newest().owner[j]);
    if (random_.below(chance) != 0 && in_service_[from.value()]) continue;
    const ProcessorId to = any_worker_in_service();
    if (from != to) moves.push_back({.bucket = BucketId(j), .from = from, .to = to});
  }
  result_.moves += moves.size();
  CHECK(actuator_->apply(moves).ok());
}

bool Interleaving::done() const {
  return finishing_ &&
         std::all_of(dispatcher_finished_.begin(), dispatcher_finished_.end(), [](bool f) { return f; }) &&
         std::all_of(engine_->workers().begin(), engine_->workers().end(),
                     [](const auto& worker) { return worker->finished(); });
}

std::uint64_t Interleaving::dropped() const {
  std::uint64_t sum = kernel_ == nullptr ? 0 : kernel_->dropped();
  for (const auto& meters : engine_->dispatcher_meters())
    for (const auto& counter : meters.dropped) sum += counter.read();
  for (const auto& meters : engine_->worker_meters())
    for (const auto& counter : meters.dropped) sum += counter.read();
  return sum;
}

// Laws 2, 3 and 6, as the engine's own counters have it; the handlers have told of the others.
void Interleaving::check_laws() {
  LawBook::Counted counted;
  counted.dropped = dropped();
  if (kernel_ != nullptr) kernel_->reclaim();
  for (const auto& source : sources_) counted.lent += source->lent();
  for (const auto& meters : engine_->dispatcher_meters())
    for (const auto& counter : meters.by_parse_reason) counted.other += counter.read();
  for (std::size_t i = 0; i < setting_.workers; ++i) {
    const meter::WorkerMeters& meters = engine_->worker_meters()[i];
    counted.processed += meters.processed.read();
    if (meters.ownership_violations.read() != 0 || meters.timers.fired_off_owner.read() != 0)
      laws_.violate("ownership: a worker met a bucket that is not its own");
    // A bucket brings its queue along; without moves, a worker's limit holds at any time.
    const std::uint64_t waiting = engine_->queue_meters()[i].waiting_packets.read();
    const std::uint64_t limit =
        setting_.queueing.limits.worker_packets + (setting_.queueing.sheds ? 0 : engine::kBurst);
    if (result_.moves == 0 && waiting > limit)
      laws_.violate(fmt::format("boundedness: {} packets wait at a worker, {} may", waiting, limit));
  }
  laws_.check_conservation(counted);
}

void Interleaving::check_end() {
  for (const auto& worker : engine_->workers()) worker->close_all(engine_->handed_over_ns());
  laws_.check_end(dropped());
  std::uint64_t processed = 0;
  for (const auto& meters : engine_->worker_meters()) {
    processed += meters.processed.read();
    if (meters.ownership_violations.read() != 0)
      laws_.violate("ownership: a worker met a bucket that is not its own");
  }
  if (processed != laws_.served_count())
    laws_.violate("conservation: the engine counts otherwise than its handlers");
  for (const auto& meters : engine_->queue_meters()) {
    result_.queued += meters.packets.read();
    result_.shed += meters.shed_by_limit.read() + meters.shed_by_delay.read();
    if (meters.waiting_packets.read() != 0) laws_.violate("conservation: packets are left in a queue");
  }
  if (kernel_ != nullptr) kernel_->reclaim();
  for (const auto& source : sources_)
    if (!source->all_released()) laws_.violate("conservation: a packet was not given back to its source");
}

InterleavingResult Interleaving::run() {
  while (!done() && laws_.violation().empty()) {
    step();
    if (laws_.violation().empty()) check_laws();
    if (++result_.steps == kStepsMax) laws_.violate("progress: the run does not end");
  }
  if (laws_.violation().empty()) check_end();
  result_.packets = laws_.served_count();
  result_.violation = laws_.violation();
  return result_;
}

}  // namespace

InterleavingResult run_interleaving(std::uint64_t seed) { return Interleaving(seed).run(); }

}  // namespace evenkeel::sim
