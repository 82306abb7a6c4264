// One run of an engine, whatever its handler: processors, policy, control loop, threads and report put
// together. `evenkeel run` and the library's Engine are this, with different handlers.
//
// Thread: prepare and drive [control]; drive makes the caller's thread the control thread until the run ends.
// report() [any], after prepare().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "actuator/actuator.h"
#include "control/load_meter.h"
#include "control/loop.h"
#include "control/topology.h"
#include "engine/elephants.h"
#include "engine/queueing.h"
#include "evenkeel/policy.h"
#include "evenkeel/result.h"
#include "evenkeel/source.h"
#include "observe/run_report.h"
#include "packet/hash.h"
#include "runtime/balance_recorder.h"

namespace evenkeel::actuator {
class SteeredTableActuator;
}
namespace evenkeel::engine {
struct EngineOptions;
}
namespace evenkeel::source {
class LiveInputs;
}

namespace evenkeel::runtime {

class DrivenEngine;

struct RunOptions {
  std::uint32_t workers = 2;
  std::uint32_t buckets = 1024;
  std::string hash = "toeplitz";
  std::string hash_key;  // "": the symmetric key
  std::string policy = "index";
  std::int64_t interval_ns = 100'000'000;
  bool inner_tunnel = false;
  std::int64_t idle_timeout_ns = 60'000'000'000;
  std::int64_t half_open_timeout_ns = 30'000'000'000;  // of TCP, until its handshake is complete
  std::uint32_t connections_max = 1'000'000;
  std::optional<double> speed;  // of the sources, which keep to it; nothing: as fast as it goes
  engine::QueueingOptions queueing{.discipline = engine::Discipline::kFair};
  engine::ElephantOptions elephants = {};
  std::optional<std::vector<std::uint32_t>> pin;  // nothing: where there are processors enough; empty: off
  std::vector<double> capacity;                   // by worker, relative; empty: as the CPUs are, if pinned
  std::uint64_t seed = 1;
  std::optional<std::int64_t> live_duration_ns;  // real time after which live interfaces end
};

// What a run is made of besides. All of it outlives the run.
struct RunParts {
  std::vector<Source*> sources;  // at least one; each has a dispatcher
  // The engine, with the handler of whoever runs it.
  std::function<Result<std::unique_ptr<DrivenEngine>>(const engine::EngineOptions&, std::vector<Source*>,
                                                      packet::Hasher)>
      make_engine = {};
  source::LiveInputs* live = nullptr;  // whose sources these are, or nullptr
  Policy* policy = nullptr;            // nullptr: by the name in the options
  // Put between the policy and the engine's actuator, or nothing.
  std::function<std::shared_ptr<actuator::Actuator>(actuator::Actuator&)> wrap_actuator = {};
};

// Called by the control thread, at least every few milliseconds.
struct RunHooks {
  std::function<bool()> stopped = {};  // true: the run ends as if its sources had; may be empty
  std::function<void(const class Run&)> progress = {};  // some times a second; may be empty
};

class Run {
 public:
  Run(RunOptions options, RunParts parts);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // Makes everything, starts nothing.
  Result<void> prepare();

  // Runs to the end of the sources. An error of policy or actuator is returned after the run has ended.
  Result<void> drive(const RunHooks& hooks);

  // Of now, or of the whole run when it has ended. What is the handler's (records, order) is left to its
  // owner.
  observe::RunReport report() const;

  // [control] For progress.
  double elapsed_seconds() const;
  std::uint64_t packets_received() const;
  std::uint64_t packets_processed() const;
  std::uint64_t bytes_read() const;

 private:
  Result<void> choose_processors();
  Result<void> choose_policy();
  Result<void> make_engine();
  Result<void> make_actuators();

  actuator::Actuator& actuator() { return authors_actuator_ ? *authors_actuator_ : *checked_actuator_; }
  void record(const control::Round& round);
  void note_start();
  void note_end();
  void make_engine_actuator();
  void stop();
  Result<void> tend_live();
  Result<void> control_until_drained(const RunHooks& hooks);
  control::Moment now();
  void tell_progress(const RunHooks& hooks, std::int64_t now_ns);
  std::uint64_t thread_ticks(ProcessorId worker) const;
  bool has_started() const;
  bool has_ended() const;

  void report_inputs(observe::RunReport& report) const;
  void report_live(observe::RunReport& report) const;
  void report_packets(observe::PacketCounts& packets) const;
  void report_connections(observe::ConnectionCounts& connections) const;
  void report_workers(observe::RunReport& report) const;
  void report_timers(observe::RunReport& report) const;
  void report_balance(observe::RunReport& report) const;
  void report_elephants(observe::RunReport& report) const;

  const RunOptions options_;
  const RunParts parts_;
  std::unique_ptr<Policy> policy_of_name_;
  Policy* policy_ = nullptr;
  std::unique_ptr<DrivenEngine> engine_;
  // From the engine outwards; the last that is there is the loop's.
  std::unique_ptr<actuator::Actuator> table_actuator_, checked_actuator_, authors_actuator_;
  std::unique_ptr<control::LoadMeter> load_meter_;
  std::unique_ptr<control::Loop> loop_;
  actuator::SteeredTableActuator* steered_actuator_ = nullptr;  // the innermost, of live interfaces
  control::Placement placement_;
  std::vector<double> capacity_;             // by worker
  engine::QueueingOptions queueing_;         // as it is in effect
  std::vector<ProcessorId> initial_owners_;  // by bucket
  std::vector<std::uint64_t> waiting_, thread_ticks_;
  std::vector<std::string> names_;  // by source
  std::int64_t next_progress_ns_ = 0;

  // Between the control thread and whoever asks for a report. Never held while another author's policy or
  // actuator is called, which may ask for one.
  mutable std::mutex mutex_;
  std::unique_ptr<BalanceRecorder> recorder_;
  control::LoopCounts counts_;
  std::vector<ProcessorId> owners_;  // by bucket
  bool started_ = false;
  bool ended_ = false;
  std::string started_at_;
  std::int64_t started_ns_ = 0;
  std::uint64_t started_ticks_ = 0;
  std::int64_t elapsed_ns_ = 0;  // when ended
};

}  // namespace evenkeel::runtime
