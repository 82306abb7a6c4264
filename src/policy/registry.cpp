#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "evenkeel/policy.h"
#include "policy/index.h"
#include "policy/lpt.h"
#include "policy/proportional.h"
#include "policy/rsspp.h"
#include "policy/static.h"

namespace evenkeel {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"index", "static", "proportional", "rsspp", "lpt"};

}  // namespace

PolicyOptions PolicyOptions::quality() {
  PolicyOptions options;
  options.trigger = 0.001;
  options.hysteresis = 0.0005;
  options.shade = 0;
  options.swap_gain_min = 0;
  options.swap_partners_max = kProcessorsMax;
  return options;
}

std::span<const std::string_view> policy_names() { return kNames; }

Result<std::unique_ptr<Policy>> make_policy(std::string_view name, const PolicyOptions& options) {
  if (auto result = policy::check_options(options); !result) return result.error();
  std::unique_ptr<Policy> made;
  if (name == "index") made = std::make_unique<policy::IndexPolicy>(options);
  if (name == "static") made = std::make_unique<policy::StaticPolicy>();
  if (name == "proportional") made = std::make_unique<policy::ProportionalPolicy>(options);
  if (name == "rsspp") made = std::make_unique<policy::RssppPolicy>(options);
  if (name == "lpt") made = std::make_unique<policy::LptPolicy>(options);
  if (made == nullptr)
    return usage_error(fmt::format("there is no policy '{}': one of {}", name, fmt::join(kNames, ", ")));
  return made;
}

}  // namespace evenkeel
