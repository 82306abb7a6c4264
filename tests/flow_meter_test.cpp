// When flow records begin and end and what is in them: docs/flow-records.md, law by law, on captures made to
// order. flowEndReason by the numbers of the IPFIX registry (information element 136).
#include <gtest/gtest.h>

#include <algorithm>

#include "flow_meter_runs.h"
#include "packet/hash.h"
#include "packet/parse.h"

namespace evenkeel::tests {
namespace {

static_assert(static_cast<int>(EndReason::kIdleTimeout) == 1);
static_assert(static_cast<int>(EndReason::kActiveTimeout) == 2);
static_assert(static_cast<int>(EndReason::kEndOfFlow) == 3);
static_assert(static_cast<int>(EndReason::kForcedEnd) == 4);
static_assert(static_cast<int>(EndReason::kLackOfResources) == 5);

// --- what is in a record

TEST_F(FlowMeterRuns, ARecordHasBothDirectionsOfAConnection) {
  const auto records = meter({from_client(0, kTcpSyn), from_server(0.1, kSynAck), from_client(0.2, kTcpAck),
                              from_client(0.3, kTcpAck | kTcpPush, 100), from_server(0.5, kTcpAck, 1'000)});
  ASSERT_EQ(records.size(), 1u);
  const FlowRecord& record = records[0];
  expect_span(record, 0, 0.5);
  EXPECT_EQ(source_text(record), kClient);
  EXPECT_EQ(record.source_port, kClientPort);
  EXPECT_EQ(record.destination_port, kServerPort);
  EXPECT_EQ(record.protocol, 6);
  EXPECT_EQ(record.ip_version, 4);
  EXPECT_EQ(record.packets, 3u);
  EXPECT_EQ(record.octets, 3 * kTcpOctets + 100);
  EXPECT_EQ(record.reverse_packets, 2u);
  EXPECT_EQ(record.reverse_octets, 2 * kTcpOctets + 1'000);
  EXPECT_EQ(record.tcp_control_bits, kTcpSyn | kTcpAck | kTcpPush);
  EXPECT_EQ(record.reverse_tcp_control_bits, kTcpSyn | kTcpAck);
  EXPECT_EQ(record.end_reason, EndReason::kForcedEnd);
}

TEST_F(FlowMeterRuns, SourceIsWhoSentTheFirstPacketWhateverItsPortsAndFlags) {
  const auto records = meter({from_server(0, kSynAck), from_client(1, kTcpAck)});
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(source_text(records[0]), kServer);
  EXPECT_EQ(records[0].source_port, kServerPort);
  EXPECT_EQ(records[0].packets, 1u);
  EXPECT_EQ(records[0].tcp_control_bits, kSynAck);
  EXPECT_EQ(records[0].reverse_packets, 1u);
}

TEST_F(FlowMeterRuns, OctetsAreTheTotalLengthOfTheIpHeaderWithoutPaddingAndLinkHeaders) {
  TestPacket padded = from_client(0, kTcpAck);
  padded.bytes.resize(60, 0);  // an Ethernet frame's least
  padded.wire_length = 60;
  const TestPacket tagged = PacketBuilder()
                                .vlan(7)
                                .ipv4(kClient, kServer)
                                .tcp(kClientPort, kServerPort)
                                .payload(10)
                                .time_ns(at_seconds(1))
                                .build();
  const auto records = meter({padded, tagged});
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].packets, 2u);
  EXPECT_EQ(records[0].octets, 2 * kTcpOctets + 10);
}

TEST_F(FlowMeterRuns, OctetsOfASnappedCaptureAreThoseOfTheWire) {
  const auto records =
      meter({from_client(0, kTcpAck, 1'400).snapped(60), from_server(1, kTcpAck, 700).snapped(54)});
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].octets, kTcpOctets + 1'400);
  EXPECT_EQ(records[0].reverse_octets, kTcpOctets + 700);
}

TEST_F(FlowMeterRuns, OctetsOfIpVersion6AreThePayloadAndItsHeaderOf40) {
  const TestPacket packet = PacketBuilder()
                                .ipv6("2001:db8::1", "2001:db8::2")
                                .hop_by_hop(8)
                                .udp(1'000, 53)
                                .payload(100)
                                .time_ns(at_seconds(0))
                                .build();
  const auto records = meter({packet});
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].ip_version, 6);
  EXPECT_EQ(source_text(records[0]), "2001:db8::1");
  EXPECT_EQ(records[0].protocol, 17);
  EXPECT_EQ(records[0].octets, 40u + 8 + 8 + 100);
}

TEST_F(FlowMeterRuns, AllIcmpBetweenTwoHostsIsOneConnectionWithPortsOfZero) {
  const auto icmp = [](double seconds, const char* from, const char* to, std::uint8_t type) {
    return PacketBuilder()
        .ipv4(from, to)
        .icmp(type, 0, 0x12340001)
        .payload(56)
        .time_ns(at_seconds(seconds))
        .build();
  };
  const auto records = meter({icmp(0, kClient, kServer, 8), icmp(0.1, kServer, kClient, 0),
                              icmp(1, kClient, kServer, 13), icmp(2, kServer, kClient, 8)});
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].protocol, 1);
  EXPECT_EQ(records[0].source_port, 0);
  EXPECT_EQ(records[0].destination_port, 0);
  EXPECT_EQ(records[0].packets, 2u);
  EXPECT_EQ(records[0].reverse_packets, 2u);
  EXPECT_EQ(records[0].octets, 2u * (20 + 8 + 56));
  EXPECT_EQ(records[0].tcp_control_bits, 0);
}

// --- idle timeout

TEST_F(FlowMeterRuns, ASilenceAsLongAsTheIdleTimeoutSplitsAConnection) {
  const auto records =
      meter({from_client(0, kTcpAck), from_client(59.999, kTcpAck), from_client(119.999, kTcpAck)});
  ASSERT_EQ(records.size(), 2u);
  expect_span(records[0], 0, 59.999);
  EXPECT_EQ(records[0].packets, 2u);
  EXPECT_EQ(records[0].end_reason, EndReason::kIdleTimeout);
  expect_span(records[1], 119.999, 119.999);
  EXPECT_EQ(records[1].end_reason, EndReason::kForcedEnd);
}

TEST_F(FlowMeterRuns, AfterTheIdleTimeoutWhoSendsFirstIsTheSource) {
  const auto records = meter({from_client(0, kTcpAck), from_server(61, kTcpAck)});
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(source_text(records[0]), kClient);
  EXPECT_EQ(source_text(records[1]), kServer);
}

TEST_F(FlowMeterRuns, TheIdleTimeoutNeedsNoFurtherPacketOfTheConnection) {
  const auto records = meter({from_client(0, kTcpAck), tick(30), tick(59), tick(61)});
  ASSERT_EQ(records.size(), 1u);
  expect_span(records[0], 0, 0);
  EXPECT_EQ(records[0].end_reason, EndReason::kIdleTimeout);
}

TEST_F(FlowMeterRuns, WhatIsNotIdleForLongEnoughAtTheEndIsAForcedEnd) {
  const auto records = meter({from_client(0, kTcpAck), tick(59.9)});
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].end_reason, EndReason::kForcedEnd);
}

// --- active timeout

std::vector<TestPacket> every_ten_seconds(double until, bool with_ticks) {
  std::vector<TestPacket> packets;
  for (double seconds = 0; seconds < until; seconds += 10) {
    packets.push_back(seconds == 10 ? from_server(seconds, kTcpAck) : from_client(seconds, kTcpAck));
    if (with_ticks) packets.push_back(tick(seconds + 5));
  }
  return packets;
}

TEST_F(FlowMeterRuns, AConnectionOfLongStandingIsSplitByTheActiveTimeout) {
  for (const bool with_ticks : {false, true}) {
    const auto records = meter(every_ten_seconds(701, with_ticks));
    ASSERT_EQ(records.size(), 3u);
    expect_span(records[0], 0, 290);
    EXPECT_EQ(records[0].packets + records[0].reverse_packets, 30u);
    expect_span(records[1], 300, 590);
    EXPECT_EQ(records[1].packets, 30u);
    expect_span(records[2], 600, 700);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(records[i].end_reason, EndReason::kActiveTimeout);
    EXPECT_EQ(records[2].end_reason, EndReason::kForcedEnd);
  }
}

TEST_F(FlowMeterRuns, ARecordAfterAnActiveTimeoutKeepsTheDirection) {
  auto packets = every_ten_seconds(300, false);
  packets.push_back(from_server(305, kTcpAck, 7));
  const auto records = meter(packets);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(source_text(records[1]), kClient);
  EXPECT_EQ(records[1].packets, 0u);
  EXPECT_EQ(records[1].reverse_packets, 1u);
  EXPECT_EQ(records[1].reverse_octets, kTcpOctets + 7);
  EXPECT_EQ(records[1].tcp_control_bits, 0);
}

// The record has ended by a timer before the connection goes on: same records as without.
TEST_F(FlowMeterRuns, AnActiveTimeoutInSilenceEndsTheRecordAndTheNextPacketBeginsAnother) {
  auto packets = every_ten_seconds(300, false);
  packets.push_back(tick(310));
  packets.push_back(from_client(340, kTcpAck));
  const auto records = meter(packets);
  ASSERT_EQ(records.size(), 2u);
  expect_span(records[0], 0, 290);
  EXPECT_EQ(records[0].end_reason, EndReason::kActiveTimeout);
  expect_span(records[1], 340, 340);
}

TEST_F(FlowMeterRuns, AnActiveTimeoutWithSilenceForeverAfterItLeavesNoEmptyRecord) {
  auto packets = every_ten_seconds(300, false);
  for (const double seconds : {301.0, 349.0, 351.0, 1'000.0}) packets.push_back(tick(seconds));
  const auto records = meter(packets);
  ASSERT_EQ(records.size(), 1u);
  expect_span(records[0], 0, 290);
  EXPECT_EQ(records[0].end_reason, EndReason::kActiveTimeout);
}

TEST_F(FlowMeterRuns, TheActiveTimeoutCountsWhereItIsShorterThanTheIdleTimeout) {
  setting.active_ns = 10 * kSecond;
  const auto records =
      meter({from_client(0, kTcpAck), tick(5), tick(30), from_client(40, kTcpAck), tick(200)});
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].end_reason, EndReason::kActiveTimeout);
  EXPECT_EQ(records[1].end_reason, EndReason::kActiveTimeout);
  EXPECT_EQ(source_text(records[1]), kClient);
}

// --- the end of TCP connections

TEST_F(FlowMeterRuns, FinFromBothSidesEndsAConnectionAndItsLastAcksBelongToIt) {
  const auto records = meter({from_client(0, kTcpSyn), from_client(1, kFinAck), from_server(2, kFinAck),
                              from_client(2.1, kTcpAck), from_server(6.9, kTcpAck), tick(20)});
  ASSERT_EQ(records.size(), 1u);
  expect_span(records[0], 0, 6.9);
  EXPECT_EQ(records[0].packets, 3u);
  EXPECT_EQ(records[0].reverse_packets, 2u);
  EXPECT_EQ(records[0].end_reason, EndReason::kEndOfFlow);
}

TEST_F(FlowMeterRuns, TheLingerLastsFiveSecondsFromTheSecondFinAndIsNotPushedOn) {
  const auto records = meter({from_client(0, kFinAck), from_server(1, kFinAck), from_client(4, kTcpAck),
                              from_client(5.999, kTcpAck), from_client(6, kTcpAck)});
  ASSERT_EQ(records.size(), 2u);
  expect_span(records[0], 0, 5.999);
  EXPECT_EQ(records[0].end_reason, EndReason::kEndOfFlow);
  expect_span(records[1], 6, 6);
  EXPECT_EQ(records[1].end_reason, EndReason::kForcedEnd);
}

TEST_F(FlowMeterRuns, FinFromOneSideDoesNotEndAConnection) {
  const auto records =
      meter({from_client(0, kFinAck), from_client(0.1, kFinAck), from_server(50, kTcpAck, 500), tick(55)});
  ASSERT_EQ(records.size(), 1u);
  expect_span(records[0], 0, 50);
  EXPECT_EQ(records[0].end_reason, EndReason::kForcedEnd);
}

TEST_F(FlowMeterRuns, RstFromEitherSideEndsAConnection) {
  for (const bool by_server : {false, true}) {
    const auto records =
        meter({from_client(0, kTcpSyn), by_server ? from_server(1, kTcpRst) : from_client(1, kTcpRst),
               from_client(7, kTcpAck)});
    ASSERT_EQ(records.size(), 2u);
    expect_span(records[0], 0, 1);
    EXPECT_EQ(records[0].end_reason, EndReason::kEndOfFlow);
    expect_span(records[1], 7, 7);
  }
}

TEST_F(FlowMeterRuns, AnEndedConnectionIsAnEndOfFlowAlsoWhereTheInputEndsInItsLinger) {
  const auto records = meter({from_client(0, kTcpSyn), from_server(1, kTcpRst | kTcpAck)});
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].end_reason, EndReason::kEndOfFlow);
}

TEST_F(FlowMeterRuns, ASynOnAnEndedConnectionIsTheNextOneOnTheSamePorts) {
  const auto records = meter({from_client(0, kFinAck), from_server(1, kFinAck), from_server(2, kTcpSyn),
                              from_client(2.1, kSynAck), from_server(2.2, kTcpAck)});
  ASSERT_EQ(records.size(), 2u);
  expect_span(records[0], 0, 1);
  EXPECT_EQ(records[0].end_reason, EndReason::kEndOfFlow);
  expect_span(records[1], 2, 2.2);
  EXPECT_EQ(source_text(records[1]), kServer);
  EXPECT_EQ(records[1].packets, 2u);
  EXPECT_EQ(records[1].reverse_packets, 1u);
  EXPECT_EQ(records[1].end_reason, EndReason::kForcedEnd);
}

TEST_F(FlowMeterRuns, ASynOnALivingConnectionBelongsToIt) {
  const auto records = meter({from_client(0, kTcpSyn), from_client(1, kTcpSyn), from_server(1.1, kSynAck)});
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].packets, 2u);
}

TEST_F(FlowMeterRuns, ASynAckInTheLingerIsNotANewConnection) {
  const auto records = meter({from_client(0, kTcpRst), from_server(1, kSynAck), tick(10)});
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].reverse_packets, 1u);
}

// --- time

TEST_F(FlowMeterRuns, TimeThatRunsBackWidensTheRecordAndEndsNothing) {
  const auto records = meter({from_client(10, kTcpAck), from_client(7.5, kTcpAck), from_client(12, kTcpAck),
                              from_client(11, kTcpAck)});
  ASSERT_EQ(records.size(), 1u);
  expect_span(records[0], 7.5, 12);
  EXPECT_EQ(records[0].packets, 4u);
}

TEST_F(FlowMeterRuns, TheLatestTimeSoFarIsTheClockOfTimeouts) {
  // By its own time the second packet came first; by the clock, 70 s after the first one.
  const auto records = meter({from_client(0, kTcpAck), tick(70), from_client(1, kTcpAck)});
  ASSERT_EQ(records.size(), 2u);
  expect_span(records[0], 0, 0);
  EXPECT_EQ(records[0].end_reason, EndReason::kIdleTimeout);
  expect_span(records[1], 1, 1);
  EXPECT_EQ(records[1].end_reason, EndReason::kForcedEnd);
}

TEST_F(FlowMeterRuns, SeveralInputsAreMergedByTime) {
  const auto ours = [&](double seconds) { return from_client(seconds, kTcpAck); };
  const std::vector<TestPacket> one = {ours(0), ours(50), ours(150)};
  const std::vector<TestPacket> other = {from_server(30, kTcpAck), from_server(100, kTcpAck)};
  // One after the other there would be gaps of a minute and more.
  const RunOutcome merged = meter_files({pcap_file(one), pcapng_file(other)});
  ASSERT_EQ(merged.records.size(), 1u);
  expect_span(merged.records[0], 0, 150);
  EXPECT_EQ(source_text(merged.records[0]), kClient);
  EXPECT_EQ(merged.records[0].packets, 3u);
  EXPECT_EQ(merged.records[0].reverse_packets, 2u);
}

// --- fragments

std::vector<TestPacket> fragmented(double seconds) {
  const TestPacket whole = PacketBuilder()
                               .ipv4(kClient, kServer)
                               .udp(7'000, 8'000)
                               .payload(3'000)
                               .time_ns(at_seconds(seconds))
                               .build();
  return fragments_of(whole, 1'480, 77);
}

TEST_F(FlowMeterRuns, FragmentsAreCountedToTheConnectionOfTheirFirstAlsoBeforeIt) {
  std::vector<TestPacket> packets = fragmented(0);
  ASSERT_GE(packets.size(), 3u);
  const std::size_t count = packets.size();
  for (int order = 0; order < 3; ++order) {
    const auto records = meter(packets);
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(records[0].source_port, 7'000);
    EXPECT_EQ(records[0].destination_port, 8'000);
    EXPECT_EQ(records[0].packets, count);
    EXPECT_EQ(records[0].octets, 8 + 3'000 + 20 * count);
    std::rotate(packets.begin(), packets.begin() + 1, packets.end());
  }
}

TEST_F(FlowMeterRuns, FragmentsWithoutTheirFirstAreDroppedAndInNoRecord) {
  std::vector<TestPacket> packets = fragmented(0);
  packets.erase(packets.begin());
  packets.push_back(tick(40));
  const RunOutcome outcome = meter_all(packets);
  EXPECT_EQ(outcome.records.size(), 1u);  // of the tick
  EXPECT_EQ(outcome.dropped_for(meter::DropReason::kFragmentOrphan), packets.size() - 1);
}

// --- limits

TEST(ConnectionLimit, LeavesNoWorkerWithoutAPlaceAndIsNeverExceeded) {
  for (const std::uint32_t workers : {2u, 8u}) {
    for (const char* policy : {"static", "random"}) {
      const RunSetting setting{.inputs = {"generator:syn-flood,packets=60000"},
                               .workers = workers,
                               .buckets = 64,
                               .policy = policy,
                               .connections_max = 1000};
      const RunOutcome outcome = run(setting);
      expect_laws(outcome, setting.name());
      EXPECT_LE(outcome.live, 1000u) << setting.name();
      EXPECT_GT(outcome.evicted, 0u) << setting.name();
      if (setting.policy == "static") {
        EXPECT_EQ(outcome.dropped_total(), 0u) << setting.name();
      }
    }
  }
}

TestPacket question(double seconds, std::uint16_t port) {
  return PacketBuilder()
      .ipv4(kClient, kServer)
      .udp(port, 53)
      .payload(10)
      .time_ns(at_seconds(seconds))
      .build();
}

std::uint32_t bucket_of(const TestPacket& test_packet, std::uint32_t buckets) {
  static const packet::Hasher hasher = *packet::Hasher::make("toeplitz", "");
  Packet packet;
  packet.data = test_packet.bytes.data();
  packet.captured_length = packet.wire_length = static_cast<std::uint32_t>(test_packet.bytes.size());
  packet::parse(packet, {});
  return hasher.hash_one(packet.key, packet.reversed()) & (buckets - 1);
}

// Two workers fill the table, a third takes what is left, and then the connections of the last one come.
TEST_F(FlowMeterRuns, AWorkerWhoseConnectionsComeLastStillHasAPlaceForThem) {
  constexpr std::uint32_t kWorkers = 4;
  setting.workers = setting.buckets = kWorkers;
  setting.connections_max = 400;
  std::array<std::vector<std::uint16_t>, kWorkers> ports;
  for (std::uint16_t port = 1'000; port < 13'000; ++port)
    ports[bucket_of(question(0, port), kWorkers)].push_back(port);
  std::vector<TestPacket> packets;
  double seconds = 0;
  const auto send = [&](std::uint32_t bucket, std::size_t i) {
    packets.push_back(question(seconds += 0.0001, ports[bucket].at(i)));
  };
  for (std::size_t i = 0; i < 1'000; ++i) {
    send(0, i);
    send(1, i);
  }
  for (std::size_t i = 0; i < 1'000; ++i) send(2, i);
  for (std::size_t i = 0; i < 100; ++i) send(3, i);
  const RunOutcome outcome = meter_all(packets);
  EXPECT_EQ(outcome.dropped_total(), 0u);
  EXPECT_EQ(outcome.processed, packets.size());
  EXPECT_LE(outcome.live, 400u);
}

TEST_F(FlowMeterRuns, BeyondTheLimitConnectionsAreEvictedForLackOfResources) {
  setting.connections_max = 100;
  setting.buckets = 16;
  std::vector<TestPacket> packets;
  for (std::uint16_t port = 0; port < 1'000; ++port)
    packets.push_back(datagram(port * 0.001, kClient, kServer, static_cast<std::uint16_t>(1'000 + port)));
  const RunOutcome outcome = meter_all(packets);
  EXPECT_EQ(outcome.records.size(), 1'000u);
  EXPECT_EQ(outcome.processed, 1'000u);
  EXPECT_LE(outcome.live, 100u);
  EXPECT_EQ(outcome.evicted + outcome.live, 1'000u);
  const auto evicted = std::count_if(
      outcome.records.begin(), outcome.records.end(),
      [](const FlowRecord& record) { return record.end_reason == EndReason::kLackOfResources; });
  EXPECT_EQ(static_cast<std::uint64_t>(evicted), outcome.evicted);
  for (const FlowRecord& record : outcome.records) EXPECT_EQ(record.octets, kUdpOctets + 10);
}

}  // namespace
}  // namespace evenkeel::tests
