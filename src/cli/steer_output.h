// What `evenkeel steer` prints: a line a second and a report for people, or a JSON object a line for
// programs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "actuator/observer.h"
#include "actuator/steering.h"
#include "cli/steer_options.h"
#include "cli/steer_preflight.h"
#include "control/steer_loop.h"

namespace evenkeel::cli {

// How a session ended.
struct SteerEnd {
  const actuator::SteeringTotals& totals;
  double seconds = 0;  // of steering
  std::uint64_t rounds = 0;
  bool restored = false;      // the interface is as it was found
  std::optional<bool> level;  // of --oneshot
};

class SteerOutput {
 public:
  explicit SteerOutput(bool json) : json_(json) {}

  void begin(const actuator::Steering& steering, const SteerGround& ground);
  void round(const actuator::Steering& steering, const control::SteerRound& round);
  void end(const SteerEnd& end);

 private:
  void print_end(const SteerEnd& end) const;
  double mean_max_over_mean() const { return sum_max_over_mean_ / static_cast<double>(loaded_rounds_); }
  void print_line(const actuator::Steering& steering, const control::SteerRound& round);

  bool json_;
  double printed_seconds_ = 0;
  std::uint64_t packets_ = 0;  // since the last line
  std::uint64_t drops_ = 0;
  std::size_t moves_ = 0;
  double first_max_over_mean_ = 0;  // of the first round with load
  double sum_max_over_mean_ = 0;
  std::uint64_t loaded_rounds_ = 0;
};

// What steering would do with the traffic that was looked at.
struct DryRun {
  explicit DryRun(const SteerOptions& given) : options(given) {}

  const SteerOptions& options;
  std::string actuator;
  std::string processor;               // what buckets are dealt to: "cpu" or "queue" ...
  std::vector<std::uint32_t> numbers;  // ... and which
  std::vector<ProcessorId> owner;      // by bucket, at the start
  double seconds = 0;
  actuator::Observed observed;
  Plan plan;
  std::vector<std::string> notes;      // of the survey, for people
  std::optional<std::string> refused;  // why steering would not start
};
void print_dry_run(const DryRun& result);

}  // namespace evenkeel::cli
