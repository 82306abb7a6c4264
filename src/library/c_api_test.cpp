#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "library/c_api_test_program.h"
#include "tests/packet_builder.h"
#include "tests/run_support.h"

namespace evenkeel::library {
namespace {

struct CRun {
  explicit CRun(const std::string& input, std::uint64_t bypass_after = 0) {
    for (c_api_counts& counts : workers) counts.bypass_after = bypass_after;
    failed = c_api_run(input.c_str(), workers.data(), &outcome);
  }
  std::uint64_t sum(std::uint64_t c_api_counts::*member) const {
    return workers[0].*member + workers[1].*member;
  }
  std::array<c_api_counts, 2> workers{};
  c_api_outcome outcome{};
  int failed = 0;
};

TEST(CApi, HandlersOfACProgramSeeEveryPacketConnectionAndTimer) {
  const CRun run("generator:campus,packets=20000,connections=300,rate=5000");
  ASSERT_EQ(run.failed, 0) << run.outcome.message;
  EXPECT_EQ(run.outcome.received, 20'000u);
  EXPECT_EQ(run.outcome.processed, run.sum(&c_api_counts::packets));
  EXPECT_EQ(run.outcome.order_violations, 0u);
  EXPECT_TRUE(run.outcome.json_ok);
  EXPECT_GT(run.sum(&c_api_counts::opened), 300u);
  EXPECT_EQ(run.sum(&c_api_counts::opened), run.sum(&c_api_counts::closed));
  EXPECT_EQ(run.sum(&c_api_counts::packets), run.sum(&c_api_counts::packets_of_closed));
  EXPECT_GT(run.sum(&c_api_counts::timers), 0u);
  EXPECT_EQ(run.sum(&c_api_counts::timers), run.sum(&c_api_counts::fired_of_closed));
  EXPECT_EQ(run.sum(&c_api_counts::refused_timers), 2 * run.sum(&c_api_counts::opened));
  EXPECT_EQ(run.sum(&c_api_counts::not_zero), 0u);
  EXPECT_EQ(run.sum(&c_api_counts::not_forward), 0u);
  EXPECT_TRUE(std::string(run.workers[0].last_initiator).find(':') != std::string::npos);
}

TEST(CApi, ABypassedConnectionIsNotShownAnyMore) {
  const CRun run("generator:elephants,packets=5000,connections=10", 2);
  ASSERT_EQ(run.failed, 0) << run.outcome.message;
  EXPECT_LE(run.sum(&c_api_counts::packets), 2 * run.sum(&c_api_counts::opened));
  EXPECT_GT(run.outcome.dropped, 1'000u);
  EXPECT_EQ(run.outcome.dropped, 5'000 - run.outcome.processed);
}

TEST(CApi, PushedPacketsAllComeWhereTheEngineWaits) {
  const tests::TestPacket packet =
      tests::PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(10).build();
  c_api_counts counts{};
  EXPECT_EQ(c_api_push(packet.bytes.data(), packet.bytes.size(), 5000, &counts), 5000);
  EXPECT_EQ(counts.packets, 5'000u);
}

TEST(CApi, AnErrorSaysWhatWasWrong) {
  const CRun run("/nonexistent.pcap");
  EXPECT_NE(run.failed, 0);
  EXPECT_NE(std::string(run.outcome.message).find("/nonexistent.pcap"), std::string::npos);
}

TEST(CApi, EachWorkerObjectThatWasMadeIsFreedOnce) { EXPECT_EQ(c_api_workers_freed(), 0); }

TEST(CApi, HowAnInputEndedIsTold) {
  const tests::TestPacket packet =
      tests::PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(10).build();
  tests::Bytes file = tests::pcap_file(std::vector{packet, packet});
  const tests::ScratchFolder folder;
  tests::write_file(folder / "whole.pcap", file);
  file.pop_back();
  tests::write_file(folder / "cut.pcap", file);
  std::array<char, 300> message{};
  EXPECT_EQ(c_api_input_error((folder / "whole.pcap").c_str(), message.data(), message.size()), 0);
  EXPECT_STREQ(message.data(), "");
  EXPECT_EQ(c_api_input_error((folder / "cut.pcap").c_str(), message.data(), message.size()), 1);
  EXPECT_NE(std::string(message.data()).find("cut.pcap is damaged or cut off after packet 1"),
            std::string::npos)
      << message.data();
}

TEST(CApi, MisuseIsToldAndNeverCrashes) { EXPECT_EQ(c_api_misuse(), 0); }

}  // namespace
}  // namespace evenkeel::library
