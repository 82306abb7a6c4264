#include "sim/interleaving.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "engine/engine.h"
#include "sim/law_book.h"
#include "sim/synthetic_source.h"
#include "sim/virtual_clock.h"

namespace evenkeel::sim {

namespace {

using WitnessEngine = engine::Engine<Witness, VirtualClock>;

// Steps without which a run counts as hung: far above what the slowest setting needs.
constexpr std::uint64_t kStepsMax = 20'000'000;

struct Setting {
  std::uint32_t dispatchers, workers, buckets, connections, connections_max, blocks, packets_per_block;
  std::uint64_t packets;  // of each dispatcher
  std::size_t ring_capacity;
  bool waits;
  bool mass_moves;  // all buckets move at once, else a few
  engine::QueueingOptions queueing;
};

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
  setting.mass_moves = random.below(3) == 0;
  setting.queueing = choose_queueing(random, setting.waits);
  return setting;
}

std::string describe(const Setting& s) {
  return fmt::format(
      "{} dispatchers, {} workers, {} buckets, {} connections (at most {}), {} packets each, rings of {}, {} "
      "blocks of "
      "{}, {}, {}, {} by {} ns, {} + {} + {} queued",
      s.dispatchers, s.workers, s.buckets, s.connections, s.connections_max, s.packets, s.ring_capacity,
      s.blocks, s.packets_per_block, s.waits ? "waiting" : "dropping",
      s.mass_moves ? "mass moves" : "few moves",
      engine::kDisciplineNames[static_cast<std::size_t>(s.queueing.discipline)], s.queueing.quantum_ns,
      s.queueing.limits.worker_packets, s.queueing.limits.bucket_packets,
      s.queueing.limits.connection_packets);
}

class Interleaving {
 public:
  explicit Interleaving(std::uint64_t seed)
      : random_(seed),
        setting_(choose_setting(random_)),
        laws_(setting_.dispatchers, setting_.packets, setting_.connections) {
    build();
  }

  InterleavingResult run();

 private:
  void build();
  void step();
  void choose_weights();
  void step_dispatcher(std::size_t index);
  void move_buckets();
  bool done() const;
  std::uint64_t dropped() const;
  void check_end();

  base::Random random_;
  const Setting setting_;
  LawBook laws_;
  std::uint64_t now_ticks_ = 0;
  std::vector<std::unique_ptr<SyntheticSource>> sources_;
  std::unique_ptr<WitnessEngine> engine_;
  std::vector<bool> dispatcher_finished_;
  bool finishing_ = false;
  InterleavingResult result_;
  // Actors are dispatchers, then workers, then the control thread; some are slow for a while.
  std::vector<std::uint64_t> weights_;
  std::uint64_t weights_until_ = 0;
};

void Interleaving::build() {
  std::vector<Source*> sources;
  for (std::uint32_t d = 0; d < setting_.dispatchers; ++d) {
    sources_.push_back(std::make_unique<SyntheticSource>(SyntheticOptions{
        .seed = random_.next(),
        .packets = setting_.packets,
        .connections = setting_.connections,
        .blocks = setting_.blocks,
        .packets_per_block = setting_.packets_per_block,
        .source = static_cast<std::uint16_t>(d),
        .waits = setting_.waits,
    }));
    sources.push_back(sources_.back().get());
  }
  engine::EngineOptions options;
  options.workers = setting_.workers;
  options.buckets = setting_.buckets;
  options.connections_max = setting_.connections_max;
  options.ring_capacity = setting_.ring_capacity;
  options.lifetimes.idle_ns = static_cast<std::int64_t>(1 + random_.below(200'000'000));
  options.queueing = setting_.queueing;
  auto hasher = packet::Hasher::make("toeplitz", "");
  auto engine = WitnessEngine::make(
      options, sources, std::move(*hasher), [&](ProcessorId id) { return Witness(id, laws_, &now_ticks_); },
      [&](ProcessorId) { return VirtualClock(&now_ticks_); });
  CHECK(engine.ok());
  engine_ = std::move(*engine);
  for (const auto& worker : engine_->workers()) worker->handler().watch(engine_->board());
  dispatcher_finished_.resize(setting_.dispatchers);
  result_.setting = describe(setting_);
}

// Who is slow, and how slow, changes every few hundred steps; a weight of 0 is a stall.
void Interleaving::choose_weights() {
  weights_.resize(setting_.dispatchers + setting_.workers + 1);
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
  if (actor < setting_.dispatchers) return step_dispatcher(actor);
  actor -= setting_.dispatchers;
  if (actor == setting_.workers) return move_buckets();
  engine_->workers()[actor]->step();
}

void Interleaving::step_dispatcher(std::size_t index) {
  if (dispatcher_finished_[index]) return;
  dispatcher_finished_[index] = engine_->dispatchers()[index]->step() == engine::DispatchStatus::kFinished;
}

void Interleaving::move_buckets() {
  if (engine_->drained() && !finishing_) {
    for (const auto& dispatcher : engine_->dispatchers()) dispatcher->finish();
    finishing_ = true;
  }
  if (finishing_ || !engine_->board().settled() || setting_.workers == 1) return;
  std::vector<bucket::Reassignment> moves;
  const std::uint64_t chance = setting_.mass_moves ? 1 : 1 + random_.below(setting_.buckets);
  for (std::uint32_t j = 0; j < setting_.buckets; ++j) {
    if (random_.below(chance) != 0) continue;
    const ProcessorId from(engine_->board().newest().owner[j]);
    const ProcessorId to(static_cast<std::uint32_t>(random_.below(setting_.workers)));
    if (from != to) moves.push_back({BucketId(j), from, to});
  }
  result_.moves += moves.size();
  engine_->board().publish(moves);
}

bool Interleaving::done() const {
  return finishing_ &&
         std::all_of(dispatcher_finished_.begin(), dispatcher_finished_.end(), [](bool f) { return f; }) &&
         std::all_of(engine_->workers().begin(), engine_->workers().end(),
                     [](const auto& worker) { return worker->finished(); });
}

std::uint64_t Interleaving::dropped() const {
  std::uint64_t sum = 0;
  for (const auto& meters : engine_->dispatcher_meters())
    for (const auto& counter : meters.dropped) sum += counter.read();
  for (const auto& meters : engine_->worker_meters())
    for (const auto& counter : meters.dropped) sum += counter.read();
  return sum;
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
  for (const auto& source : sources_)
    if (!source->all_released()) laws_.violate("conservation: a packet was not given back to its source");
}

InterleavingResult Interleaving::run() {
  while (!done() && laws_.violation().empty()) {
    step();
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
