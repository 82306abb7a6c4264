#include "control/topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace evenkeel::control {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// hwloc makes up the machine that this variable describes.
class Synthetic : public testing::Test {
 protected:
  void TearDown() override { unsetenv("HWLOC_SYNTHETIC"); }
};

TEST_F(Synthetic, HasItsNodesCoresAndHardwareThreads) {
  setenv("HWLOC_SYNTHETIC", "numa:2 core:2 pu:2", 1);
  const auto places = read_topology();
  ASSERT_EQ(places.size(), 8u);
  for (std::uint32_t i = 0; i < 8; ++i) {
    EXPECT_EQ(places[i].cpu, i);
    EXPECT_EQ(places[i].core, i / 2);
    EXPECT_EQ(places[i].node, i / 4);
    EXPECT_EQ(places[i].speed, 0);
  }
}

TEST(Topology, OfThisMachineHasTheCpuThatThisRunsOn) { EXPECT_FALSE(read_topology().empty()); }

TEST(Capacities, AreEqualWhereNothingIsKnown) {
  const std::vector<std::uint32_t> cpus = {0, 1, 5};
  EXPECT_THAT(capacities_of(cpus, {}), ElementsAre(1, 1, 1));
}

TEST(Capacities, OfSlowCoresAreLess) {
  const std::vector<CpuPlace> places = {
      {.cpu = 0, .core = 0, .speed = 1024}, {.cpu = 1, .core = 1, .speed = 512}, {.cpu = 2, .core = 2}};
  const auto capacities = [&](std::vector<std::uint32_t> cpus) { return capacities_of(cpus, places); };
  EXPECT_THAT(capacities({0, 1}), ElementsAre(1, 0.5));
  EXPECT_THAT(capacities({1}), ElementsAre(1)) << "relative to the fastest of those in use";
  EXPECT_THAT(capacities({0, 1, 2}), ElementsAre(1, 1, 1)) << "one that does not tell";
}

TEST(Capacities, OfProcessorsThatShareACoreAreAPartOfIt) {
  const std::vector<CpuPlace> places = {
      {.cpu = 0, .core = 0}, {.cpu = 1, .core = 0}, {.cpu = 2, .core = 1}, {.cpu = 3, .core = 1}};
  const auto capacities = [&](std::vector<std::uint32_t> cpus) { return capacities_of(cpus, places); };
  EXPECT_THAT(capacities({0, 1, 2}), ElementsAre(kSharedCoreGain / 2, kSharedCoreGain / 2, 1));
  EXPECT_THAT(capacities({0, 2}), ElementsAre(1, 1)) << "an idle sibling takes nothing";
}

// Node 0 has the even CPUs, node 1 the odd ones; CPU i and i + 4 are hardware threads of one core.
std::vector<CpuPlace> two_nodes() {
  std::vector<CpuPlace> places;
  for (std::uint32_t i = 0; i < 8; ++i) places.push_back({.cpu = i, .core = i % 4, .node = i % 2});
  return places;
}

TEST(Place, FillsTheHomeNodeFirstAndWholeCoresBeforeHalves) {
  const std::vector<std::uint32_t> all = {0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_THAT(place(1, all, two_nodes()).workers, ElementsAre(2));
  EXPECT_THAT(place(3, all, two_nodes()).workers, ElementsAre(2, 1, 3));
  EXPECT_THAT(place(5, all, two_nodes()).workers, ElementsAre(2, 1, 3, 4, 6));
}

TEST(Place, HomeIsTheNodeWithMostCpusAllowed) {
  const std::vector<std::uint32_t> allowed = {0, 1, 3, 5};
  EXPECT_THAT(place(1, allowed, two_nodes()).workers, ElementsAre(3));
}

TEST(Place, LeavesTheDispatcherACpuOfTheHomeNode) {
  const std::vector<std::uint32_t> all = {0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_THAT(place(3, all, two_nodes()).dispatchers, ElementsAre(0, 4, 6));
  EXPECT_THAT(place(7, all, two_nodes()).dispatchers, ElementsAre(0));
}

TEST(Place, PutsWorkersOnFastCoresFirst) {
  const std::vector<CpuPlace> places = {{.cpu = 0, .core = 0, .speed = 1},
                                        {.cpu = 1, .core = 1, .speed = 2},
                                        {.cpu = 2, .core = 2, .speed = 2}};
  const std::vector<std::uint32_t> all = {0, 1, 2};
  EXPECT_THAT(place(1, all, places).workers, ElementsAre(2));
}

TEST(Place, IsEmptyWhereNotEveryThreadCanHaveItsOwn) {
  const std::vector<std::uint32_t> all = {0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_THAT(place(8, all, two_nodes()).workers, IsEmpty());
}

TEST(Place, GoesInTurnWhereNothingIsKnown) {
  const std::vector<std::uint32_t> allowed = {3, 4, 6};
  EXPECT_THAT(place(2, allowed, {}).workers, ElementsAre(3, 4));
  EXPECT_THAT(place(2, allowed, {}).dispatchers, IsEmpty());
}

}  // namespace
}  // namespace evenkeel::control
