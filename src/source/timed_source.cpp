#include "source/timed_source.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/check.h"

namespace evenkeel::source {
namespace {

bool is_end(ReceiveStatus status) { return status == ReceiveStatus::kEnd || status == ReceiveStatus::kError; }

}  // namespace

LimitedSource::LimitedSource(std::unique_ptr<Source> input, std::int64_t duration_ns)
    : input_(std::move(input)), duration_ns_(duration_ns), given_back_(input_->inputs().size()) {}

ReceiveStatus LimitedSource::receive(std::span<Packet*> out, std::size_t& count) {
  count = 0;
  if (ended_) return ReceiveStatus::kEnd;
  std::size_t received = 0;
  const ReceiveStatus status = input_->receive(out, received);
  if (received > 0 && !start_ns_) start_ns_ = out[0]->time_ns;
  while (count < received && out[count]->time_ns - *start_ns_ < duration_ns_) ++count;
  if (count == received) return status;
  ended_ = true;
  for (std::size_t i = count; i < received; ++i) {
    Count& count_of_input = given_back_[std::min<std::size_t>(out[i]->source, given_back_.size() - 1)];
    ++count_of_input.packets;
    count_of_input.bytes += out[i]->wire_length;
    out[i]->block->release(1);
  }
  return ReceiveStatus::kEnd;
}

SourceStatistics LimitedSource::statistics() const {
  SourceStatistics statistics = input_->statistics();
  for (const Count& count : given_back_) {
    statistics.received -= count.packets;
    statistics.bytes -= count.bytes;
  }
  statistics.packets_total.reset();  // the limit may come first
  return statistics;
}

std::vector<InputStatistics> LimitedSource::inputs() const {
  std::vector<InputStatistics> inputs = input_->inputs();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    inputs[i].packets -= given_back_[i].packets;
    inputs[i].bytes -= given_back_[i].bytes;
    if (ended_) inputs[i].error.reset();
  }
  return inputs;
}

PacedSource::PacedSource(std::unique_ptr<Source> input, double speed, Clock clock)
    : input_(std::move(input)), speed_(speed), clock_(std::move(clock)) {
  CHECK(speed > 0);
}

ReceiveStatus PacedSource::receive(std::span<Packet*> out, std::size_t& count) {
  const std::int64_t now_ns = clock_();
  for (count = 0; count < out.size(); ++count) {
    if (begin_ == end_) {
      if (is_end(status_)) return status_;
      begin_ = end_ = 0;
      status_ = input_->receive(packets_, end_);
      if (end_ == 0) return status_;
    }
    if (!is_due(*packets_[begin_], now_ns)) return ReceiveStatus::kIdle;
    out[count] = packets_[begin_++];
    ++received_;
    bytes_ += out[count]->wire_length;
  }
  return ReceiveStatus::kMore;
}

bool PacedSource::is_due(const Packet& packet, std::int64_t clock_ns) {
  if (!start_) start_ = Start{packet.time_ns, clock_ns};
  const auto passed = static_cast<double>(clock_ns - start_->clock_ns);
  return static_cast<double>(packet.time_ns - start_->packet_ns) <= passed * speed_;
}

SourceStatistics PacedSource::statistics() const {
  SourceStatistics statistics = input_->statistics();
  // Not what the input counted: some of that waits here.
  statistics.received = received_;
  statistics.bytes = bytes_;
  return statistics;
}

std::vector<InputStatistics> PacedSource::inputs() const {
  std::vector<InputStatistics> inputs = input_->inputs();
  for (std::size_t i = begin_; i < end_; ++i) {
    InputStatistics& input = inputs[std::min<std::size_t>(packets_[i]->source, inputs.size() - 1)];
    --input.packets;
    input.bytes -= packets_[i]->wire_length;
  }
  if (begin_ != end_) {
    for (InputStatistics& input : inputs) input.error.reset();
  }
  return inputs;
}

// Told only when all packets before it have been released.
std::optional<Error> PacedSource::error() const { return begin_ == end_ ? input_->error() : std::nullopt; }

std::int64_t monotonic_clock_ns() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace evenkeel::source
