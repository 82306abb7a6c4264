#include "soak/storm_source.h"

#include <algorithm>
#include <cstring>

namespace evenkeel::soak {

namespace {

constexpr std::size_t kNetwork = 14, kTransport = kNetwork + 20, kPayload = kTransport + 20;
constexpr std::int64_t kHour = 3'600'000'000'000;

// Ethernet, IPv4, TCP, and 8 bytes; addresses, flags and the number are filled in.
constexpr auto kTemplate = [] {
  std::array<std::uint8_t, kPayload + 8> frame{};
  frame[12] = 0x08;
  frame[kNetwork] = 0x45;
  frame[kNetwork + 3] = static_cast<std::uint8_t>(frame.size() - kNetwork);
  frame[kNetwork + 8] = 64;
  frame[kNetwork + 9] = 6;
  frame[kTransport + 12] = 0x50;
  return frame;
}();

void write_32(std::uint8_t* to, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) to[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}

}  // namespace

StormSource::StormSource(const StormOptions& options)
    : options_(options), random_(options.seed), numbers_(kConnections) {
  for (std::size_t i = 0; i < kBlocks; ++i) blocks_.push_back(std::make_unique<Block>());
}

// Steps of time are those of a million packets a second; a jump is made once.
void StormSource::change_weather() {
  weather_ = static_cast<Weather>(random_.below(static_cast<std::uint64_t>(Weather::kCount)));
  weather_lasts_ = 20 + random_.below(200);
  if (weather_ == Weather::kForward) now_ns_ += kHour;
  if (weather_ == Weather::kBackward) now_ns_ -= kHour;
  if (weather_ == Weather::kSilence) weather_lasts_ = 50;
}

StormSource::Block* StormSource::free_block() {
  for (std::size_t i = 0; i < kBlocks; ++i) {
    next_block_ = (next_block_ + 1) % kBlocks;
    if (blocks_[next_block_]->ledger.all_released()) return blocks_[next_block_].get();
  }
  return nullptr;
}

void StormSource::fill(Packet& packet, std::array<std::uint8_t, kFrameBytes>& frame) {
  static_assert(sizeof(kTemplate) == kFrameBytes);
  frame = kTemplate;
  const bool stranger = weather_ == Weather::kFlood && random_.below(8) != 0;
  const bool elephant = weather_ == Weather::kElephant && random_.below(4) != 0;
  const auto connection = stranger   ? static_cast<std::uint32_t>(strangers_++)
                          : elephant ? 0u
                                     : static_cast<std::uint32_t>(random_.below(kConnections));
  // Those who stay come from 10/8, strangers from 128/1, so that the two never meet.
  write_32(&frame[kNetwork + 12], stranger ? 0x80000000u | connection : 0x0a000000u | connection);
  write_32(&frame[kNetwork + 16], 0x0b000001u);
  frame[kTransport] = 0x40;
  frame[kTransport + 3] = 80;
  frame[kTransport + 13] = stranger ? tcp::kSyn : tcp::kAck;
  const std::uint64_t number = stranger ? 0 : numbers_[connection]++;
  std::memcpy(&frame[kPayload], &number, sizeof number);
  packet.data = frame.data();
  packet.captured_length = packet.wire_length = kFrameBytes;
  packet.time_ns = now_ns_ += 1'000;
}

ReceiveStatus StormSource::receive(std::span<Packet*> out, std::size_t& count) {
  count = 0;
  if (finished_.load(std::memory_order_relaxed) || statistics_.received >= options_.packets)
    return ReceiveStatus::kEnd;
  if (weather_lasts_-- == 0) change_weather();
  if (weather_ == Weather::kSilence) {
    now_ns_ += 100'000'000;
    return ReceiveStatus::kIdle;
  }
  Block* const block = free_block();
  if (block == nullptr) return ReceiveStatus::kIdle;
  count = std::min<std::size_t>(out.size(), kPackets);
  for (std::size_t i = 0; i < count; ++i) {
    Packet& packet = block->packets[i];
    fill(packet, block->frames[i]);
    packet.sequence = statistics_.received++;
    packet.block = &block->ledger;
    out[i] = &packet;
  }
  statistics_.bytes += count * kFrameBytes;
  block->ledger.hand_out(static_cast<std::uint32_t>(count));
  handed_out_.store(statistics_.received, std::memory_order_relaxed);
  return ReceiveStatus::kMore;
}

std::uint64_t StormSource::number_of(const Packet& packet) {
  std::uint64_t number;
  std::memcpy(&number, packet.data + kPayload, sizeof number);
  return number;
}

}  // namespace evenkeel::soak
