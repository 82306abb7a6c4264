#include "source/filtered_source.h"

#include <utility>

namespace evenkeel::source {

// So many bursts without a match, and others get a turn.
constexpr int kBurstsMax = 16;

Result<std::unique_ptr<Source>> FilteredSource::make(std::unique_ptr<Source> input,
                                                     const std::string& expression) {
  if (auto filter = PacketFilter::make(expression, LinkType::kEthernet, 0); !filter) return filter.error();
  return std::unique_ptr<Source>(new FilteredSource(std::move(input), expression));
}

const PacketFilter* FilteredSource::filter_for(LinkType link) {
  auto& filter = filters_[static_cast<std::size_t>(link)];
  if (filter) return &*filter;
  auto made = PacketFilter::make(expression_, link, 0);
  if (!made) {
    error_ = made.error();
    return nullptr;
  }
  return &filter.emplace(std::move(*made));
}

std::size_t FilteredSource::keep_matching(std::span<Packet*> packets) {
  std::size_t kept = 0;
  for (Packet* const packet : packets) {
    const PacketFilter* const filter = filter_for(packet->link);
    if (filter != nullptr && filter->matches(*packet)) {
      packets[kept++] = packet;
      continue;
    }
    ++given_back_;
    given_back_bytes_ += packet->wire_length;
    packet->block->release(1);
  }
  return kept;
}

ReceiveStatus FilteredSource::receive(std::span<Packet*> out, std::size_t& count) {
  ReceiveStatus status = ReceiveStatus::kMore;
  count = 0;
  for (int bursts = 0; count == 0 && status == ReceiveStatus::kMore && bursts < kBurstsMax; ++bursts) {
    std::size_t received = 0;
    status = input_->receive(out, received);
    count = keep_matching(out.first(received));
    if (error_) return ReceiveStatus::kError;
  }
  return status;
}

SourceStatistics FilteredSource::statistics() const {
  SourceStatistics statistics = input_->statistics();
  statistics.received -= given_back_;
  statistics.bytes -= given_back_bytes_;
  return statistics;
}

std::vector<InputStatistics> FilteredSource::inputs() const {
  std::vector<InputStatistics> inputs = input_->inputs();
  for (InputStatistics& input : inputs) {
    input.packets -= given_back_;
    input.bytes -= given_back_bytes_;
  }
  return inputs;
}

}  // namespace evenkeel::source
