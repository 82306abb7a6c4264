#include "runtime/meter_run.h"

#include <memory>
#include <utility>
#include <vector>

#include "flow/meter.h"
#include "runtime/driven_engine.h"
#include "runtime/record_output.h"
#include "runtime/run_inputs.h"

namespace evenkeel::runtime {

namespace {

using MeterEngine = DrivenEngineOf<flow::FlowMeter>;

class MeterRun {
 public:
  MeterRun(const MeterRunOptions& options, const MeterRunHooks& hooks)
      : options_(options), hooks_(hooks), counters_(options.workers) {}

  Result<observe::RunReport> operator()() {
    if (auto opened = open_inputs_of_run(); !opened) return opened.error();
    if (auto opened = open_output(); !opened) return opened.error();
    RunOptions run_options = options_;
    run_options.live_duration_ns = options_.duration_ns;
    Run run(run_options, {.sources = inputs_.sources(),
                          .make_engine =
                              [this](const engine::EngineOptions& settings, std::vector<Source*> sources,
                                     packet::Hasher hasher) {
                                return make_engine(settings, std::move(sources), std::move(hasher));
                              },
                          .live = inputs_.live.get()});
    if (auto prepared = run.prepare(); !prepared) return prepared.error();
    const Result<void> driven =
        run.drive({.stopped = [this] { return stopped(); },
                   .progress = [this](const Run& running) { tell_progress(running); }});
    if (output_) {
      if (auto finished = output_->finish(); !finished) return finished.error();
    }
    if (!driven) return driven.error();
    return report(run);
  }

 private:
  Result<void> open_inputs_of_run();
  Result<void> open_output();
  Result<std::unique_ptr<DrivenEngine>> make_engine(const engine::EngineOptions& settings,
                                                    std::vector<Source*> sources, packet::Hasher hasher);
  bool stopped() const {
    return hooks_.interrupted.load(std::memory_order_relaxed) || (output_ && output_->failed());
  }
  void tell_progress(const Run& run) const;
  observe::RunReport report(const Run& run) const;

  const MeterRunOptions& options_;
  const MeterRunHooks& hooks_;
  RunInputs inputs_;
  std::unique_ptr<RecordOutput> output_;  // outlives the run, whose meters write to it
  std::vector<flow::MeterCounters> counters_;
  SourceStatistics input_;  // before the first packet: its totals
};

Result<void> MeterRun::open_inputs_of_run() {
  auto inputs = open_inputs({.specs = options_.inputs,
                             .filter = options_.filter,
                             .duration_ns = options_.duration_ns,
                             .snap_length = options_.snap_length,
                             .xdp_use = options_.xdp_use,
                             .tell = hooks_.tell},
                            options_);
  if (!inputs) return inputs.error();
  inputs_ = std::move(*inputs);
  if (inputs_.source) input_ = inputs_.source->statistics();
  return {};
}

Result<void> MeterRun::open_output() {
  if (options_.flows.empty()) return {};
  auto output = RecordOutput::open(options_.flows, options_.format, options_.workers);
  if (!output) return output.error();
  output_ = std::move(*output);
  return {};
}

Result<std::unique_ptr<DrivenEngine>> MeterRun::make_engine(const engine::EngineOptions& settings,
                                                            std::vector<Source*> sources,
                                                            packet::Hasher hasher) {
  return MeterEngine::make(settings, std::move(sources), std::move(hasher), [this](ProcessorId id) {
    return flow::FlowMeter({.active_ns = options_.active_timeout_ns}, output_ ? &output_->sink(id) : nullptr,
                           counters_[id.value()]);
  });
}

void MeterRun::tell_progress(const Run& run) const {
  if (!hooks_.progress) return;
  observe::ProgressState state;
  state.elapsed_seconds = run.elapsed_seconds();
  state.packets = run.packets_received();
  if (input_.bytes_total.value_or(0) > 0)
    state.done_fraction = static_cast<double>(run.bytes_read()) / static_cast<double>(*input_.bytes_total);
  else if (input_.packets_total.value_or(0) > 0)
    state.done_fraction = static_cast<double>(state.packets) / static_cast<double>(*input_.packets_total);
  hooks_.progress(state);
}

// What is the meter's own is read after the threads have ended.
observe::RunReport MeterRun::report(const Run& run) const {
  observe::RunReport report = run.report();
  report.options.active_timeout_ns = options_.active_timeout_ns;
  report.interrupted = hooks_.interrupted.load(std::memory_order_relaxed);
  for (const flow::MeterCounters& counters : counters_) {
    report.records += counters.records.read();
    report.order_violations += counters.order_violations.read();
  }
  return report;
}

}  // namespace

Result<observe::RunReport> meter_run(const MeterRunOptions& options, const MeterRunHooks& hooks) {
  return MeterRun(options, hooks)();
}

}  // namespace evenkeel::runtime
