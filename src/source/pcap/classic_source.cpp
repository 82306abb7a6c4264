#include "source/pcap/classic_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace evenkeel::source {
namespace {

// A fill larger than what stays in a core's second-level cache gains nothing, and one of a few records only
// pays for the system call again and again.
constexpr std::size_t kFillBytesMax = 131'072;
constexpr std::size_t kFillBytesMin = 16'384;
// A partial record moves to the start of the next block, where all of it must find room.
constexpr std::size_t kBlockBytes = kFillBytesMax + kClassicRecordHeaderBytes + kCapturedLengthMax;

}  // namespace

ClassicSource::ClassicSource(ByteInput input, const Capture& capture, const PcapOptions& options)
    : input_(std::move(input)),
      capture_(capture),
      pool_({options.blocks, 512, kBlockBytes}, {capture.link, options.source}),
      fill_bytes_(kFillBytesMin) {
  std::uint8_t header[kClassicHeaderBytes];
  input_.read(header, sizeof(header));  // peeked before, and valid
  statistics_.bytes_total = input_.bytes_total();
}

ReceiveStatus ClassicSource::receive(std::span<Packet*> out, std::size_t& count) {
  count = 0;
  while (count < out.size()) {
    const auto rest = out.subspan(count);
    const std::size_t walked = capture_.format.swapped ? walk<true>(rest) : walk<false>(rest);
    count += walked;
    if (walked > 0) continue;
    if (error_) return ReceiveStatus::kError;
    switch (refill()) {
      case Refill::kDone:
        break;
      case Refill::kWait:
        return ReceiveStatus::kIdle;
      case Refill::kEnd:
        return error_ ? ReceiveStatus::kError : ReceiveStatus::kEnd;
    }
  }
  return ReceiveStatus::kMore;
}

// Hands out the whole records between cursor_ and end_, as far as descriptors and `out` reach.
template <bool kSwapped>
std::size_t ClassicSource::walk(std::span<Packet*> out) {
  if (block_ == nullptr) return 0;
  const std::size_t room = std::min(out.size(), pool_.packets_per_block() - packets_used_);
  Packet* const packets = block_->packets.data() + packets_used_;
  // Copies of members, which the compiler would otherwise read again behind each store to a packet.
  std::uint8_t* cursor = cursor_;
  const std::uint8_t* const end = end_;
  const Capture capture = capture_;
  const std::uint64_t sequence = statistics_.received;
  std::uint64_t bytes = 0;
  std::size_t taken = 0;
  for (; taken < room; ++taken) {
    const auto left = static_cast<std::size_t>(end - cursor);
    if (left < kClassicRecordHeaderBytes) break;
    const ClassicRecord record = decode_record<kSwapped>(cursor, capture.format.fraction_ns);
    if (record.captured_length > kCapturedLengthMax) {
      if (taken == 0) {
        fail(fmt::format("captured length {}, over the maximum of {}", record.captured_length,
                         kCapturedLengthMax));
      }
      break;
    }
    if (left - kClassicRecordHeaderBytes < record.captured_length) break;
    Packet& packet = packets[taken];
    packet.time_ns = record.time_ns;
    packet.data = cursor + kClassicRecordHeaderBytes;
    packet.captured_length = std::min(record.captured_length, capture.snapshot_length);
    packet.wire_length = std::max(record.wire_length, packet.captured_length);
    packet.sequence = sequence + taken;
    bytes += packet.wire_length;
    out[taken] = &packet;
    cursor += kClassicRecordHeaderBytes + record.captured_length;
  }
  cursor_ = cursor;
  packets_used_ += taken;
  statistics_.received += taken;
  statistics_.bytes += bytes;
  block_->ledger.hand_out(static_cast<std::uint32_t>(taken));
  return taken;
}

// Bytes that the block must hold from cursor_ on, for the next record to be whole, or to be seen as damaged.
std::size_t ClassicSource::bytes_wanted() const {
  if (end_ - cursor_ < static_cast<std::ptrdiff_t>(kClassicRecordHeaderBytes))
    return kClassicRecordHeaderBytes;
  const ClassicRecord record =
      capture_.format.swapped ? decode_record<true>(cursor_, 1) : decode_record<false>(cursor_, 1);
  return kClassicRecordHeaderBytes + std::min(record.captured_length, kCapturedLengthMax);
}

ClassicSource::Refill ClassicSource::refill() {
  const bool spent = block_ == nullptr || packets_used_ == pool_.packets_per_block() ||
                     (end_ >= block_->data.get() + fill_bytes_ && packets_used_ > 0);
  if (spent) {
    if (!move_to_next_block()) return Refill::kWait;
    if (static_cast<std::size_t>(end_ - cursor_) >= bytes_wanted()) return Refill::kDone;
  }
  if (!input_.ready()) return Refill::kWait;
  const auto offset = static_cast<std::size_t>(cursor_ - block_->data.get());
  const auto filled = static_cast<std::size_t>(end_ - block_->data.get());
  const std::size_t target = std::max(fill_bytes_, offset + bytes_wanted());
  const std::ptrdiff_t got = input_.read(end_, target - filled);
  if (got > 0) {
    end_ += got;
    return Refill::kDone;
  }
  if (got < 0) {
    error_ = runtime_error(fmt::format("cannot read {}: {}", input_.name(), std::strerror(errno)));
  } else if (cursor_ != end_) {
    fail(fmt::format("it ends {} bytes into a record of {}", end_ - cursor_, bytes_wanted()));
  }
  return Refill::kEnd;
}

// Takes a block and carries over what of the last one was not walked. False when all are lent out.
bool ClassicSource::move_to_next_block() {
  Block* const next = pool_.take();
  if (next == nullptr) return false;
  const auto left = static_cast<std::size_t>(end_ - cursor_);
  if (packets_used_ > 0) {
    // Filling just what the descriptors will cover keeps the part that is carried over small.
    const auto used = static_cast<std::size_t>(cursor_ - block_->data.get());
    fill_bytes_ = std::clamp(used * pool_.packets_per_block() / packets_used_, kFillBytesMin, kFillBytesMax);
  }
  if (left > 0) std::memmove(next->data.get(), cursor_, left);  // it may be the same block
  block_ = next;
  cursor_ = next->data.get();
  end_ = cursor_ + left;
  packets_used_ = 0;
  return true;
}

void ClassicSource::fail(const std::string& reason) {
  error_ =
      runtime_error(fmt::format("{} is damaged or cut off after packet {}: {}; what came before was kept",
                                input_.name(), statistics_.received, reason));
}

SourceStatistics ClassicSource::statistics() const {
  SourceStatistics statistics = statistics_;
  statistics.bytes_read = input_.bytes_read();
  return statistics;
}

}  // namespace evenkeel::source
