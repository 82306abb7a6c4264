// The progress line of long work on a terminal: packets, part done, rate and time left, on one line that is
// rewritten in place. Where nobody watches (stderr is not a terminal) nothing is written at all.
//
// Thread: [control]. No clock of its own: it goes by the elapsed time it is given.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace evenkeel::observe {

// How far the work is. `done_fraction` is of the input's bytes, or of the time asked for, where either is
// known.
struct ProgressState {
  double elapsed_seconds = 0;
  std::uint64_t packets = 0;
  std::optional<double> done_fraction;
};

// "12,345,678 packets  43 %  5.21 Mpps  6 s left". The rate is `packets_per_second`.
std::string progress_text(const ProgressState& state, double packets_per_second);

class Progress {
 public:
  using Write = std::function<void(std::string_view)>;

  static constexpr double kFirstAfterSeconds = 0.5;  // short runs show none
  static constexpr double kPeriodSeconds = 0.2;

  // Writes to stderr if that is a terminal, else nowhere.
  Progress();
  explicit Progress(Write write) : write_(std::move(write)) {}

  // Call as often as is convenient: what comes too soon costs two comparisons.
  void update(const ProgressState& state);

  // Takes the line away. Call before anything else is written to the terminal.
  void clear();

 private:
  Write write_;  // empty: nobody watches
  double next_seconds_ = kFirstAfterSeconds;
  ProgressState last_;
  bool shown_ = false;
};

}  // namespace evenkeel::observe
