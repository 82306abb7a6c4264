#include "sim/isolation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "engine/engine.h"
#include "sim/virtual_clock.h"

namespace evenkeel::sim {

namespace {

constexpr std::int64_t kEpoch_ns = 1'700'000'000'000'000'000;
constexpr std::size_t kBytes = 42;
constexpr std::size_t kAddress = 26;

struct Sender {
  std::uint64_t cost_ns = 0;
  std::uint64_t gap_ns = 0;  // mean time between packets
  std::uint64_t next_ns = 0;
  bool light = false;
  // Of a light one: the packet that is on its way.
  bool waits = false;
  std::uint64_t sent_ns = 0;
};

struct Setting {
  std::uint32_t heavy, light;
  std::uint64_t quantum_ns, packets;
  double overload;
};

Setting choose_setting(base::Random& random) {
  return {.heavy = static_cast<std::uint32_t>(1 + random.below(12)),
          .light = static_cast<std::uint32_t>(1 + random.below(12)),
          .quantum_ns = 5'000 + random.below(100'000),
          .packets = 2'000 + random.below(3'000),
          .overload = 1.2 + 2 * random.uniform()};
}

// Ethernet, IPv4 and UDP; the sender's number stands in the address.
constexpr std::array<std::uint8_t, kBytes> kTemplate = {
    2,    0, 0, 0,  0, 1, 2, 0, 0,  0,  0, 2, 8,  0,                     // Ethernet
    0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 1, 0, 0, 10, 2, 0, 1,  // IPv4
    4,    0, 0, 80, 0, 8, 0, 0};                                         // UDP

// A packet in a block of its own, so that each can be given back at any time.
struct Slot : PacketBlock {
  Packet packet;
  std::array<std::uint8_t, kBytes> bytes = kTemplate;
};

class SenderSource final : public Source {
 public:
  // Offers a packet; it is received at once.
  void offer(std::uint32_t sender, std::uint64_t now_ns) {
    Slot& slot = free_slot();
    slot.bytes[kAddress + 2] = static_cast<std::uint8_t>(sender >> 8);
    slot.bytes[kAddress + 3] = static_cast<std::uint8_t>(sender);
    slot.packet = Packet{};
    slot.packet.data = slot.bytes.data();
    slot.packet.captured_length = slot.packet.wire_length = kBytes;
    slot.packet.time_ns = kEpoch_ns + static_cast<std::int64_t>(now_ns);
    slot.packet.sequence = statistics_.received++;
    slot.packet.block = &slot;
    slot.hand_out(1);
    offered_ = &slot.packet;
  }
  ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) override {
    count = 0;
    if (offered_ != nullptr) out[count++] = std::exchange(offered_, nullptr);
    return count != 0 ? ReceiveStatus::kMore : ReceiveStatus::kIdle;
  }
  bool can_wait() const override { return false; }
  SourceStatistics statistics() const override { return statistics_; }
  std::string name() const override { return "senders"; }

 private:
  Slot& free_slot() {
    for (std::size_t i = 0; i < std::min<std::size_t>(slots_.size(), 8); ++i) {
      hand_ = (hand_ + 1) % slots_.size();
      if (slots_[hand_]->all_released()) return *slots_[hand_];
    }
    slots_.push_back(std::make_unique<Slot>());
    return *slots_.back();
  }

  std::vector<std::unique_ptr<Slot>> slots_;
  std::size_t hand_ = 0;
  Packet* offered_ = nullptr;
  SourceStatistics statistics_;
};

// What the run and its handler share.
struct Stage {
  std::vector<Sender> senders;
  std::uint64_t now_ns = 0;
  std::uint64_t bound_ns = 0;
  std::uint64_t light_served = 0;
  std::string violation;

  void check(std::size_t index) {
    const Sender& sender = senders[index];
    if (sender.waits && now_ns > sender.sent_ns + bound_ns && violation.empty())
      violation =
          fmt::format("isolation: a packet of light connection {} waits for {} ns, {} would be its share",
                      index, now_ns - sender.sent_ns, bound_ns);
  }
};

class Server {
 public:
  struct State {};
  using Connection = engine::Connection<State>;

  explicit Server(Stage& stage) : stage_(&stage) {}
  void open(Connection&, const Packet&) {}
  void packet(Connection&, const Packet& packet) {
    const std::size_t index = sender_of(packet);
    Sender& sender = stage_->senders[index];
    stage_->check(index);
    if (sender.light) {
      sender.waits = false;
      ++stage_->light_served;
    }
    stage_->now_ns += sender.cost_ns;
  }
  std::int64_t cost_ns(const Packet& packet) const {
    return static_cast<std::int64_t>(stage_->senders[sender_of(packet)].cost_ns);
  }
  std::int64_t deadline_ns(const Connection&) const { return engine::kNoDeadline; }
  void due(const ConnectionKey&, Connection&, std::int64_t) {}
  void close(const ConnectionKey&, Connection&, engine::CloseReason, std::int64_t) {}
  void idle() {}

 private:
  static std::size_t sender_of(const Packet& packet) {
    return static_cast<std::size_t>(packet.data[kAddress + 2] << 8 | packet.data[kAddress + 3]);
  }
  Stage* stage_;
};

using IsolationEngine = engine::Engine<Server, VirtualClock>;

class Isolation {
 public:
  explicit Isolation(std::uint64_t seed) : random_(seed), setting_(choose_setting(random_)) {
    make_senders();
    engine::EngineOptions options;
    options.buckets = 1u << random_.below(6);
    options.connections_max = 1'000;
    options.queueing.discipline = engine::Discipline::kFair;
    options.queueing.quantum_ns = static_cast<std::int64_t>(setting_.quantum_ns);
    options.queueing.limits =
        engine::QueueLimits::of_worker(static_cast<std::uint32_t>(200 + random_.below(2'000)));
    auto engine = IsolationEngine::make(
        options, {&source_}, std::move(*packet::Hasher::make("toeplitz", "")),
        [&](ProcessorId) { return Server(stage_); },
        [&](ProcessorId) { return VirtualClock(&stage_.now_ns); });
    CHECK(engine.ok());
    engine_ = std::move(*engine);
    result_.setting =
        fmt::format("{} heavy and {} light connections, quantum {} ns, {} packets, overload {:.2f}",
                    setting_.heavy, setting_.light, setting_.quantum_ns, setting_.packets, setting_.overload);
  }

  IsolationResult run();

 private:
  void make_senders();
  void send_until(std::uint64_t now_ns);
  std::uint64_t next_send_ns() const;

  base::Random random_;
  const Setting setting_;
  Stage stage_;
  SenderSource source_;
  std::unique_ptr<IsolationEngine> engine_;
  std::uint64_t sent_ = 0;
  IsolationResult result_;
};

// Heavy ones share the overload; a light one sends less than its share: less than a quantum in each bound.
void Isolation::make_senders() {
  std::uint64_t cost_max = 0;
  for (std::uint32_t i = 0; i < setting_.heavy; ++i) {
    Sender sender;
    sender.cost_ns = 500 + random_.below(20'000);
    sender.gap_ns =
        static_cast<std::uint64_t>(static_cast<double>(sender.cost_ns) * setting_.heavy / setting_.overload);
    sender.next_ns = random_.below(sender.gap_ns);
    cost_max = std::max(cost_max, sender.cost_ns);
    stage_.senders.push_back(sender);
  }
  // A quantum, exceeded by one packet, of every connection, twice: a turn may begin just before the packet
  // comes, and a batch ends when its quantum is used up, not before.
  stage_.bound_ns = 2 * (setting_.heavy + setting_.light + 2) * (setting_.quantum_ns + cost_max);
  for (std::uint32_t i = 0; i < setting_.light; ++i) {
    Sender sender;
    sender.light = true;
    sender.cost_ns = 100 + random_.below(setting_.quantum_ns / 4);
    sender.gap_ns = 2 * stage_.bound_ns + random_.below(stage_.bound_ns);
    sender.next_ns = random_.below(sender.gap_ns);
    stage_.senders.push_back(sender);
  }
}

std::uint64_t Isolation::next_send_ns() const {
  std::uint64_t next = ~std::uint64_t{0};
  for (const Sender& sender : stage_.senders) next = std::min(next, sender.next_ns);
  return next;
}

void Isolation::send_until(std::uint64_t now_ns) {
  for (std::uint32_t i = 0; i < stage_.senders.size(); ++i) {
    Sender& sender = stage_.senders[i];
    for (; sender.next_ns <= now_ns && sent_ < setting_.packets; ++sent_) {
      // Who waits longer than its share is told of by check().
      if (!sender.waits && sender.light) sender.sent_ns = now_ns;
      if (sender.light) sender.waits = true;
      source_.offer(i, sender.next_ns);
      engine_->dispatchers()[0]->step();
      sender.next_ns += 1 + random_.below(2 * sender.gap_ns);
    }
  }
}

IsolationResult Isolation::run() {
  while (stage_.violation.empty()) {
    send_until(stage_.now_ns);
    const bool worked = engine_->workers()[0]->step();
    ++result_.steps;
    for (std::size_t i = 0; i < stage_.senders.size(); ++i) stage_.check(i);
    if (worked) continue;
    if (sent_ >= setting_.packets) break;
    stage_.now_ns = std::max(stage_.now_ns, next_send_ns());
  }
  for (std::size_t i = 0; i < stage_.senders.size(); ++i) {
    if (stage_.senders[i].waits && stage_.violation.empty())
      stage_.violation = fmt::format("isolation: a packet of light connection {} was never served", i);
  }
  result_.light_packets = stage_.light_served;
  result_.shed =
      engine_->queue_meters()[0].shed_by_limit.read() + engine_->queue_meters()[0].shed_by_delay.read();
  result_.violation = stage_.violation;
  return result_;
}

}  // namespace

IsolationResult run_isolation(std::uint64_t seed) { return Isolation(seed).run(); }

}  // namespace evenkeel::sim
