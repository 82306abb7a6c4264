// Watches the control loop: fills the balance part of a report.
//
// Thread: one at a time.
#pragma once

#include <span>
#include <vector>

#include "control/loop.h"
#include "observe/run_report.h"

namespace evenkeel::runtime {

class BalanceRecorder {
 public:
  // owners: at the start, by bucket.
  explicit BalanceRecorder(std::span<const ProcessorId> owners)
      : initial_owners_(owners.begin(), owners.end()), work_seconds_(owners.size()) {}

  void add(const control::Round& round);
  void report(observe::BalanceReport& balance, double elapsed_seconds) const;

 private:
  std::vector<ProcessorId> initial_owners_;
  std::vector<double> work_seconds_;
  observe::BalanceHistory history_;
  double last_seconds_ = 0;
};

}  // namespace evenkeel::runtime
