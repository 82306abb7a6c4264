// Two bounds on a source, both by packet time: when its packets come, and when they end.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "evenkeel/source.h"

namespace evenkeel::source {

// Ends before the first packet that is `duration_ns` or more behind the first one. The input's later packets
// are given back to it.
class LimitedSource final : public Source {
 public:
  LimitedSource(std::unique_ptr<Source> input, std::int64_t duration_ns);

  ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) override;
  bool can_wait() const override { return input_->can_wait(); }
  SourceStatistics statistics() const override;
  // What happens behind the end that was set is of no interest.
  std::optional<Error> error() const override { return ended_ ? std::nullopt : input_->error(); }
  std::string name() const override { return input_->name(); }
  std::vector<InputStatistics> inputs() const override;

 private:
  std::unique_ptr<Source> input_;
  std::int64_t duration_ns_;
  std::optional<std::int64_t> start_ns_;
  bool ended_ = false;
  struct Count {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
  };
  std::vector<Count> given_back_;  // by input
};

// Releases packets in real time, `speed` times as fast as they came: the first one at once, each other one
// when the clock has moved on by the time between the two, divided by `speed`. Never reorders: a packet whose
// time runs back comes at once, and one that comes late holds up none.
class PacedSource final : public Source {
 public:
  // A clock that never runs back, in nanoseconds. Called once for each receive().
  using Clock = std::function<std::int64_t()>;

  // `speed` above 0.
  PacedSource(std::unique_ptr<Source> input, double speed, Clock clock);

  ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) override;
  bool can_wait() const override { return input_->can_wait(); }
  SourceStatistics statistics() const override;
  std::optional<Error> error() const override;
  std::string name() const override { return input_->name(); }
  std::vector<InputStatistics> inputs() const override;

 private:
  // The two clocks at the first packet.
  struct Start {
    std::int64_t packet_ns;
    std::int64_t clock_ns;
  };

  bool is_due(const Packet& packet, std::int64_t clock_ns);

  std::unique_ptr<Source> input_;
  double speed_;
  Clock clock_;
  std::optional<Start> start_;
  std::array<Packet*, 64> packets_{};  // received, from begin_ to end_, yet to become due
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  ReceiveStatus status_ = ReceiveStatus::kMore;  // of the input
  std::uint64_t received_ = 0;
  std::uint64_t bytes_ = 0;
};

// The machine's monotonic clock.
std::int64_t monotonic_clock_ns();

}  // namespace evenkeel::source
