// The whole engine under a load of 1 us a packet, on two processors: one thread dispatches and is worker 0 as
// well, and control; the other is the last worker. (With a thread more than processors, the system's
// scheduler would be measured.)
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "actuator/in_process/table_actuator.h"
#include "base/random.h"
#include "bench/engine_handoff.h"
#include "control/load_meter.h"
#include "control/loop.h"
#include "engine/engine.h"
#include "packet/parse.h"

namespace evenkeel::bench {

inline constexpr std::uint32_t kFrameBytes = 64;
using Frame = std::array<std::uint8_t, kFrameBytes>;

inline Frame frame_of(std::uint32_t connection) {
  Frame frame{};
  const std::uint8_t header[] = {8, 0, 0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17};
  std::copy(std::begin(header), std::end(header), frame.begin() + 12);
  for (int i = 0; i < 4; ++i) frame[26 + i] = static_cast<std::uint8_t>(connection >> (8 * i));
  frame[30] = 10;
  frame[35] = 53;
  return frame;
}

inline ConnectionKey key_of_frame(const Frame& frame) {
  Packet packet;
  packet.data = frame.data();
  packet.captured_length = packet.wire_length = kFrameBytes;
  packet::parse(packet, {});
  return packet.key;
}

// Packets without end, of the connections that a list names in turn.
class ListedSource final : public Source {
 public:
  ListedSource(std::span<const Frame> frames, std::vector<std::uint32_t> list)
      : frames_(frames), list_(std::move(list)), blocks_(kBlocks) {
    for (Block& block : blocks_) {
      for (Packet& packet : block.packets) packet.block = &block.ledger;
    }
  }
  ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) override {
    count = 0;
    Block& block = blocks_[block_];
    if (used_ == 0 && !block.ledger.all_released()) return ReceiveStatus::kIdle;
    count = std::min(out.size(), block.packets.size() - used_);
    for (std::size_t i = 0; i < count; ++i) out[i] = fill(block.packets[used_ + i]);
    block.ledger.hand_out(static_cast<std::uint32_t>(count));
    used_ += count;
    if (used_ == block.packets.size()) {
      used_ = 0;
      block_ = (block_ + 1) % kBlocks;
    }
    return ReceiveStatus::kMore;
  }
  bool can_wait() const override { return true; }
  SourceStatistics statistics() const override {
    SourceStatistics statistics;
    statistics.received = sequence_;
    return statistics;
  }
  std::string name() const override { return "list"; }

 private:
  static constexpr std::size_t kBlocks = 32;
  struct Block {
    PacketBlock ledger;
    std::vector<Packet> packets = std::vector<Packet>(256);
  };

  Packet* fill(Packet& packet) {
    const Frame& frame = frames_[list_[sequence_ % list_.size()]];
    packet.data = frame.data();
    packet.captured_length = packet.wire_length = kFrameBytes;
    packet.sequence = sequence_++;
    packet.time_ns = static_cast<std::int64_t>(sequence_) * 1'000;
    return &packet;
  }

  std::span<const Frame> frames_;
  const std::vector<std::uint32_t> list_;
  std::vector<Block> blocks_;
  std::size_t block_ = 0, used_ = 0;
  std::uint64_t sequence_ = 0;
};

// When a bucket was served last, and by whom. It goes with its bucket from worker to worker.
struct alignas(64) LastServed {
  std::uint64_t ticks = 0;
  std::uint32_t worker = ~0u;
};

// Times between two packets of one bucket, by whether it moved in between: the second is at most its pause.
struct Gaps {
  std::vector<std::uint64_t> stayed, moved;
};

class BusyHandler {
 public:
  struct State {
    std::uint64_t packets = 0;
  };
  using Connection = engine::Connection<State>;

  // last_served: by bucket; empty: gaps are not measured.
  BusyHandler(ProcessorId worker, std::uint64_t busy_ticks, std::span<LastServed> last_served, Gaps& gaps)
      : worker_(worker.value()), busy_ticks_(busy_ticks), last_served_(last_served), gaps_(&gaps) {}

  void open(Connection&, const Packet&) {}
  void packet(Connection& connection, const Packet& packet) {
    ++connection.state.packets;
    const std::uint64_t start = base::CycleClock::ticks();
    if (!last_served_.empty()) note_gap(last_served_[packet.bucket], start);
    while (base::CycleClock::ticks() - start < busy_ticks_) {
    }
  }
  std::int64_t deadline_ns(const Connection&) const { return engine::kNoDeadline; }
  void due(const ConnectionKey&, Connection&, std::int64_t) {}
  void close(const ConnectionKey&, Connection&, engine::CloseReason, std::int64_t) {}
  void idle() {}

 private:
  void note_gap(LastServed& last, std::uint64_t now) {
    if (last.worker != ~0u)
      (last.worker == worker_ ? gaps_->stayed : gaps_->moved).push_back(now - last.ticks);
    last = {now, worker_};
  }

  std::uint32_t worker_;
  std::uint64_t busy_ticks_;
  std::span<LastServed> last_served_;
  Gaps* gaps_;
};

struct Load {
  std::uint32_t workers = 2;
  std::uint32_t buckets = 1'024;
  std::string policy = "index";  // "": buckets move at random
  double handler_us = 1;
  std::int64_t duration_ns = 400'000'000;
  std::vector<std::uint32_t> list;  // which connection each packet is of
};

struct LoadResult {
  double packets_per_second = 0;
  Gaps gaps;
};

class LoadRun {
 public:
  using LoadEngine = engine::Engine<BusyHandler, base::CycleClock>;

  LoadRun(const Load& load, std::span<const Frame> frames, const Cpus& cpus)
      : load_(load), cpus_(cpus), source_(frames, load.list), gaps_(load.workers) {
    if (load.policy.empty()) last_served_.resize(load.buckets);
    for (Gaps& gaps : gaps_) {
      gaps.stayed.reserve(1'000'000);
      gaps.moved.reserve(100'000);
    }
    engine::EngineOptions options;
    options.workers = load.workers;
    options.buckets = load.buckets;
    options.connections_max = 100'000;
    options.ring_capacity = 256;
    const auto busy =
        static_cast<std::uint64_t>(load.handler_us * 1e3 * base::CycleClock::ticks_per_nanosecond());
    engine_ = must(LoadEngine::make(
        options, {&source_}, must(packet::Hasher::make("toeplitz", "")),
        [&](ProcessorId id) { return BusyHandler(id, busy, last_served_, gaps_[id.value()]); },
        [](ProcessorId) { return base::CycleClock{}; }));
  }

  LoadResult operator()() {
    std::thread first([this] { run_first(); });
    std::thread second([this] { run_second(); });
    first.join();
    second.join();
    LoadResult result;
    result.packets_per_second = rate_;
    for (const Gaps& gaps : gaps_) {
      result.gaps.stayed.insert(result.gaps.stayed.end(), gaps.stayed.begin(), gaps.stayed.end());
      result.gaps.moved.insert(result.gaps.moved.end(), gaps.moved.begin(), gaps.moved.end());
    }
    return result;
  }

 private:
  static constexpr std::int64_t kInterval_ns = 2'000'000;

  void run_first() {
    pin(cpus_[0]);
    Control control(*this);
    auto& dispatcher = *engine_->dispatchers()[0];
    auto* const worker = load_.workers > 1 ? engine_->workers()[0].get() : nullptr;
    bool dispatched = false;
    while (!dispatched || (worker != nullptr && !worker->finished())) {
      control.step();
      if (!dispatched) dispatched = dispatcher.step() == engine::DispatchStatus::kFinished;
      if (worker != nullptr) worker->step();
    }
  }
  void run_second() {
    pin(cpus_[1]);
    auto& worker = *engine_->workers().back();
    while (!worker.finished()) {
      if (!worker.step()) relax();
    }
  }

  std::uint64_t processed() const {
    std::uint64_t sum = 0;
    for (const auto& meters : engine_->worker_meters()) sum += meters.processed.read();
    return sum;
  }

  // Measures and moves every kInterval_ns, and ends the run. The rate is that of the second half: policies
  // have settled by then.
  class Control {
   public:
    explicit Control(LoadRun& run)
        : run_(run),
          meter_(run.engine_->worker_meters(), run.engine_->bucket_meters(),
                 std::vector<double>(run.load_.workers, 1.0), base::CycleClock::ticks()),
          policy_(must(make_policy(run.load_.policy.empty() ? "static" : run.load_.policy))),
          actuator_(run.engine_->board()),
          loop_(meter_, *policy_, actuator_, [](const control::Round&) {}),
          start_ns_(base::monotonic_nanoseconds()) {}

    void step() {
      const std::int64_t now_ns = base::monotonic_nanoseconds() - start_ns_;
      if (stopped_) {
        if (run_.engine_->drained()) run_.engine_->dispatchers()[0]->finish();
        return;
      }
      if (now_ns < next_ns_) return;
      next_ns_ = now_ns + kInterval_ns;
      run_.load_.policy.empty() ? run_.move_some(actuator_) : run_.tick(loop_, now_ns);
      if (half_ns_ == 0 && now_ns > run_.load_.duration_ns / 2) {
        half_ns_ = now_ns;
        half_ = run_.processed();
      }
      if (now_ns < run_.load_.duration_ns) return;
      run_.rate_ =
          static_cast<double>(run_.processed() - half_) * 1e9 / static_cast<double>(now_ns - half_ns_);
      run_.engine_->dispatchers()[0]->stop();
      stopped_ = true;
    }

   private:
    LoadRun& run_;
    control::LoadMeter meter_;
    std::unique_ptr<Policy> policy_;
    actuator::TableActuator actuator_;
    control::Loop loop_;
    const std::int64_t start_ns_;
    std::int64_t next_ns_ = kInterval_ns, half_ns_ = 0;
    std::uint64_t half_ = 0;
    bool stopped_ = false;
  };

  void tick(control::Loop& loop, std::int64_t now_ns) {
    std::vector<std::uint64_t> waiting;
    for (std::uint32_t i = 0; i < load_.workers; ++i) waiting.push_back(engine_->waiting(ProcessorId(i)));
    static_cast<void>(loop.tick({.time_ns = now_ns, .ticks = base::CycleClock::ticks(), .waiting = waiting}));
  }

  // A few buckets change hands.
  void move_some(actuator::TableActuator& actuator) {
    if (!actuator.ready()) return;
    std::vector<Move> moves;
    for (std::uint32_t first = static_cast<std::uint32_t>(random_.below(8)); first < load_.buckets;
         first += 8) {
      const ProcessorId from = actuator.owners()[first];
      moves.push_back({.bucket = BucketId(first), .from = from, .to = ProcessorId(1 - from.value())});
    }
    static_cast<void>(actuator.apply(moves));
  }

  const Load load_;
  const Cpus cpus_;
  ListedSource source_;
  std::vector<LastServed> last_served_;
  std::vector<Gaps> gaps_;  // by worker
  std::unique_ptr<LoadEngine> engine_;
  base::Random random_{1};
  double rate_ = 0;
};

}  // namespace evenkeel::bench
