#include "control/steer_watchdog.h"

namespace evenkeel::control {
namespace {

constexpr double kRateWorthWatching = 100;  // packets a second; below, a pause is nothing strange
constexpr double kSilenceMax_seconds = 3;
constexpr double kStuckMax_seconds = 1;
constexpr std::uint64_t kJudgedMin = 200;  // packets, before their checksums are judged
constexpr double kBadShareMax = 0.2;

}  // namespace

std::optional<std::string> SteerWatchdog::check(const Vitals& vitals, double seconds) {
  if (!last_) {
    last_ = vitals;
    return std::nullopt;
  }
  const std::uint64_t received = vitals.received - last_->received;
  const std::uint64_t steered = vitals.steered - last_->steered;
  const std::uint64_t arrived = vitals.arrived - last_->arrived;
  bad_ += vitals.checksum_errors - last_->checksum_errors;
  judged_ += steered;
  last_ = vitals;

  silent_seconds_ = received == 0 && rate_before_ >= kRateWorthWatching ? silent_seconds_ + seconds : 0;
  if (received > 0) rate_before_ = 0;  // they come: a later pause is the sender's
  stuck_seconds_ = steered > 0 && arrived == 0 ? stuck_seconds_ + seconds : 0;
  if (silent_seconds_ >= kSilenceMax_seconds) return "packets stopped arriving at the interface";
  if (stuck_seconds_ >= kStuckMax_seconds) return "packets no longer reach the CPUs that they are sent to";
  if (judged_ < kJudgedMin) return std::nullopt;
  const bool bad = static_cast<double>(bad_) > kBadShareMax * static_cast<double>(judged_);
  bad_ = judged_ = 0;
  if (!bad) return std::nullopt;
  return "most packets now have wrong checksums: their sender leaves checksums to hardware that is not there "
         "(a veth peer, a virtual machine): `ethtool -K SENDER tx off`, or --xdp-mode generic";
}

}  // namespace evenkeel::control
