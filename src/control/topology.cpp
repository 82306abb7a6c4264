#include "control/topology.h"

#include <hwloc.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <tuple>

namespace evenkeel::control {
namespace {

using Topology = std::unique_ptr<hwloc_topology, decltype(&hwloc_topology_destroy)>;

Topology load_topology() {
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0) return {nullptr, hwloc_topology_destroy};
  Topology owned(topology, hwloc_topology_destroy);
  // CPUs that this process may not use are left in: whom they share a core with does not change.
  hwloc_topology_set_flags(topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  if (hwloc_topology_load(topology) != 0) owned.reset();
  return owned;
}

// Of the kind of CPUs that this one belongs to; 0 where it is not told.
double speed_of(hwloc_topology_t topology, hwloc_const_cpuset_t cpuset) {
  const int kind = hwloc_cpukinds_get_by_cpuset(topology, cpuset, 0);
  unsigned count = 0;
  hwloc_info_s* infos = nullptr;
  if (kind < 0 || hwloc_cpukinds_get_info(topology, static_cast<unsigned>(kind), nullptr, nullptr, &count,
                                          &infos, 0) != 0)
    return 0;
  for (const char* name : {"LinuxCapacity", "FrequencyMaxMHz"})
    for (unsigned k = 0; k < count; ++k)
      if (infos[k].name == std::string_view(name)) return std::max(0.0, std::atof(infos[k].value));
  return 0;
}

const CpuPlace* find(std::span<const CpuPlace> places, std::uint32_t cpu) {
  const auto found =
      std::find_if(places.begin(), places.end(), [&](const CpuPlace& place) { return place.cpu == cpu; });
  return found == places.end() ? nullptr : &*found;
}

std::vector<CpuPlace> places_of(std::span<const std::uint32_t> cpus, std::span<const CpuPlace> all) {
  std::vector<CpuPlace> places;
  for (const std::uint32_t cpu : cpus) {
    const CpuPlace* place = find(all, cpu);
    if (place == nullptr) return {};
    places.push_back(*place);
  }
  return places;
}

std::uint32_t home_of(std::span<const CpuPlace> places) {
  std::map<std::uint32_t, std::size_t> cpus;
  for (const CpuPlace& place : places) ++cpus[place.node];
  return std::max_element(cpus.begin(), cpus.end(), [](auto a, auto b) { return a.second < b.second; })
      ->first;
}

}  // namespace

std::vector<CpuPlace> read_topology() {
  std::vector<CpuPlace> places;
  const Topology topology = load_topology();
  if (!topology) return places;
  hwloc_obj_t unit = nullptr;
  while ((unit = hwloc_get_next_obj_by_type(topology.get(), HWLOC_OBJ_PU, unit)) != nullptr) {
    const hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology.get(), HWLOC_OBJ_CORE, unit);
    const int node = unit->nodeset != nullptr ? hwloc_bitmap_first(unit->nodeset) : 0;
    places.push_back({.cpu = unit->os_index,
                      .core = core != nullptr ? core->logical_index : unit->logical_index,
                      .node = static_cast<std::uint32_t>(std::max(0, node)),
                      .speed = speed_of(topology.get(), unit->cpuset)});
  }
  std::sort(places.begin(), places.end(), [](const auto& a, const auto& b) { return a.cpu < b.cpu; });
  return places;
}

std::vector<double> capacities_of(std::span<const std::uint32_t> cpus, std::span<const CpuPlace> all) {
  std::vector<double> capacity(cpus.size(), 1);
  const std::vector<CpuPlace> places = places_of(cpus, all);
  if (places.empty()) return capacity;
  const bool told = std::all_of(places.begin(), places.end(), [](const auto& p) { return p.speed > 0; });
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (told) capacity[i] = places[i].speed;
    const auto sharing = std::count_if(places.begin(), places.end(),
                                       [&](const CpuPlace& other) { return other.core == places[i].core; });
    if (sharing > 1) capacity[i] *= kSharedCoreGain / static_cast<double>(sharing);
  }
  const double fastest = *std::max_element(capacity.begin(), capacity.end());
  for (double& one : capacity) one /= fastest;
  return capacity;
}

Placement place(std::uint32_t workers, std::span<const std::uint32_t> allowed,
                std::span<const CpuPlace> all) {
  Placement placement;
  if (workers + 1 > allowed.size()) return placement;
  std::vector<CpuPlace> places = places_of(allowed, all);
  if (places.empty()) {
    placement.workers.assign(allowed.begin(), allowed.begin() + workers);
    return placement;
  }
  const std::uint32_t home = home_of(places);
  std::map<std::uint32_t, std::uint32_t> seen_of_core;
  std::vector<std::pair<std::tuple<std::uint32_t, bool, double, std::uint32_t>, CpuPlace>> order;
  for (const CpuPlace& p : places)
    order.emplace_back(std::tuple(seen_of_core[p.core]++, p.node != home, -p.speed, p.cpu), p);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  // The first is the dispatcher's.
  for (std::size_t i = 0; i < order.size(); ++i) {
    const CpuPlace& p = order[i].second;
    if (i >= 1 && i <= workers) {
      placement.workers.push_back(p.cpu);
    } else if (p.node == home) {
      placement.dispatchers.push_back(p.cpu);
    }
  }
  return placement;
}

}  // namespace evenkeel::control
