#include "sim/timer_interleaving.h"

#include <fmt/format.h>

#include <deque>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "sim/virtual_clock.h"
#include "timer/core.h"
#include "timer/worker.h"

namespace evenkeel::sim {

namespace {

using timer::TimerCommand;

constexpr std::int64_t kResolution_ns = 1000;
// Steps of quiet at the end in which all that is due must have fired.
constexpr std::uint64_t kQuietStepsMax = 50'000;

struct Setting {
  std::uint32_t workers, caller_lanes, buckets, connections, timers_each;
  std::size_t ring_capacity;
  std::uint64_t steps;
  std::int64_t delay_max_ns, step_max_ns;
};

Setting choose_setting(base::Random& random) {
  Setting s;
  s.workers = static_cast<std::uint32_t>(1 + random.below(4));
  s.caller_lanes = static_cast<std::uint32_t>(1 + random.below(3));
  s.buckets = 1u << random.below(7);
  s.connections = static_cast<std::uint32_t>(1 + random.below(300));
  s.timers_each = static_cast<std::uint32_t>(1 + random.below(3));
  s.ring_capacity = std::size_t{1} << (1 + random.below(7));
  s.steps = 500 + random.below(5'000);
  s.delay_max_ns = std::int64_t{1} << (8 + random.below(30));
  s.step_max_ns = 1 + s.delay_max_ns / static_cast<std::int64_t>(1 + random.below(1000));
  return s;
}

std::string describe(const Setting& s) {
  return fmt::format(
      "{} timer threads, {} lanes of callers, {} buckets, {} connections, {} timers each, rings of {}, "
      "delays to {} ns",
      s.workers, s.caller_lanes, s.buckets, s.connections, s.timers_each, s.ring_capacity, s.delay_max_ns);
}

class TimerInterleaving;

// Sees what the timer threads do, when they do it.
struct Witness {
  TimerInterleaving* sim;
  ProcessorId worker;
  void operator()(const TimerExpiry& expiry) const;
  void executed(const TimerCommand& command) const;
};

using Worker = timer::TimerWorker<VirtualClock, Witness>;

class TimerInterleaving {
 public:
  explicit TimerInterleaving(std::uint64_t seed) : random_(seed), setting_(choose_setting(random_)) {
    auto core = timer::Core::make({.workers = setting_.workers,
                                   .caller_lanes = setting_.caller_lanes,
                                   .buckets = setting_.buckets,
                                   .connections_max = setting_.connections,
                                   .timers_each = setting_.timers_each,
                                   .resolution_ns = kResolution_ns,
                                   .ring_capacity = setting_.ring_capacity});
    CHECK(core.ok());
    core_ = std::move(*core);
    for (std::uint32_t i = 0; i < setting_.workers; ++i) {
      workers_.push_back(std::make_unique<Worker>(*core_, ProcessorId(i), VirtualClock(&now_ns_),
                                                  Witness{this, ProcessorId(i)}));
    }
    for (std::uint32_t i = 0; i < setting_.connections; ++i) add_connection(i);
    result_.setting = describe(setting_);
  }

  TimerInterleavingResult run();

  void on_fire(ProcessorId worker, const TimerExpiry& expiry);
  void on_executed(ProcessorId worker, const TimerCommand& command);

 private:
  // A connection is always called through the same lane, as by one thread, so that its calls have an order.
  struct Connection {
    TimerConnection handle;
    std::uint32_t lane = 0;
    std::deque<TimerCommand> sent;                    // and not executed
    std::map<engine::TimerKind, std::int64_t> armed;  // deadlines, as executed
  };

  void add_connection(std::uint64_t tag);
  void step();
  void call(Connection& connection);
  void call_with_made_up_handle(const Connection& connection);
  void call_in_handler(ProcessorId worker);
  TimerCommand choose_call(const Connection& connection);
  void move_buckets();
  void come_to_rest();
  bool at_rest() const;
  void check_owner(ProcessorId worker, std::uint16_t bucket);
  void violated(std::string what) {
    if (result_.violation.empty()) result_.violation = std::move(what);
  }

  base::Random random_;
  const Setting setting_;
  std::uint64_t now_ns_ = 1'000'000;
  std::unique_ptr<timer::Core> core_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Connection> connections_;
  std::unordered_map<std::uint32_t, std::uint64_t> tag_of_slot_;
  bool in_handler_call_ = false;
  bool ending_ = false;
  TimerInterleavingResult result_;
};

void Witness::operator()(const TimerExpiry& expiry) const { sim->on_fire(worker, expiry); }
void Witness::executed(const TimerCommand& command) const { sim->on_executed(worker, command); }

void TimerInterleaving::add_connection(std::uint64_t tag) {
  const BucketId bucket(static_cast<std::uint32_t>(random_.below(setting_.buckets)));
  const auto handle = core_->connections->add(bucket, tag);
  CHECK(handle.has_value());
  if (connections_.size() <= tag) connections_.resize(tag + 1);
  connections_[tag].handle = *handle;
  connections_[tag].lane =
      static_cast<std::uint32_t>(setting_.workers + random_.below(setting_.caller_lanes));
  tag_of_slot_[handle->slot] = tag;
}

void TimerInterleaving::step() {
  ++result_.steps;
  now_ns_ += random_.below(static_cast<std::uint64_t>(setting_.step_max_ns));
  move_buckets();
  switch (random_.below(4)) {
    case 0:
      call_with_made_up_handle(connections_[random_.below(connections_.size())]);
      return call(connections_[random_.below(connections_.size())]);
    case 1:
      core_->lane(static_cast<std::uint32_t>(random_.below(core_->lanes.size()))).adopt_newest();
      return;
    default:
      workers_[random_.below(workers_.size())]->step();
  }
}

TimerCommand TimerInterleaving::choose_call(const Connection& connection) {
  TimerCommand command{.kind = TimerCommand::Kind::kStart,
                       .timer = static_cast<engine::TimerKind>(random_.below(setting_.timers_each)),
                       .bucket = connection.handle.bucket,
                       .generation = connection.handle.generation,
                       .slot_or_version = connection.handle.slot};
  const std::uint64_t choice = random_.below(10);
  if (choice == 0) command.kind = TimerCommand::Kind::kCancel;
  if (choice == 1) command.kind = TimerCommand::Kind::kRestart;
  if (choice == 2 && random_.below(4) == 0) command.kind = TimerCommand::Kind::kRemove;
  command.deadline_ns =
      static_cast<std::int64_t>(now_ns_ + random_.below(static_cast<std::uint64_t>(setting_.delay_max_ns)));
  return command;
}

void TimerInterleaving::call(Connection& connection) {
  // After a removal the handle is dead; a new connection follows when that was executed.
  if (!core_->connections->is_current(connection.handle)) return;
  if (!connection.sent.empty() && connection.sent.back().kind == TimerCommand::Kind::kRemove) return;
  const TimerCommand command = choose_call(connection);
  connection.sent.push_back(command);
  if (core_->lane(connection.lane).send(command)) {
    ++result_.calls;
  } else {
    connection.sent.pop_back();
  }
}

// Of an earlier connection in the same slot, or of none: it must change nothing.
void TimerInterleaving::call_with_made_up_handle(const Connection& connection) {
  TimerCommand command = choose_call(connection);
  if (setting_.buckets > 1 && random_.below(2) == 0) {
    command.bucket = static_cast<std::uint16_t>((command.bucket + 1) % setting_.buckets);
  } else {
    --command.generation;
  }
  core_->lane(connection.lane).send(command);
}

void TimerInterleaving::move_buckets() {
  if (setting_.workers == 1 || ending_ || !core_->board.settled()) return;
  std::vector<bucket::Reassignment> moves;
  for (std::uint32_t j = 0; j < setting_.buckets; ++j) {
    if (random_.below(3) != 0) continue;
    const ProcessorId from(core_->board.newest().owner[j]);
    const auto further = static_cast<std::uint32_t>(1 + random_.below(setting_.workers - 1));
    moves.push_back({BucketId(j), from, ProcessorId((from.value() + further) % setting_.workers)});
  }
  if (moves.empty()) return;
  core_->board.publish(moves);
  result_.moves += moves.size();
}

void TimerInterleaving::check_owner(ProcessorId worker, std::uint16_t bucket) {
  const std::uint32_t owner = core_->buckets[bucket].ownership.owner.load(std::memory_order_relaxed);
  if (owner != worker.value())
    violated(fmt::format("ownership: thread {} served bucket {}", worker.value(), bucket));
}

void TimerInterleaving::on_executed(ProcessorId worker, const TimerCommand& command) {
  check_owner(worker, command.bucket);
  const std::uint64_t tag = tag_of_slot_.at(command.slot_or_version);
  Connection& connection = connections_[tag];
  if (command.connection() != connection.handle)
    return violated(fmt::format("ownership: a call with another handle than connection {}'s was done", tag));
  if (!in_handler_call_) {
    if (connection.sent.empty() || connection.sent.front().deadline_ns != command.deadline_ns ||
        connection.sent.front().kind != command.kind) {
      return violated(fmt::format("order: the calls for connection {} changed places", tag));
    }
    connection.sent.pop_front();
  }
  switch (command.kind) {
    case TimerCommand::Kind::kRestart:
      if (!connection.armed.contains(command.timer)) return;
      [[fallthrough]];
    case TimerCommand::Kind::kStart:
      connection.armed[command.timer] = command.deadline_ns;
      return;
    case TimerCommand::Kind::kCancel:
      connection.armed.erase(command.timer);
      return;
    default:
      connection.armed.clear();
  }
}

void TimerInterleaving::on_fire(ProcessorId worker, const TimerExpiry& expiry) {
  ++result_.fired;
  check_owner(worker, expiry.connection.bucket);
  Connection& connection = connections_[expiry.tag];
  const auto armed = connection.armed.find(expiry.timer);
  if (armed == connection.armed.end()) {
    return violated(fmt::format("timers: a timer of connection {} fired that did not run", expiry.tag));
  }
  if (static_cast<std::int64_t>(now_ns_) < armed->second) {
    return violated(fmt::format("timers: a timer of connection {} fired early", expiry.tag));
  }
  connection.armed.erase(armed);
  if (random_.below(3) == 0) call_in_handler(worker);
}

// A handler's own calls, for a connection of its own thread or of another one; it may only start and cancel.
void TimerInterleaving::call_in_handler(ProcessorId worker) {
  Connection& connection = connections_[random_.below(connections_.size())];
  TimerCommand command = choose_call(connection);
  if (ending_ || command.kind == TimerCommand::Kind::kRemove || !connection.sent.empty()) return;
  if (!core_->connections->is_current(command.connection())) return;
  in_handler_call_ = true;
  workers_[worker.value()]->try_directly(command);
  in_handler_call_ = false;
}

bool TimerInterleaving::at_rest() const {
  if (!core_->board.settled()) return false;
  for (const Connection& connection : connections_) {
    if (!connection.sent.empty() || !connection.armed.empty()) return false;
  }
  return true;
}

// No more calls and moves: time goes on until everything has fired, or much longer.
void TimerInterleaving::come_to_rest() {
  ending_ = true;
  for (std::uint64_t quiet = 0; quiet < kQuietStepsMax && !at_rest() && result_.violation.empty(); ++quiet) {
    if (core_->adopt_newest() && quiet > 1000)
      now_ns_ += static_cast<std::uint64_t>(setting_.delay_max_ns) / 1000 + 1;
    for (auto& worker : workers_) worker->step();
  }
  if (at_rest() || !result_.violation.empty()) return;
  violated(core_->board.settled() ? "timers: one never fired, or a call was lost" : "a handover never ended");
}

TimerInterleavingResult TimerInterleaving::run() {
  while (result_.steps < setting_.steps && result_.violation.empty()) {
    step();
    // What was removed is replaced by a new connection, which may get the same slot.
    Connection& some = connections_[random_.below(connections_.size())];
    if (some.sent.empty() && !core_->connections->is_current(some.handle)) {
      add_connection(static_cast<std::uint64_t>(&some - connections_.data()));
    }
  }
  come_to_rest();
  for (const meter::WorkerMeters& meters : core_->worker_meters) {
    if (meters.timers.fired_off_owner.read() != 0)
      violated("ownership: the service itself counted a timer off its owner");
  }
  return result_;
}

}  // namespace

TimerInterleavingResult run_timer_interleaving(std::uint64_t seed) { return TimerInterleaving(seed).run(); }

}  // namespace evenkeel::sim
