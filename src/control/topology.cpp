#include "control/topology.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "base/parse_text.h"

namespace evenkeel::control {
namespace {

// 0 where there is no such number.
double number_in(const std::string& path) {
  std::ifstream file(path);
  double value = 0;
  return file >> value && value > 0 ? value : 0;
}

std::vector<double> speeds(std::span<const std::uint32_t> cpus, const std::string& folder, const char* name) {
  std::vector<double> speed;
  for (const std::uint32_t cpu : cpus)
    speed.push_back(number_in(fmt::format("{}/cpu{}/{}", folder, cpu, name)));
  const double fastest = speed.empty() ? 0 : *std::max_element(speed.begin(), speed.end());
  // One that does not tell makes the others' numbers worthless.
  if (fastest == 0 || std::find(speed.begin(), speed.end(), 0.0) != speed.end()) return {};
  for (double& one : speed) one /= fastest;
  return speed;
}

// How many of `cpus` run on the core of `cpu`, itself included.
std::size_t sharing(std::span<const std::uint32_t> cpus, std::uint32_t cpu, const std::string& folder) {
  std::ifstream file(fmt::format("{}/cpu{}/topology/thread_siblings_list", folder, cpu));
  std::string list;
  if (!(file >> list)) return 1;
  const auto siblings = base::parse_cpu_list(list);
  if (!siblings) return 1;
  const auto count = std::count_if(cpus.begin(), cpus.end(), [&](std::uint32_t other) {
    return std::find(siblings->begin(), siblings->end(), other) != siblings->end();
  });
  return std::max<std::size_t>(1, static_cast<std::size_t>(count));
}

}  // namespace

std::vector<double> capacities_of(std::span<const std::uint32_t> cpus, const std::string& cpu_folder) {
  std::vector<double> capacity = speeds(cpus, cpu_folder, "cpu_capacity");
  if (capacity.empty()) capacity = speeds(cpus, cpu_folder, "cpufreq/cpuinfo_max_freq");
  if (capacity.empty()) capacity.assign(cpus.size(), 1);
  for (std::size_t i = 0; i < cpus.size(); ++i) {
    const std::size_t share = sharing(cpus, cpus[i], cpu_folder);
    if (share > 1) capacity[i] *= kSharedCoreGain / static_cast<double>(share);
  }
  const double fastest = capacity.empty() ? 1 : *std::max_element(capacity.begin(), capacity.end());
  for (double& one : capacity) one /= fastest;
  return capacity;
}

}  // namespace evenkeel::control
