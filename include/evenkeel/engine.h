// The engine: packets of many connections, over many workers, kept even, in order, with your handler.
//
//   struct Counter {
//     struct State { std::uint64_t packets = 0; };
//     void on_packet(evenkeel::Connection<State>& connection, const evenkeel::Packet&) {
//       ++connection->packets;
//     }
//   };
//   auto engine = evenkeel::Engine<Counter>::make({.inputs = {"capture.pcap"}});
//   auto report = engine->run();
//
// What runs is what `evenkeel run` runs: the laws of README.md hold, and the report counts them. No globals:
// several engines may run at once in one process.
//
// An engine is made (options checked, sources opened, memory reserved), started, and ends when its sources
// have ended or stop() is called. It runs once.
//
// Threads: make, start, run, wait and the destructor [control], one thread; stop and report [any]. The
// engine's own: one for each worker, one for each source, and one that rebalances.
//
// Errors are values. A usage error: what was asked for cannot be (an option out of range; a second start;
// wait before start). A runtime error: the world did not allow it (no such file, no memory, no threads), or a
// policy or actuator of the author's own failed, and the run was ended.
//
// Forbidden: exceptions out of a handler, a source, a policy or an actuator (they end the process); and, from
// a call that the engine makes of these, wait(), which is a usage error, or the end of the engine itself,
// which aborts: it would wait for its own thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "evenkeel/api.h"
#include "evenkeel/handler.h"
#include "evenkeel/options.h"
#include "evenkeel/report.h"
#include "evenkeel/result.h"

namespace evenkeel {

namespace detail {

// The engine behind the typed one, for handlers of any type.
class EVENKEEL_API EngineCore {
 public:
  // handlers: one for each worker; they outlive the engine.
  static Result<std::unique_ptr<EngineCore>> make(const Options& options, const HandlerCalls& calls,
                                                  const std::vector<void*>& handlers);
  virtual ~EngineCore() = default;

  virtual Result<void> start() = 0;
  virtual void stop() = 0;
  virtual Result<Report> wait() = 0;
  virtual Report report() const = 0;
  virtual std::string report_json() const = 0;
};

EVENKEEL_API Result<void> check(const Options& options);

}  // namespace detail

template <PacketHandler Handler>
class Engine {
 public:
  // A handler for each worker: Handler().
  static Result<Engine> make(const Options& options) requires std::is_default_constructible_v<Handler> {
    return make(options, [](ProcessorId) { return Handler(); });
  }

  // A handler for each worker: make_handler(ProcessorId), called here, after the options were checked and
  // before inputs are opened. What it throws comes out of this call.
  template <std::invocable<ProcessorId> MakeHandler>
  static Result<Engine> make(const Options& options, MakeHandler&& make_handler) {
    if (auto checked = detail::check(options); !checked) return checked.error();
    Engine engine;
    std::vector<void*> addresses;
    for (std::uint32_t i = 0; i < options.workers; ++i) {
      engine.places_.push_back(std::unique_ptr<Place>(new Place{make_handler(ProcessorId(i))}));
      addresses.push_back(&engine.places_.back()->handler);
    }
    auto core = detail::EngineCore::make(options, detail::Calls<Handler>::kTable, addresses);
    if (!core) return core.error();
    engine.core_ = std::move(*core);
    return engine;
  }

  Engine(Engine&&) = default;
  Engine& operator=(Engine&& other) {
    core_ = std::move(other.core_);  // ends before its handlers go
    places_ = std::move(other.places_);
    return *this;
  }

  // Begins the threads and returns.
  Result<void> start() {
    if (!core_) return moved_away();
    return core_->start();
  }

  // Treats all sources as ended: what is in the engine is served, then the run ends. More than once does no
  // harm; before start() it ends the run as it begins.
  void stop() {
    if (core_) core_->stop();
  }

  // Returns when the run has ended: every packet is served, every connection closed. Then, and for each later
  // call, the whole report. A source that ended early by an error is in the report.
  Result<Report> wait() {
    if (!core_) return moved_away();
    return core_->wait();
  }

  // start() and wait().
  Result<Report> run() {
    if (auto started = start(); !started) return started.error();
    return wait();
  }

  // How it stands. Costs a walk over all counters.
  Report report() const { return core_ ? core_->report() : Report(); }
  // The same, and all that `evenkeel run --report` writes, as JSON: docs/report.md.
  std::string report_json() const { return core_ ? core_->report_json() : ""; }

  // The handler of a worker, below size(): to be touched before start() and after wait().
  Handler& handler(std::size_t worker) { return places_[worker]->handler; }
  const Handler& handler(std::size_t worker) const { return places_[worker]->handler; }
  std::size_t size() const { return places_.size(); }

 private:
  // Workers do not share a cache line.
  struct alignas(64) Place {
    Handler handler;
  };

  Engine() = default;
  static Error moved_away() { return usage_error("this engine was moved to another"); }

  std::vector<std::unique_ptr<Place>> places_;
  std::unique_ptr<detail::EngineCore> core_;  // goes first
};

}  // namespace evenkeel
