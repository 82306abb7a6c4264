#include "observe/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "observe/text.h"

namespace evenkeel::observe {

namespace {

// Whole seconds, rounded up: a line that changes five times a second is easier to read without decimals.
std::string time_left_text(double seconds) {
  return seconds <= 59 ? fmt::format("{:.0f} s", std::ceil(seconds)) : duration_text(seconds);
}

}  // namespace

std::string progress_text(const ProgressState& state, double packets_per_second) {
  std::string text = fmt::format("{} packets", count_text(state.packets));
  const double done = std::clamp(state.done_fraction.value_or(0), 0.0, 1.0);
  if (state.done_fraction) text += fmt::format("  {:.0f} %", 100 * done);
  text += "  " + rate_text(packets_per_second, "pps");
  // Below a hundredth the estimate would jump about.
  if (done >= 0.01) text += "  " + time_left_text(state.elapsed_seconds * (1 - done) / done) + " left";
  return text;
}

Progress::Progress() {
  if (isatty(STDERR_FILENO) != 1) return;
  write_ = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
}

void Progress::update(const ProgressState& state) {
  if (!write_ || state.elapsed_seconds < next_seconds_) return;
  const double seconds = state.elapsed_seconds - last_.elapsed_seconds;
  const double rate = seconds > 0 ? static_cast<double>(state.packets - last_.packets) / seconds : 0;
  write_("\r" + progress_text(state, rate) + "\x1b[K");
  shown_ = true;
  last_ = state;
  next_seconds_ = state.elapsed_seconds + kPeriodSeconds;
}

void Progress::clear() {
  if (shown_) write_("\r\x1b[K");
  shown_ = false;
}

}  // namespace evenkeel::observe
