// A timer thread's work: the calls for, and the timers of, the buckets that it owns.
//
// Passive: step() does one iteration, driven by a thread or by the simulation, which also gives the clock.
// Thread: [worker] but where noted.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/fault.h"
#include "base/prefetch.h"
#include "engine/due_buckets.h"
#include "timer/core.h"

namespace evenkeel::timer {

// Entries that one slice of expiry looks at: about 10 to 25 microseconds, handlers left out. Calls are taken
// in between.
inline constexpr std::uint32_t kSliceEntries = 256;
inline constexpr std::size_t kCommandBurst = 32;

// Fire: fire(TimerExpiry), the user's handler; if it has executed(TimerCommand), it also sees each call when
// it takes effect. Clock: its ticks are nanoseconds.
template <base::TickClock Clock, typename Fire>
class TimerWorker {
 public:
  TimerWorker(Core& core, ProcessorId id, Clock clock, Fire fire)
      : core_(core),
        id_(id),
        clock_(std::move(clock)),
        fire_(std::move(fire)),
        chunks_(*core.arena),
        slots_(core.connections->pool(), engine::SlotCache::kCapacityMax),
        due_(core.options.buckets),
        handover_(id, static_cast<std::uint32_t>(core.rings[id.value()].size()), core.board) {
    parked_.reserve(core.options.ring_capacity);
  }

  // One iteration of the loop. Returns whether it found anything to do.
  bool step() {
    const std::uint64_t start = clock_.ticks();
    now_ = core_.scale.at(static_cast<std::int64_t>(start));
    const std::size_t work = receive() + take_over() + expire();
    if (work == 0) return false;
    core_.worker_meters[id_.value()].processed.add(work);
    core_.worker_meters[id_.value()].busy_ticks.add(clock_.ticks() - start);
    return true;
  }

  // When step() has something to do at the latest, if nothing comes.
  std::int64_t next_due_ns() const {
    const ServiceTick due = due_.next_due();
    return due == engine::kNever<ServiceTime> ? INT64_MAX : core_.scale.begin_ns(due);
  }

  // From inside a handler: does the command here if that keeps the order of this thread's calls. False: it
  // must go through the lane.
  bool try_directly(const TimerCommand& command) {
    if (!handover_.owns(core_.buckets[command.bucket].ownership) || own_ring().size() != 0) return false;
    execute(command);
    return true;
  }

 private:
  // The phases of a step: each returns the number of things it did.
  std::size_t receive();
  std::size_t take_over();
  std::size_t expire();

  void receive_burst(std::span<const TimerCommand> commands);
  void handle(const TimerCommand& command);
  void release_mark(const TimerCommand& mark);
  void unpark(BucketId bucket);
  void execute(const TimerCommand& command);
  void start(const TimerCommand& command, engine::TimerName name);
  void remove(const TimerCommand& command);
  void fired(BucketId bucket, engine::TimerName name, ServiceTick deadline);
  void note(BucketId bucket) { due_.note(bucket, now_, core_.buckets[bucket.value()].wheel.next_due()); }

  const CommandRing& own_ring() const { return *core_.rings[id_.value()][id_.value()]; }
  meter::TimerMeters& meters() { return core_.worker_meters[id_.value()].timers; }

  // Serves buckets that are due (engine::DueBuckets).
  struct Server {
    TimerWorker& self;
    std::size_t& work;
    std::uint64_t last_ticks;

    ServiceTick operator()(BucketId bucket, std::uint32_t& turn);
    void prefetch(BucketId bucket, engine::PrefetchStep step) {
      TimerBucket& b = self.core_.buckets[bucket.value()];
      if (step == engine::PrefetchStep::kWheel) return base::prefetch(&b.wheel);
      b.wheel.prefetch_due(self.chunks_, *self.core_.connections, step);
    }
  };

  Core& core_;
  const ProcessorId id_;
  Clock clock_;
  Fire fire_;
  engine::TimerChunkCache chunks_;
  engine::SlotCache slots_;
  engine::DueBuckets<ServiceTime> due_;
  bucket::HandoverEnd handover_;
  std::vector<TimerCommand> parked_;  // for buckets that are on their way here, in order
  ServiceTick now_;
};

// A burst of each ring; all of this thread's own. A slice's handlers put more into that than a burst, once a
// mark stands in it: it would never be empty again, and their calls never be done directly.
template <base::TickClock Clock, typename Fire>
std::size_t TimerWorker<Clock, Fire>::receive() {
  std::size_t received = 0;
  for (const auto& ring : core_.rings[id_.value()]) {
    std::array<TimerCommand, kCommandBurst> commands;
    do {
      const std::size_t count = ring->pop(commands);
      if (count == 0) break;
      received += count;
      receive_burst({commands.data(), count});
    } while (ring.get() == &own_ring());
  }
  return received;
}

// Calls cost about the same each: a burst is timed as a whole, and its buckets share that equally.
template <base::TickClock Clock, typename Fire>
void TimerWorker<Clock, Fire>::receive_burst(std::span<const TimerCommand> commands) {
  const std::uint64_t start = clock_.ticks();
  for (const TimerCommand& command : commands) {
    if (command.kind < TimerCommand::Kind::kReleaseMark) {
      core_.connections->prefetch({command.slot_or_version, command.timer});
      base::prefetch_to_write(&core_.buckets[command.bucket].wheel);
    }
  }
  for (const TimerCommand& command : commands) handle(command);
  const std::uint64_t share = (clock_.ticks() - start) / commands.size();
  for (const TimerCommand& command : commands) {
    core_.bucket_meters[command.bucket].cost_ticks.add(share);
    core_.bucket_meters[command.bucket].packets.increment();
  }
}

template <base::TickClock Clock, typename Fire>
void TimerWorker<Clock, Fire>::handle(const TimerCommand& command) {
  bucket::Ownership& ownership = core_.buckets[command.bucket].ownership;
  switch (command.kind) {
    case TimerCommand::Kind::kReleaseMark:
      return release_mark(command);
    case TimerCommand::Kind::kAcquireMark:
      return handover_.acquire_mark(BucketId(command.bucket), ownership, command.slot_or_version);
    default:
      if (handover_.owns(ownership)) return execute(command);
      CHECK(ownership.awaited);
      parked_.push_back(command);
  }
}

template <base::TickClock Clock, typename Fire>
void TimerWorker<Clock, Fire>::release_mark(const TimerCommand& mark) {
  bucket::Ownership& ownership = core_.buckets[mark.bucket].ownership;
  CHECK(handover_.owns(ownership));
  if (!handover_.is_last_release(ownership)) return;
  if (!base::fault(base::Fault::kKeepTimersDue)) due_.remove(BucketId(mark.bucket));
  handover_.let_go(ownership, mark.slot_or_version);
}

template <base::TickClock Clock, typename Fire>
std::size_t TimerWorker<Clock, Fire>::take_over() {
  return handover_.take_over(
      [this](BucketId bucket) -> bucket::Ownership& { return core_.buckets[bucket.value()].ownership; },
      [this](BucketId bucket) {
        core_.worker_meters[id_.value()].buckets_taken_over.increment();
        if (!base::fault(base::Fault::kLoseTimers)) note(bucket);
        unpark(bucket);
      });
}

template <base::TickClock Clock, typename Fire>
void TimerWorker<Clock, Fire>::unpark(BucketId bucket) {
  std::erase_if(parked_, [&](const TimerCommand& command) {
    if (command.bucket != bucket.value()) return false;
    execute(command);
    return true;
  });
}

// [owner of the bucket]
template <base::TickClock Clock, typename Fire>
void TimerWorker<Clock, Fire>::execute(const TimerCommand& command) {
  if (!core_.connections->is_current(command.connection())) return;
  if constexpr (requires { fire_.executed(command); }) fire_.executed(command);
  const engine::TimerName name{command.slot_or_version, command.timer};
  engine::TimerState& state = core_.connections->state(name);
  switch (command.kind) {
    case TimerCommand::Kind::kStart:
      return start(command, name);
    case TimerCommand::Kind::kRestart:
      return state.armed() ? start(command, name) : static_cast<void>(0);
    case TimerCommand::Kind::kCancel:
      if (state.armed()) meters().cancelled.increment();
      return ServiceWheel::cancel(state);
    case TimerCommand::Kind::kRemove:
      return remove(command);
    default:
      CHECK(!"marks are handled before");
  }
}

template <base::TickClock Clock, typename Fire>
void TimerWorker<Clock, Fire>::start(const TimerCommand& command, engine::TimerName name) {
  TimerBucket& bucket = core_.buckets[command.bucket];
  const bool running = core_.connections->state(name).armed();
  const ServiceTick deadline = core_.scale.not_before(command.deadline_ns);
  CHECK(bucket.wheel.start(chunks_, *core_.connections, name, now_, deadline) ==
        engine::TimerStart::kStarted);
  note(BucketId(command.bucket));
  (running ? meters().restarted : meters().started).increment();
}

template <base::TickClock Clock, typename Fire>
void TimerWorker<Clock, Fire>::remove(const TimerCommand& command) {
  TimerBucket& bucket = core_.buckets[command.bucket];
  for (std::uint32_t timer = 0; timer < core_.connections->timers_each(); ++timer) {
    const engine::TimerName name{command.slot_or_version, static_cast<engine::TimerKind>(timer)};
    if (core_.connections->state(name).armed()) meters().cancelled.increment();
    bucket.wheel.remove(chunks_, *core_.connections, name);
  }
  core_.connections->retire(command.slot_or_version);
  slots_.give_back(engine::SlotId(command.slot_or_version));
}

template <base::TickClock Clock, typename Fire>
std::size_t TimerWorker<Clock, Fire>::expire() {
  if (due_.next_due() > now_) return 0;
  std::size_t work = 0;
  std::uint32_t budget = kSliceEntries;
  due_.advance(now_, budget, Server{*this, work, clock_.ticks()});
  return work;
}

// A turn's time runs from the end of the turn before: it includes finding and fetching the bucket.
template <base::TickClock Clock, typename Fire>
ServiceTick TimerWorker<Clock, Fire>::Server::operator()(BucketId bucket, std::uint32_t& turn) {
  TimerBucket& served = self.core_.buckets[bucket.value()];
  const std::uint32_t granted = turn;
  const bool done = served.wheel.advance(
      self.chunks_, *self.core_.connections, self.now_, turn,
      [&](engine::TimerName name, ServiceTick deadline) { self.fired(bucket, name, deadline); });
  const std::uint64_t ticks = self.clock_.ticks();
  self.core_.bucket_meters[bucket.value()].timer_ticks.add(ticks - std::exchange(last_ticks, ticks));
  work += std::max(granted - turn, 1u);
  return done ? served.wheel.next_due() : self.now_;
}

template <base::TickClock Clock, typename Fire>
void TimerWorker<Clock, Fire>::fired(BucketId bucket, engine::TimerName name, ServiceTick deadline) {
  const auto late_ns = static_cast<std::int64_t>(clock_.ticks()) - core_.scale.begin_ns(deadline);
  meters().fired.increment();
  if (!handover_.owns(core_.buckets[bucket.value()].ownership)) meters().fired_off_owner.increment();
  meters().late_ns.add(static_cast<std::uint64_t>(std::max<std::int64_t>(late_ns, 0)));
  fire_(TimerExpiry{
      .connection = {name.slot, static_cast<std::uint16_t>(bucket.value()),
                     core_.connections->generation(name.slot)},
      .tag = core_.connections->tag(name.slot),
      .timer = name.kind,
      .thread = id_,
      .late_ns = late_ns,
  });
}

}  // namespace evenkeel::timer
