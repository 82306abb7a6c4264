// Breaks each law on purpose and expects the simulation to notice. Built with EVENKEEL_FAULTS.

#include "base/fault.h"

#include <gtest/gtest.h>

#include "sim/interleaving.h"
#include "sim/timer_interleaving.h"

namespace evenkeel::sim {
namespace {

constexpr std::uint64_t kSeeds = 300;

class FaultTest : public testing::TestWithParam<std::size_t> {
 protected:
  void TearDown() override { base::active_fault = base::Fault::kNone; }
};

TEST_P(FaultTest, IsCaughtByTheSimulation) {
  base::active_fault = static_cast<base::Fault>(GetParam());
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    if (!run_interleaving(seed).violation.empty() || !run_timer_interleaving(seed).violation.empty()) return;
  }
  FAIL() << "no seed of " << kSeeds << " noticed the fault";
}

TEST(NoFault, PassesTheSameSeeds) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const InterleavingResult result = run_interleaving(seed);
    ASSERT_EQ(result.violation, "") << "seed " << seed;
    ASSERT_EQ(run_timer_interleaving(seed).violation, "") << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Every, FaultTest, testing::Range<std::size_t>(1, std::size(base::kFaultNames)),
                         [](const auto& test) { return std::string(base::kFaultNames[test.param]); });

}  // namespace
}  // namespace evenkeel::sim
