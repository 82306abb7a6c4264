#include "policy/static.h"

namespace evenkeel::policy {

Result<void> StaticPolicy::plan(const Snapshot& snapshot, Plan& plan) {
  if (auto result = measured_.read(snapshot); !result) return result;
  measured_.set_targets(snapshot);
  builder_.begin(snapshot);
  loads_.clear();
  for (const ProcessorLoad& processor : measured_.processors) loads_.push_back(processor.load);
  evacuation_.run(snapshot, measured_, loads_, builder_);
  builder_.finish(snapshot, measured_, plan);
  return {};
}

}  // namespace evenkeel::policy
