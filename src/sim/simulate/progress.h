// How far a simulation has come, for who waits for it. Nothing that is reported depends on it.
//
// Threads: [any] thread that simulates calls note_packets() and note_ended(); the callback is called by one
// of them at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "sim/simulate/feed.h"
#include "sim/simulate/outcome.h"

namespace evenkeel::sim {

struct ProgressNews {
  const Outcome* ended = nullptr;      // of a machine that has just been simulated
  std::uint64_t packets = 0;           // simulated so far
  std::uint64_t packets_expected = 0;  // 0: not known, as in a search
  std::size_t machines = 0;            // simulated so far
  std::size_t machines_expected = 0;   // 0: not known
};

using Progress = std::function<void(const ProgressNews&)>;

class ProgressCounter {
 public:
  // `progress` may be empty: then nothing is counted.
  ProgressCounter(Progress progress, std::uint64_t packets_expected, std::size_t machines_expected)
      : progress_(std::move(progress)),
        news_{.packets_expected = packets_expected, .machines_expected = machines_expected} {}

  // The same packets, counted as they come.
  std::unique_ptr<Feed> watched(std::unique_ptr<Feed> feed);

  void note_packets(std::uint64_t count);
  void note_ended(const Outcome& outcome);

 private:
  const Progress progress_;
  std::mutex mutex_;
  ProgressNews news_;
};

}  // namespace evenkeel::sim
