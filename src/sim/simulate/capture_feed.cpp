#include "sim/simulate/capture_feed.h"

#include <algorithm>
#include <cstring>

#include "packet/key_hash.h"
#include "packet/parse.h"
#include "source/make_source.h"

namespace evenkeel::sim {

Result<std::unique_ptr<CaptureFeed>> CaptureFeed::open(const std::vector<std::string>& specs, double stretch,
                                                       std::uint64_t seed) {
  source::SourceOptions options;
  options.seed = seed;
  auto source = source::make_source(specs, options);
  if (!source) return source.error();
  return std::unique_ptr<CaptureFeed>(new CaptureFeed(std::move(*source), stretch));
}

void CaptureFeed::release_last() {
  if (burst_next_ != 0) burst_[burst_next_ - 1]->block->release(1);
}

bool CaptureFeed::receive() {
  burst_size_ = burst_next_ = 0;
  while (burst_size_ == 0 && !ended_) {
    const ReceiveStatus status = source_->receive(burst_, burst_size_);
    ended_ = status == ReceiveStatus::kEnd || status == ReceiveStatus::kError;
  }
  return burst_size_ != 0;
}

// By a hash of 64 bits: two of a million connections meet once in 4 * 10^7 runs.
std::uint32_t CaptureFeed::number_of_connection(Packet& packet, bool& first) {
  if (!packet::parse(packet, {}).connection()) return 0;
  const auto next = static_cast<std::uint32_t>(numbers_.size() + 1);
  const auto [entry, added] = numbers_.try_emplace(packet::key_hash(packet.key, 0), next);
  first = added;
  return entry->second;
}

bool CaptureFeed::next(Arrival& arrival) {
  release_last();
  if (burst_next_ == burst_size_ && !receive()) return false;
  Packet& packet = *burst_[burst_next_++];
  if (!started_) first_ns_ = last_ns_ = packet.time_ns;
  started_ = true;
  last_ns_ = std::max(last_ns_, packet.time_ns);
  arrival.first = false;
  arrival.connection = number_of_connection(packet, arrival.first);
  arrival.time_ns = virtual_time_ns(static_cast<double>(last_ns_ - first_ns_) * stretch_);
  arrival.sequence = sequence_++;
  arrival.wire_length = packet.wire_length;
  link_ = packet.link;
  return true;
}

std::uint32_t CaptureFeed::write(std::span<std::uint8_t> to) {
  const Packet& packet = *burst_[burst_next_ - 1];
  const std::size_t bytes = std::min<std::size_t>(packet.captured_length, to.size());
  std::memcpy(to.data(), packet.data, bytes);
  return static_cast<std::uint32_t>(bytes);
}

Result<CaptureSummary> summarize_capture(const std::vector<std::string>& specs, std::uint64_t seed) {
  auto feed = CaptureFeed::open(specs, 1, seed);
  if (!feed) return feed.error();
  CaptureSummary summary;
  Arrival arrival;
  double bytes = 0;
  while ((*feed)->next(arrival)) {
    ++summary.packets;
    bytes += arrival.wire_length;
    summary.seconds = static_cast<double>(arrival.time_ns) / 1e9;
  }
  if (auto error = (*feed)->error()) return *error;
  if (summary.packets == 0 || summary.seconds <= 0)
    return usage_error("--input has no packets at two different times: there is nothing to simulate");
  summary.mean_wire_length = bytes / static_cast<double>(summary.packets);
  return summary;
}

}  // namespace evenkeel::sim
