#include "runtime/run_inputs.h"

#include <algorithm>
#include <utility>

#include "runtime/run.h"
#include "source/make_source.h"

namespace evenkeel::runtime {

namespace {

// Live interfaces are received by the workers themselves, captures by a dispatcher: one or the other.
Result<RunInputs> open_live(const InputOptions& inputs, const RunOptions& run) {
  if (!std::all_of(inputs.specs.begin(), inputs.specs.end(), source::is_live_spec))
    return usage_error("live interfaces and other inputs do not go together in one run");
  if (run.speed) return usage_error("speed is for captures: a live interface comes at its own pace");
  const bool symmetric = run.hash_key.empty() || run.hash_key == "symmetric";
  if (run.hash != "toeplitz" || !symmetric) {
    return usage_error(
        "live interfaces are steered by the symmetric toeplitz hash: leave the hash and its key away");
  }
  auto live = source::open_live_inputs(inputs.specs, {.workers = run.workers,
                                                      .buckets = run.buckets,
                                                      .inner_tunnel = run.inner_tunnel,
                                                      .snap_length = inputs.snap_length,
                                                      .filter = inputs.filter,
                                                      .xdp_use = inputs.xdp_use,
                                                      .tell = inputs.tell});
  if (!live) return live.error();
  RunInputs opened;
  opened.live = std::move(*live);
  return opened;
}

}  // namespace

Result<RunInputs> open_inputs(const InputOptions& inputs, const RunOptions& run) {
  if (std::any_of(inputs.specs.begin(), inputs.specs.end(), source::is_live_spec))
    return open_live(inputs, run);
  source::SourceOptions options;
  options.seed = run.seed;
  options.duration_ns = inputs.duration_ns;
  options.speed = run.speed;
  options.filter = inputs.filter;
  auto source = source::make_source(inputs.specs, options);
  if (!source) return source.error();
  RunInputs opened;
  opened.source = std::move(*source);
  return opened;
}

}  // namespace evenkeel::runtime
