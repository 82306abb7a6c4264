// Breaks each law on purpose and expects the simulation to notice. Built with EVENKEEL_FAULTS.

#include "base/fault.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>

#include "sim/interleaving.h"
#include "sim/isolation.h"
#include "sim/timer_interleaving.h"

namespace evenkeel::sim {
namespace {

constexpr std::uint64_t kSeeds = 300;

// "order: packet 3 of ..." is of the law of order.
std::string law_of(std::string_view text) { return std::string(text.substr(0, text.find(':'))); }

std::string run_engine(std::uint64_t seed) { return run_interleaving(seed).violation; }
std::string run_timers(std::uint64_t seed) { return run_timer_interleaving(seed).violation; }
std::string run_overload(std::uint64_t seed) { return run_isolation(seed).violation; }

class FaultTest : public testing::TestWithParam<std::size_t> {
 protected:
  void TearDown() override { base::active_fault = base::Fault::kNone; }
};

// By the check of the law that it breaks, in one run at least; in others that of another law may be first.
TEST_P(FaultTest, IsCaughtByTheCheckOfItsLaw) {
  base::active_fault = static_cast<base::Fault>(GetParam());
  const std::string law = law_of(base::kFaultLaws[GetParam()]);
  std::set<std::string> others;
  // One simulation after the other: one that a fault does not concern may take long to come to its end.
  for (const auto simulation : {run_engine, run_timers, run_overload}) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      const std::string violation = simulation(seed);
      if (law_of(violation) == law) return;
      if (!violation.empty()) others.insert(law_of(violation));
    }
  }
  std::string names;
  for (const std::string& other : others) names += " " + other;
  FAIL() << "no seed of " << kSeeds << " noticed that " << law << " was broken; of others:" << names;
}

TEST(Faults, EveryLawHasOneThatBreaksIt) {
  std::set<std::string> laws;
  for (std::size_t i = 1; i < std::size(base::kFaultLaws); ++i) laws.insert(law_of(base::kFaultLaws[i]));
  for (const char* law : {"order", "conservation", "ownership", "sameness", "isolation", "boundedness",
                          "frugality", "timers", "progress"})
    EXPECT_TRUE(laws.contains(law)) << law;
}

TEST(NoFault, PassesTheSameSeeds) {
  ASSERT_NE(allocation_count, nullptr) << "law 7 is not checked";
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    for (const auto simulation : {run_engine, run_timers, run_overload})
      ASSERT_EQ(simulation(seed), "") << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Every, FaultTest, testing::Range<std::size_t>(1, std::size(base::kFaultNames)),
                         [](const auto& test) { return std::string(base::kFaultNames[test.param]); });

}  // namespace
}  // namespace evenkeel::sim
