#include "sim/synthetic_source.h"

#include <algorithm>

namespace evenkeel::sim {

namespace {

// Ethernet, IPv4, UDP; 10.1.x.x talks to 10.2.0.1. Addresses are filled in for each packet.
constexpr std::array<std::uint8_t, SyntheticSource::kPacketBytes> kTemplate = {
    2,    0,    0,    0,    0, 1, 2, 0, 0,  0,  0, 2, 8,  0,                     // Ethernet
    0x45, 0,    0,    28,   0, 0, 0, 0, 64, 17, 0, 0, 10, 1, 0, 0, 10, 2, 0, 1,  // IPv4
    0x04, 0x00, 0x00, 0x50, 0, 8, 0, 0,                                          // UDP 1024 to 80
};
constexpr std::size_t kSourceAddress = 26;
constexpr std::size_t kDestinationAddress = 30;
constexpr std::size_t kPorts = 34;

}  // namespace

SyntheticSource::SyntheticSource(const SyntheticOptions& options) : options_(options), random_(options.seed) {
  for (std::uint32_t i = 0; i < options.blocks; ++i) {
    auto block = std::make_unique<Block>();
    block->packets.resize(options.packets_per_block);
    block->bytes.assign(options.packets_per_block, kTemplate);
    block->used = options.packets_per_block;  // nothing left in it: it is taken afresh when it is needed
    blocks_.push_back(std::move(block));
  }
}

SyntheticSource::Block* SyntheticSource::block_with_room() {
  if (current_ != nullptr && current_->used < options_.packets_per_block) return current_;
  const auto free =
      std::find_if(blocks_.begin(), blocks_.end(), [](const auto& b) { return b->all_released(); });
  if (free == blocks_.end()) return nullptr;
  current_ = free->get();
  current_->used = 0;
  return current_;
}

ReceiveStatus SyntheticSource::receive(std::span<Packet*> out, std::size_t& count) {
  count = 0;
  if (statistics_.received == options_.packets) return ReceiveStatus::kEnd;
  const std::size_t wanted = 1 + random_.below(out.size());
  while (count < wanted && statistics_.received < options_.packets) {
    Block* block = block_with_room();
    if (block == nullptr) return count == 0 ? ReceiveStatus::kIdle : ReceiveStatus::kMore;
    Packet& packet = block->packets[block->used];
    packet = Packet{};
    make(packet, block->bytes[block->used].data());
    packet.block = block;
    block->hand_out(1);
    ++block->used;
    out[count++] = &packet;
  }
  return ReceiveStatus::kMore;
}

// The minimum of two uniform numbers: a few connections send more than the others.
std::uint64_t SyntheticSource::choose_connection() {
  if (options_.flood_each != 0 && flood_left_ == 0 && random_.below(options_.flood_each) == 0)
    flood_left_ = 1 + random_.below(500);
  if (flood_left_ != 0) {
    --flood_left_;
    return flood_next_++ % options_.connections;
  }
  return std::min(random_.below(options_.connections), random_.below(options_.connections));
}

// 0.8 ms on average, at times back.
std::int64_t SyntheticSource::choose_step_ns() {
  if (options_.jump_each != 0 && random_.below(options_.jump_each) == 0) {
    constexpr std::int64_t kHour_ns = 3'600'000'000'000;
    return static_cast<std::int64_t>(random_.below(4 * kHour_ns)) - kHour_ns;
  }
  return static_cast<std::int64_t>(random_.below(2'000'000)) - 200'000;
}

void SyntheticSource::make(Packet& packet, std::uint8_t* bytes) {
  const std::uint64_t connection = choose_connection();
  std::copy(kTemplate.begin(), kTemplate.end(), bytes);
  bytes[kSourceAddress + 1] = static_cast<std::uint8_t>(1 + 2 * options_.source);
  bytes[kSourceAddress + 2] = static_cast<std::uint8_t>(connection >> 8);
  bytes[kSourceAddress + 3] = static_cast<std::uint8_t>(connection);
  if (random_.below(2) == 0) {
    std::swap_ranges(bytes + kSourceAddress, bytes + kDestinationAddress, bytes + kDestinationAddress);
    std::swap_ranges(bytes + kPorts, bytes + kPorts + 2, bytes + kPorts + 2);
  }
  time_ns_ += choose_step_ns();
  packet.time_ns = time_ns_;
  packet.data = bytes;
  packet.captured_length = kPacketBytes;
  packet.wire_length = 60;
  packet.sequence = statistics_.received;
  packet.source = options_.source;
  ++statistics_.received;
  statistics_.bytes += packet.wire_length;
}

std::uint64_t SyntheticSource::lent() const {
  std::uint64_t sum = 0;
  for (const auto& block : blocks_) sum += block->outstanding();
  return sum;
}

std::uint32_t SyntheticSource::connection_of(const Packet& packet) {
  const bool outward = packet.data[kDestinationAddress + 1] == 2;
  const std::uint8_t* address = packet.data + (outward ? kSourceAddress : kDestinationAddress);
  return static_cast<std::uint32_t>(address[2] << 8 | address[3]);
}

}  // namespace evenkeel::sim
