#include "source/pcap/libpcap_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/time_range.h"
#include "base/units.h"
#include "source/pcap/classic_format.h"

namespace evenkeel::source {
namespace {

constexpr std::size_t kFillBytesMax = 131'072;
constexpr std::size_t kBlockBytes = kFillBytesMax + kCapturedLengthMax;

// In pcapng any time of 64 bits can be written.
std::int64_t time_of(const timeval& time) {
  constexpr std::int64_t kSecondsMax = base::kTimeMax_ns / base::kNanosecondsPerSecond;
  const std::int64_t seconds = std::clamp<std::int64_t>(time.tv_sec, -kSecondsMax, kSecondsMax);
  // libpcap was asked for nanoseconds.
  return base::bounded_time_ns(seconds * base::kNanosecondsPerSecond + time.tv_usec);
}

}  // namespace

LibpcapSource::LibpcapSource(std::unique_ptr<LibpcapFile> file, LinkType link, const PcapOptions& options)
    : file_(std::move(file)), pool_({options.blocks, 512, kBlockBytes}, {link, options.source}) {
  statistics_.bytes_total = file_->input().bytes_total();
}

ReceiveStatus LibpcapSource::receive(std::span<Packet*> out, std::size_t& count) {
  for (count = 0; count < out.size(); ++count) {
    if (data_ == nullptr) {
      const ReceiveStatus status = read_next();
      if (status != ReceiveStatus::kMore) return status;
    }
    if (!make_room()) return ReceiveStatus::kIdle;
    out[count] = place();
  }
  return ReceiveStatus::kMore;
}

ReceiveStatus LibpcapSource::read_next() {
  if (error_) return ReceiveStatus::kError;
  if (!file_->ready()) return ReceiveStatus::kIdle;
  const int got = pcap_next_ex(file_->handle(), &header_, &data_);
  if (got == 1) return ReceiveStatus::kMore;
  data_ = nullptr;
  if (got == PCAP_ERROR_BREAK) return ReceiveStatus::kEnd;
  error_ =
      runtime_error(fmt::format("{} is damaged or cut off after packet {}: {}; what came before was kept",
                                name(), statistics_.received, pcap_geterr(file_->handle())));
  return ReceiveStatus::kError;
}

bool LibpcapSource::make_room() {
  const bool room =
      block_ != nullptr && packets_used_ < pool_.packets_per_block() && bytes_used_ < kFillBytesMax;
  if (room) return true;
  Block* const next = pool_.take();
  if (next == nullptr) return false;
  block_ = next;
  packets_used_ = 0;
  bytes_used_ = 0;
  return true;
}

// Copies the packet that was read last: libpcap's buffer is good until the next call only.
Packet* LibpcapSource::place() {
  Packet& packet = block_->packets[packets_used_++];
  std::uint8_t* const to = block_->data.get() + bytes_used_;
  packet.captured_length = std::min(header_->caplen, kCapturedLengthMax);
  packet.wire_length = std::max(header_->len, packet.captured_length);
  packet.time_ns = time_of(header_->ts);
  packet.data = to;
  packet.sequence = statistics_.received++;
  std::memcpy(to, data_, packet.captured_length);
  bytes_used_ += packet.captured_length;
  statistics_.bytes += packet.wire_length;
  block_->ledger.hand_out(1);
  data_ = nullptr;
  return &packet;
}

SourceStatistics LibpcapSource::statistics() const {
  SourceStatistics statistics = statistics_;
  statistics.bytes_read = file_->input().bytes_read();
  return statistics;
}

}  // namespace evenkeel::source
