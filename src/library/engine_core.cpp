// The engine behind Engine<Handler>: a run, on a control thread of its own.

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/time_range.h"
#include "engine/engine.h"
#include "engine/threads.h"
#include "evenkeel/engine.h"
#include "library/checked_source.h"
#include "library/engine_options.h"
#include "library/slot_engine.h"
#include "observe/report_json.h"
#include "runtime/run.h"
#include "runtime/run_inputs.h"

namespace evenkeel::library {

namespace {

const std::string kVersion =
    fmt::format("{}.{}.{}", EVENKEEL_VERSION_MAJOR, EVENKEEL_VERSION_MINOR, EVENKEEL_VERSION_PATCH);

MakeSlotEngine* slot_engine_for(const detail::HandlerCalls& calls) {
  constexpr std::array<MakeSlotEngine*, kSlotBytes.size()> kMakers = {
      make_slot_engine_32, make_slot_engine_64, make_slot_engine_128, make_slot_engine_256};
  for (std::size_t i = 0; i < kSlotBytes.size(); ++i) {
    if (slot_bytes(calls) <= kSlotBytes[i]) return kMakers[i];
  }
  return nullptr;
}

Result<void> check_calls(const Options& options, const detail::HandlerCalls& calls,
                         const std::vector<void*>& handlers) {
  if (calls.open == nullptr || calls.packet == nullptr || calls.close == nullptr)
    return usage_error("a handler needs open, packet and close");
  if (calls.timers > kTimersMax || (calls.timers != 0 && calls.timer == nullptr))
    return usage_error(fmt::format("a handler has 0 to {} timers, and a function for them, not {}",
                                   kTimersMax, calls.timers));
  if (calls.state_bytes > kStateBytesMax)
    return usage_error(
        fmt::format("a connection's state has at most {} bytes, not {}: keep a pointer to more",
                    kStateBytesMax, calls.state_bytes));
  if (handlers.size() != options.workers)
    return usage_error(fmt::format("{} handlers for {} workers", handlers.size(), options.workers));
  return {};
}

Report to_report(observe::RunReport&& full, bool ended) {
  Report report;
  report.ended = ended;
  report.inputs = std::move(full.inputs);
  report.elapsed_seconds = full.elapsed_seconds;
  report.packets_per_second = full.packets_per_second;
  report.packets = std::move(full.packets);
  report.connections = full.connections;
  report.workers = std::move(full.workers);
  report.max_over_mean = full.balance.max_over_mean;
  report.static_max_over_mean = full.balance.static_max_over_mean;
  report.rebalances = full.balance.rebalances;
  report.moves = full.balance.moves;
  report.bucket_owners = std::move(full.balance.bucket_owners);
  report.queueing = std::move(full.queueing);
  report.timers = full.timers;
  report.elephants = std::move(full.elephants);
  report.order_violations = full.order_violations;
  report.ownership_violations = full.ownership_violations;
  return report;
}

class Core final : public detail::EngineCore {
 public:
  Core(const Options& options, const detail::HandlerCalls& calls, const std::vector<void*>& handlers)
      : options_(options), calls_(calls), handlers_(handlers), meters_(options.workers) {}
  ~Core() override;

  Result<void> prepare();

  Result<void> start() override;
  void stop() override;
  Result<Report> wait() override;
  Report report() const override { return to_report(full_report(), ended_.load(std::memory_order_acquire)); }
  std::string report_json() const override { return observe::report_json(full_report()); }

 private:
  Result<void> open_sources(const runtime::RunOptions& run);
  void drive();
  void close_sources();
  observe::RunReport full_report() const;
  // By a handler, a source, a policy or an actuator of this engine's.
  bool is_called_from_inside() const { return engine::thread_owner == this; }

  const Options options_;  // keeps the author's sources, policy and actuator
  const detail::HandlerCalls calls_;
  const std::vector<void*> handlers_;  // by worker
  std::vector<HandlerMeters> meters_;  // by worker
  runtime::RunInputs inputs_;
  std::vector<std::unique_ptr<CheckedSource>> checked_sources_;
  std::vector<Source*> claimed_;  // of the author's, all or as many as there were until an error
  std::vector<Source*> sources_;  // of the run: the inputs, and the checked ones
  std::optional<runtime::Run> run_;
  std::thread control_;
  bool prepared_ = false;  // else the author's sources are as they were
  bool started_ = false;
  std::atomic<bool> stopped_{false};
  // Release by the control thread when all is done; acquire by who then reads the whole report.
  std::atomic<bool> ended_{false};
  Result<void> outcome_;  // of the control thread, which was joined before it is read
};

Result<void> Core::prepare() {
  auto run = run_options(options_);
  if (!run) return run.error();
  if (auto opened = open_sources(*run); !opened) return opened;
  MakeSlotEngine* const make_engine = slot_engine_for(calls_);
  run_.emplace(
      std::move(*run),
      runtime::RunParts{.sources = sources_,
                        .make_engine =
                            [this, make_engine](const engine::EngineOptions& settings,
                                                std::vector<Source*> sources, packet::Hasher hasher) {
                              return make_engine(settings, std::move(sources), std::move(hasher),
                                                 {.calls = calls_, .objects = handlers_, .meters = meters_});
                            },
                        .live = inputs_.live.get(),
                        .policy = options_.own_policy.get(),
                        .wrap_actuator = options_.own_actuator});
  auto prepared = run_->prepare();
  prepared_ = prepared.ok();
  return prepared;
}

Result<void> Core::open_sources(const runtime::RunOptions& run) {
  if (!options_.inputs.empty()) {
    runtime::InputOptions settings;
    settings.specs = options_.inputs;
    settings.filter = options_.filter;
    settings.snap_length = options_.snap_length;
    settings.xdp_use = options_.xdp_mode == "consume" ? source::XdpUse::kConsume : source::XdpUse::kTap;
    if (options_.duration) settings.duration_ns = base::bounded_time_ns(options_.duration->count());
    auto inputs = runtime::open_inputs(settings, run);
    if (!inputs) return inputs.error();
    inputs_ = std::move(*inputs);
    sources_ = inputs_.sources();
    if (inputs_.live && !options_.sources.empty())
      return usage_error("live interfaces and own sources do not go together in one engine");
  }
  for (const auto& source : options_.sources) {
    if (!source->claim())
      return usage_error(fmt::format("source {} feeds another engine: each engine needs a source of its own",
                                     source->name()));
    claimed_.push_back(source.get());
    if (source->is_over())
      return usage_error(
          fmt::format("source {} was closed with the engine that it fed: make another one", source->name()));
    const std::size_t number = options_.inputs.size() + checked_sources_.size();
    checked_sources_.push_back(std::make_unique<CheckedSource>(*source, static_cast<std::uint16_t>(number)));
    sources_.push_back(checked_sources_.back().get());
  }
  return {};
}

Result<void> Core::start() {
  if (started_) return usage_error("an engine runs once: it was started before");
  try {
    control_ = std::thread([this] { drive(); });
  } catch (const std::system_error&) {
    return runtime_error("the system gives no more threads");
  }
  started_ = true;
  return {};
}

void Core::drive() {
  engine::thread_owner = this;
  outcome_ = run_->drive({.stopped = [this] { return stopped_.load(std::memory_order_relaxed); }});
  close_sources();
  ended_.store(true, std::memory_order_release);
}

void Core::close_sources() {
  for (Source* source : sources_) source->closed();
}

void Core::stop() {
  // A source that is told may stop the engine in turn.
  if (stopped_.exchange(true, std::memory_order_relaxed)) return;
  // Whoever feeds a source learns at once that nobody will take its packets.
  close_sources();
}

Result<Report> Core::wait() {
  if (is_called_from_inside())
    return usage_error("wait() from a call that the engine made would wait for itself: use stop()");
  if (!started_) return usage_error("wait() before start(): nothing runs");
  if (control_.joinable()) control_.join();
  if (!outcome_) return outcome_.error();
  return report();
}

Core::~Core() {
  CHECK(!is_called_from_inside());
  if (prepared_) stop();
  if (control_.joinable()) control_.join();
  for (Source* source : claimed_) source->give_back();
}

observe::RunReport Core::full_report() const {
  observe::RunReport report = run_->report();
  report.version = kVersion;
  report.interrupted = stopped_.load(std::memory_order_relaxed);
  for (const HandlerMeters& meters : meters_) report.order_violations += meters.order_violations.read();
  return report;
}

}  // namespace

}  // namespace evenkeel::library

namespace evenkeel::detail {

Result<void> check(const Options& options) { return library::check_options(options); }

Result<std::unique_ptr<EngineCore>> EngineCore::make(const Options& options, const HandlerCalls& calls,
                                                     const std::vector<void*>& handlers) {
  if (auto checked = library::check_options(options); !checked) return checked.error();
  if (auto checked = library::check_calls(options, calls, handlers); !checked) return checked.error();
  auto core = std::make_unique<library::Core>(options, calls, handlers);
  if (auto prepared = core->prepare(); !prepared) return prepared.error();
  return std::unique_ptr<EngineCore>(std::move(core));
}

}  // namespace evenkeel::detail
