// A policy of one's own: as few workers as the load needs, so that the other processors may sleep.
//
// Shows that a policy is a function from measured loads to moves, that it may use another one, and an
// actuator that watches the plans on their way. `pack` works out how many workers would be busy to 70 % with
// the present load, gives the others a capacity of 0, and lets the policy `index` make of it what it always
// does: it empties them, in the fewest moves, and keeps the rest level.
//
//   policy INPUT SPEED [WORKERS]     INPUT as `evenkeel run --input` takes it, replayed SPEED times as fast

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <string_view>
#include <vector>

#include "evenkeel/engine.h"

namespace {

class PackPolicy : public evenkeel::Policy {
 public:
  explicit PackPolicy(std::unique_ptr<evenkeel::Policy> index) : index_(std::move(index)) {}

  std::string_view name() const override { return "pack"; }

  evenkeel::Result<void> plan(const evenkeel::Snapshot& snapshot, evenkeel::Plan& plan) override {
    constexpr double kFull = 0.7;
    double load = 0;
    for (std::size_t i = 0; i < snapshot.capacity.size(); ++i)
      load += snapshot.usage[i] * snapshot.capacity[i] + (snapshot.backlog.empty() ? 0 : snapshot.backlog[i]);
    capacity_.assign(snapshot.capacity.begin(), snapshot.capacity.end());
    for (double& capacity : capacity_) {
      if (load <= 0 && &capacity != &capacity_.front()) capacity = 0;
      load -= kFull * capacity;
    }
    evenkeel::Snapshot packed = snapshot;
    packed.capacity = capacity_;
    return index_->plan(packed, plan);
  }

 private:
  std::unique_ptr<evenkeel::Policy> index_;
  std::vector<double> capacity_;
};

// Counts the moves on their way to the engine.
class WatchingActuator : public evenkeel::Actuator {
 public:
  WatchingActuator(evenkeel::Actuator& engine, std::uint64_t& evacuations)
      : engine_(engine), evacuations_(evacuations) {}

  std::string_view name() const override { return "watching"; }
  bool ready() override { return engine_.ready(); }
  evenkeel::Result<void> apply(std::span<const evenkeel::Move> moves) override {
    evacuations_ +=
        static_cast<std::uint64_t>(std::count_if(moves.begin(), moves.end(), [](const auto& move) {
          return move.reason == evenkeel::MoveReason::kEvacuate;
        }));
    return engine_.apply(moves);
  }
  std::span<const evenkeel::ProcessorId> owners() const override { return engine_.owners(); }

 private:
  evenkeel::Actuator& engine_;
  std::uint64_t& evacuations_;
};

// The job: a sum over every byte, so that there is something to balance.
struct Summer {
  struct State {
    std::uint64_t sum = 0;
  };
  void on_packet(evenkeel::Connection<State>& connection, const evenkeel::Packet& packet) {
    for (const std::uint8_t byte : packet.bytes()) connection->sum += byte;
  }
};

int fail(const evenkeel::Error& error) {
  std::fprintf(stderr, "policy: %s\n", error.message.c_str());
  return error.kind == evenkeel::ErrorKind::kUsage ? 2 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return fail(evenkeel::usage_error("usage: policy INPUT SPEED [WORKERS]"));
  auto index = evenkeel::make_policy("index");
  if (!index) return fail(index.error());
  std::uint64_t evacuations = 0;
  auto engine = evenkeel::Engine<Summer>::make(
      {.inputs = {argv[1]},
       .workers = static_cast<std::uint32_t>(argc > 3 ? std::atoi(argv[3]) : 2),
       .own_policy = std::make_shared<PackPolicy>(std::move(*index)),
       .own_actuator =
           [&](evenkeel::Actuator& inner) { return std::make_shared<WatchingActuator>(inner, evacuations); },
       .speed = std::atof(argv[2])});
  if (!engine) return fail(engine.error());
  const auto report = engine->run();
  if (!report) return fail(report.error());
  for (std::size_t i = 0; i < report->workers.size(); ++i) {
    const evenkeel::WorkerReport& worker = report->workers[i];
    std::printf("worker %zu: %4u buckets, busy %5.1f %%, %llu packets\n", i, worker.buckets,
                worker.busy_fraction * 100, static_cast<unsigned long long>(worker.packets));
  }
  std::printf("%llu moves, %llu of them to empty a worker\n", static_cast<unsigned long long>(report->moves),
              static_cast<unsigned long long>(evacuations));
  if (const auto error = report->input_error()) return fail(*error);
  return 0;
}
