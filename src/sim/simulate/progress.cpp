#include "sim/simulate/progress.h"

#include <utility>

namespace evenkeel::sim {

namespace {

class WatchedFeed final : public Feed {
 public:
  WatchedFeed(std::unique_ptr<Feed> feed, ProgressCounter& counter)
      : feed_(std::move(feed)), counter_(counter) {}

  bool next(Arrival& arrival) override {
    if (++count_ % kToldEach == 0) counter_.note_packets(kToldEach);
    return feed_->next(arrival);
  }
  std::uint32_t write(std::span<std::uint8_t> to) override { return feed_->write(to); }
  std::size_t bytes_max() const override { return feed_->bytes_max(); }
  LinkType link() const override { return feed_->link(); }
  std::optional<Error> error() const override { return feed_->error(); }

 private:
  // Some ten milliseconds of this computer's time: often enough to be seen, seldom enough to cost nothing.
  static constexpr std::uint64_t kToldEach = 32'768;

  const std::unique_ptr<Feed> feed_;
  ProgressCounter& counter_;
  std::uint64_t count_ = 0;
};

}  // namespace

std::unique_ptr<Feed> ProgressCounter::watched(std::unique_ptr<Feed> feed) {
  if (!progress_) return feed;
  return std::make_unique<WatchedFeed>(std::move(feed), *this);
}

void ProgressCounter::note_packets(std::uint64_t count) {
  const std::lock_guard lock(mutex_);
  news_.packets += count;
  progress_(news_);
}

void ProgressCounter::note_ended(const Outcome& outcome) {
  if (!progress_) return;
  const std::lock_guard lock(mutex_);
  ++news_.machines;
  ProgressNews news = news_;
  news.ended = &outcome;
  progress_(news);
}

}  // namespace evenkeel::sim
