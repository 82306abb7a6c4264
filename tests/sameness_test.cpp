// Laws 1, 2 and 4 with real threads: the same packets give the same records at any number of workers, for any
// policy and any schedule of moves, and no packet of a connection is out of order. Run under ThreadSanitizer
// as well.

#include <gtest/gtest.h>

#include <filesystem>

#include "run_support.h"

namespace evenkeel::tests {
namespace {

// Short timeouts, so that connections end by each reason within the input.
RunSetting setting_of(const std::string& input) {
  return {.inputs = {input},
          .idle_ns = 2 * base::kNanosecondsPerSecond,
          .active_ns = 3 * base::kNanosecondsPerSecond};
}

// Against one worker that never moves anything.
void expect_sameness(const std::string& input) {
  RunSetting setting = setting_of(input);
  const RunOutcome reference = run(setting);
  expect_laws(reference, setting.name());
  ASSERT_GT(reference.records.size(), 0u);
  std::uint64_t random_moves = 0;
  for (const std::uint32_t workers : {1u, 2u, 3u, 8u}) {
    for (const char* policy : {"static", "index", "random"}) {
      setting.workers = workers;
      setting.buckets = workers == 3 ? 64u : 1024u;
      setting.policy = policy;
      setting.seed = workers;
      const RunOutcome outcome = run(setting);
      expect_laws(outcome, setting.name());
      expect_same_records(reference, outcome, setting.name());
      if (setting.policy == "random") random_moves += outcome.moves;
    }
  }
  EXPECT_GT(random_moves, 0u) << "nothing moved: the test says nothing";
}

TEST(Sameness, GeneratedTrafficGivesTheSameRecordsAtAnyNumberOfWorkers) {
  expect_sameness("generator:campus,packets=200000,connections=3000,rate=20000");
}

TEST(Sameness, RealCapturesGiveTheSameRecordsAtAnyNumberOfWorkers) {
  const std::filesystem::path captures = EVENKEEL_SHARED_DIR "/traces/captures";
  if (!std::filesystem::exists(captures)) GTEST_SKIP() << captures << " is not here";
  for (const char* name : {"zeek__echo-connections.pcap", "ndpi__netflix.pcap",
                           "mix__dev_overlap_snap128.pcap", "zeek__gtp1_gn_normal_incl_fragmentation.pcap"})
    expect_sameness(captures / name);
}

}  // namespace
}  // namespace evenkeel::tests
