// A user's own packets as a feed: captures and the built-in generator, as `--input` names them, at the times
// that were recorded, or stretched.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "evenkeel/source.h"
#include "sim/simulate/feed.h"

namespace evenkeel::sim {

class CaptureFeed final : public Feed {
 public:
  // `stretch`: virtual time between two packets over the recorded one.
  static Result<std::unique_ptr<CaptureFeed>> open(const std::vector<std::string>& specs, double stretch,
                                                   std::uint64_t seed);

  bool next(Arrival& arrival) override;
  std::uint32_t write(std::span<std::uint8_t> to) override;
  // Headers with tunnels and IPv6 extensions.
  std::size_t bytes_max() const override { return 256; }
  LinkType link() const override { return link_; }
  std::optional<Error> error() const override { return source_->error(); }

 private:
  CaptureFeed(std::unique_ptr<Source> source, double stretch)
      : source_(std::move(source)), stretch_(stretch) {}

  bool receive();
  void release_last();
  std::uint32_t number_of_connection(Packet& packet, bool& first);

  std::unique_ptr<Source> source_;
  const double stretch_;
  std::array<Packet*, 32> burst_{};
  std::size_t burst_size_ = 0;
  std::size_t burst_next_ = 0;  // the last given is before it
  bool ended_ = false;
  bool started_ = false;
  std::int64_t first_ns_ = 0, last_ns_ = 0;  // recorded; last_ns_ never runs back
  std::uint64_t sequence_ = 0;
  LinkType link_ = LinkType::kEthernet;
  std::unordered_map<std::uint64_t, std::uint32_t> numbers_;  // of connections, by hash of their key
};

// What is known of a capture before it is simulated.
struct CaptureSummary {
  std::uint64_t packets = 0;
  double seconds = 0;  // from the first to the last
  double mean_wire_length = 0;
};

// Reads all of it.
Result<CaptureSummary> summarize_capture(const std::vector<std::string>& specs, std::uint64_t seed);

}  // namespace evenkeel::sim
