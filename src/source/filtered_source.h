// A source's packets that match a filter expression. The others are given back and counted nowhere.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "evenkeel/source.h"
#include "source/packet_filter.h"

namespace evenkeel::source {

class FilteredSource final : public Source {
 public:
  // An expression that libpcap does not take for Ethernet is a usage error. It is compiled again for each
  // other link type that occurs; where that fails, the source ends by an error.
  static Result<std::unique_ptr<Source>> make(std::unique_ptr<Source> input, const std::string& expression);

  ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) override;
  bool can_wait() const override { return input_->can_wait(); }
  SourceStatistics statistics() const override;
  std::optional<Error> error() const override { return error_ ? error_ : input_->error(); }
  std::string name() const override { return input_->name(); }
  std::vector<InputStatistics> inputs() const override;

 private:
  FilteredSource(std::unique_ptr<Source> input, std::string expression)
      : input_(std::move(input)), expression_(std::move(expression)) {}
  const PacketFilter* filter_for(LinkType link);
  std::size_t keep_matching(std::span<Packet*> packets);

  std::unique_ptr<Source> input_;
  std::string expression_;
  std::array<std::optional<PacketFilter>, 8> filters_;  // by link type
  std::optional<Error> error_;
  std::uint64_t given_back_ = 0;
  std::uint64_t given_back_bytes_ = 0;
};

}  // namespace evenkeel::source
