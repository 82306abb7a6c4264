// Whether steering has made an interface level, judged round by round: for a run that ends then.
//
// Thread: [control]. Pure: fed with rounds, it has no clock of its own.
#pragma once

#include <string>

#include "control/steer_loop.h"

namespace evenkeel::control {

class Levelness {
 public:
  void note(const SteerRound& round);
  // For a second now, the busiest processor of each round was near the best that its buckets allow.
  bool is_level() const;
  double seconds() const { return seconds_; }
  // What stands against it, by the last round.
  std::string why_not() const { return why_not_; }

 private:
  double seconds_ = 0;
  double level_since_ = 0;  // of `seconds_`
  std::string why_not_ = "nothing was measured yet";
};

}  // namespace evenkeel::control
