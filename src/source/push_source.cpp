#include "evenkeel/push_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <limits>

#include "engine/ring.h"
#include "source/block_pool.h"

namespace evenkeel {

namespace {

constexpr std::uint32_t kPacketsMin = 64, kPacketsMax = 1'048'576;
constexpr std::uint32_t kMeanBytesMax = 65'536;
// Packets lie in blocks: a block is free when all of its packets are. More blocks: finer, but more to search.
constexpr std::uint32_t kBlocks = 32;

source::BlockPoolSize pool_size(const PushSourceOptions& options) {
  const std::uint32_t packets = std::max(1u, options.packets_max / kBlocks);
  // A packet of any length must fit into a block that is empty.
  const std::size_t bytes = std::size_t{packets} * options.packet_bytes_mean + PushSource::kPacketBytesMax;
  return {.blocks = kBlocks, .packets_per_block = packets, .bytes_per_block = bytes};
}

class Pushed final : public PushSource {
 public:
  explicit Pushed(const PushSourceOptions& options)
      : options_(options),
        pool_(pool_size(options), {.link = options.link, .source = 0}),
        ring_(std::bit_ceil(options.packets_max)) {}

  PushStatus push(const PushPacket& packet) override {
    if (closed_.load(std::memory_order_relaxed) || ended_.load(std::memory_order_relaxed))
      return PushStatus::kClosed;
    if (packet.bytes.size() > kPacketBytesMax) return PushStatus::kTooLong;
    return push({&packet, 1}) == 1 ? PushStatus::kTaken : PushStatus::kFull;
  }

  std::size_t push(std::span<const PushPacket> packets) override {
    std::size_t pushed = 0;
    while (pushed < packets.size()) {
      const std::size_t burst = push_burst(packets.subspan(pushed));
      if (burst == 0) break;
      pushed += burst;
    }
    return pushed;
  }

  void pass_time(std::int64_t now_ns) override {
    // Release: what was pushed before is in the ring for who reads this.
    passed_ns_.store(now_ns, std::memory_order_release);
  }

  void end() override {
    // Release: likewise.
    ended_.store(true, std::memory_order_release);
  }

  ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) override;
  bool can_wait() const override { return options_.engine_waits; }
  SourceStatistics statistics() const override { return statistics_; }
  std::int64_t quiet_until_ns() const override { return quiet_until_ns_; }
  void closed() override { closed_.store(true, std::memory_order_relaxed); }
  bool is_over() const override { return closed_.load(std::memory_order_relaxed); }
  std::string name() const override { return options_.name; }

 private:
  static constexpr std::size_t kBurst = 32;

  std::size_t push_burst(std::span<const PushPacket> packets);
  bool make_room(std::size_t bytes);
  Packet* copy(const PushPacket& pushed);

  const PushSourceOptions options_;

  // The author's side.
  source::BlockPool pool_;
  source::Block* block_ = nullptr;
  std::size_t packets_used_ = 0, bytes_used_ = 0;  // of the block
  std::uint64_t sequence_ = 0;

  // Between the two.
  engine::Ring<Packet*> ring_;
  std::atomic<std::int64_t> passed_ns_{std::numeric_limits<std::int64_t>::min()};
  std::atomic<bool> ended_{false}, closed_{false};

  // The dispatcher's side.
  SourceStatistics statistics_;
  std::int64_t quiet_until_ns_ = std::numeric_limits<std::int64_t>::min();
};

// As many packets as one burst holds and there is room for.
std::size_t Pushed::push_burst(std::span<const PushPacket> packets) {
  if (closed_.load(std::memory_order_relaxed) || ended_.load(std::memory_order_relaxed)) return 0;
  const std::size_t room = ring_.capacity() - std::min(ring_.capacity(), ring_.size());
  const std::size_t most = std::min({packets.size(), kBurst, room});
  std::array<Packet*, kBurst> copies;
  std::size_t count = 0;
  while (count < most && packets[count].bytes.size() <= kPacketBytesMax &&
         make_room(packets[count].bytes.size())) {
    copies[count] = copy(packets[count]);
    ++count;
  }
  // Only this thread pushes, so the room that was seen is there.
  ring_.push({copies.data(), count});
  return count;
}

bool Pushed::make_room(std::size_t bytes) {
  if (block_ != nullptr && packets_used_ < pool_.packets_per_block() &&
      bytes <= pool_.bytes_per_block() - bytes_used_)
    return true;
  source::Block* const next = pool_.take();
  if (next == nullptr) return false;
  block_ = next;
  packets_used_ = bytes_used_ = 0;
  return true;
}

Packet* Pushed::copy(const PushPacket& pushed) {
  std::uint8_t* const data = block_->data.get() + bytes_used_;
  if (!pushed.bytes.empty()) std::memcpy(data, pushed.bytes.data(), pushed.bytes.size());
  Packet& packet = block_->packets[packets_used_++];
  bytes_used_ += pushed.bytes.size();
  packet.data = data;
  packet.captured_length = static_cast<std::uint32_t>(pushed.bytes.size());
  packet.wire_length = std::max(pushed.wire_length, packet.captured_length);
  packet.time_ns = pushed.time_ns;
  packet.sequence = sequence_++;
  block_->ledger.hand_out(1);
  return &packet;
}

ReceiveStatus Pushed::receive(std::span<Packet*> out, std::size_t& count) {
  // Acquire, both, and before the ring: what was pushed before is seen in it.
  const std::int64_t passed_ns = passed_ns_.load(std::memory_order_acquire);
  const bool ended = ended_.load(std::memory_order_acquire);
  count = ring_.pop(out);
  if (count == 0) {
    quiet_until_ns_ = passed_ns;
    return ended ? ReceiveStatus::kEnd : ReceiveStatus::kIdle;
  }
  statistics_.received += count;
  for (std::size_t i = 0; i < count; ++i) statistics_.bytes += out[i]->wire_length;
  statistics_.bytes_read = statistics_.bytes;
  return ReceiveStatus::kMore;
}

}  // namespace

Result<std::shared_ptr<PushSource>> PushSource::make(const PushSourceOptions& options) {
  if (options.packets_max < kPacketsMin || options.packets_max > kPacketsMax)
    return usage_error(
        fmt::format("packets_max takes {} to {}, not {}", kPacketsMin, kPacketsMax, options.packets_max));
  if (options.packet_bytes_mean < 1 || options.packet_bytes_mean > kMeanBytesMax)
    return usage_error(
        fmt::format("packet_bytes_mean takes 1 to {}, not {}", kMeanBytesMax, options.packet_bytes_mean));
  return std::shared_ptr<PushSource>(std::make_shared<Pushed>(options));
}

}  // namespace evenkeel
