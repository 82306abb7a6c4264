// What `evenkeel plan` says: what would a policy do with these loads? No root, no hardware, no traffic.
#pragma once

#include <string>

#include "cli/plan_options.h"
#include "evenkeel/result.h"

namespace evenkeel::cli {

// Reads the files and plans: what is to be printed, as text or as JSON.
Result<std::string> plan(const PlanArguments& arguments);

}  // namespace evenkeel::cli
