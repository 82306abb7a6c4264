#include "control/loop.h"

#include <string>

namespace evenkeel::control {

Result<void> Loop::tick(const Moment& moment) {
  Round round = measure(moment);
  const Snapshot estimate = estimator_.observe(round.snapshot);
  Result<void> done;
  if (actuator_.ready()) {
    done = rebalance(estimate, round);
  } else {
    ++counts_.skipped;
  }
  observer_(round);
  return done;
}

Round Loop::measure(const Moment& moment) {
  ++counts_.rounds;
  meter_.measure(moment, actuator_.owners());
  return {.time_ns = moment.time_ns, .snapshot = meter_.snapshot(actuator_.owners()), .moves = {}};
}

Result<void> Loop::rebalance(const Snapshot& estimate, Round& round) {
  if (auto planned = policy_.plan(estimate, plan_); !planned)
    return runtime_error("policy " + std::string(policy_.name()) + ": " + planned.error().message);
  if (plan_.moves.empty()) return {};
  if (auto applied = actuator_.apply(plan_.moves); !applied) return applied;
  round.moves = plan_.moves;
  ++counts_.rebalances;
  counts_.moves += plan_.moves.size();
  return {};
}

}  // namespace evenkeel::control
