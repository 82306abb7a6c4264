// Several inputs as one stream, in the order of packet times.
//
// Stable: of packets with the same time that of the input named first comes first, and each input stays in
// its own order, also where its times run back. Packet::sequence becomes the position in the merged stream.
// An input that ends by an error does not end the others: the error is told at the end of all.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "evenkeel/source.h"

namespace evenkeel::source {

class MergedSource final : public Source {
 public:
  // `inputs`: at least one. Cost: inputs are few or one after the other in time; the next of n is found in n
  // steps, once for each run of packets of one input.
  explicit MergedSource(std::vector<std::unique_ptr<Source>> inputs);

  // kIdle as long as an input that has not ended has no packet to compare.
  ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) override;
  bool can_wait() const override;
  SourceStatistics statistics() const override;
  std::optional<Error> error() const override;
  std::string name() const override;
  std::vector<InputStatistics> inputs() const override;

 private:
  struct Input {
    std::unique_ptr<Source> source;
    std::array<Packet*, 64> packets{};  // received, from begin to end, yet to be merged
    std::size_t begin = 0;
    std::size_t end = 0;
    bool ended = false;
    std::uint64_t merged = 0;  // packets handed on
    std::uint64_t merged_bytes = 0;

    bool waiting() const { return begin == end && !ended; }
    Packet* head() const { return begin < end ? packets[begin] : nullptr; }
  };

  // The input whose packet is next, and the last time up to which it remains so.
  struct Next {
    Input* input = nullptr;
    std::int64_t until_ns = 0;
  };

  static void refill(Input& input);
  bool all_have_heads();
  Next next();
  std::size_t take_run(const Next& next, std::span<Packet*> out);

  std::vector<Input> inputs_;
  std::uint64_t received_ = 0;  // packets handed on, of all inputs
};

}  // namespace evenkeel::source
