#include "runtime/balance_recorder.h"

#include <algorithm>
#include <utility>

namespace evenkeel::runtime {

namespace {
constexpr double kSecondsPerNanosecond = 1e-9;
}

void BalanceRecorder::add(const control::Round& round) {
  const double end_seconds = static_cast<double>(round.time_ns) * kSecondsPerNanosecond;
  const double length = end_seconds - last_seconds_;
  history_.add(observe::measure({.start_seconds = std::exchange(last_seconds_, end_seconds),
                                 .end_seconds = end_seconds,
                                 .busy_fraction = round.snapshot.usage,
                                 .bucket_loads = round.snapshot.bucket_load,
                                 .owners = round.snapshot.owner,
                                 .initial_owners = initial_owners_,
                                 .moves = round.moves.size(),
                                 .capacity = round.snapshot.capacity}));
  for (std::size_t j = 0; j < work_seconds_.size(); ++j)
    work_seconds_[j] += round.snapshot.bucket_load[j] * length;
}

void BalanceRecorder::report(observe::BalanceReport& balance, double elapsed_seconds) const {
  balance.max_over_mean = history_.max_over_mean();
  balance.static_max_over_mean = history_.static_max_over_mean();
  balance.history = history_;
  balance.initial_owners = initial_owners_;
  balance.bucket_loads = work_seconds_;
  for (double& load : balance.bucket_loads) load /= std::max(elapsed_seconds, kSecondsPerNanosecond);
}

}  // namespace evenkeel::runtime
