// Watches whether packets still arrive after steering changed their way, and says so where they do not.
//
// Thread: [control]. Pure: fed with counts, it has no clock of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace evenkeel::control {

// Counts since some start; only differences matter.
struct Vitals {
  std::uint64_t received = 0;         // by the interface
  std::uint64_t steered = 0;          // given to a processor
  std::uint64_t arrived = 0;          // seen there
  std::uint64_t checksum_errors = 0;  // of the network namespace
};

class SteerWatchdog {
 public:
  // packets_per_second_before: what the interface received before anything was changed.
  explicit SteerWatchdog(double packets_per_second_before) : rate_before_(packets_per_second_before) {}

  // Why steering must be undone, or nothing. To be called with growing counts, `seconds` after the last call.
  std::optional<std::string> check(const Vitals& vitals, double seconds);

 private:
  double rate_before_;
  std::optional<Vitals> last_;
  double silent_seconds_ = 0;  // nothing received, though there was before
  double stuck_seconds_ = 0;   // packets steered, none arrived
  std::uint64_t bad_ = 0;      // checksum errors in the present window of packets ...
  std::uint64_t judged_ = 0;   // ... of so many
};

}  // namespace evenkeel::control
