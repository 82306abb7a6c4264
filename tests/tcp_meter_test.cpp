// What flow records say of TCP: the states of both ends, half-open timeouts, round-trip times
// (docs/flow-records.md), on captures made to order.
#include <gtest/gtest.h>

#include <functional>

#include "flow_meter_runs.h"

namespace evenkeel::tests {
namespace {

using engine::TcpState;

class TcpMeterRuns : public FlowMeterRuns {};

constexpr std::uint32_t kClientFirst = 0xffff'fff0;  // its numbers wrap around
constexpr std::uint32_t kServerFirst = 5'000;

// The client's or the server's segment, by numbers relative to the first of each.
TestPacket client(double seconds, std::uint8_t flags, std::uint32_t sequence, std::uint32_t acknowledges,
                  std::size_t payload = 0) {
  return PacketBuilder()
      .ipv4(kClient, kServer)
      .tcp(kClientPort, kServerPort, flags)
      .numbers(kClientFirst + sequence, kServerFirst + acknowledges)
      .payload(payload)
      .time_ns(at_seconds(seconds))
      .build();
}
TestPacket server(double seconds, std::uint8_t flags, std::uint32_t sequence, std::uint32_t acknowledges,
                  std::size_t payload = 0) {
  return PacketBuilder()
      .ipv4(kServer, kClient)
      .tcp(kServerPort, kClientPort, flags)
      .numbers(kServerFirst + sequence, kClientFirst + acknowledges)
      .payload(payload)
      .time_ns(at_seconds(seconds))
      .build();
}

// The meter stands 5 ms from the client and 40 ms from the server.
const std::vector<TestPacket> kHandshake = {client(0, kTcpSyn, 0, 0), server(0.040, kSynAck, 0, 1),
                                            client(0.045, kTcpAck, 1, 1)};

std::vector<TestPacket> handshake_and(const std::vector<TestPacket>& packets) {
  std::vector<TestPacket> all = kHandshake;
  all.insert(all.end(), packets.begin(), packets.end());
  return all;
}

void expect_states(const FlowRecord& record, TcpState source, TcpState destination) {
  EXPECT_EQ(record.tcp_state, source);
  EXPECT_EQ(record.reverse_tcp_state, destination);
}

void expect_microseconds(const std::optional<std::uint32_t>& found, double expected) {
  ASSERT_TRUE(found.has_value());
  EXPECT_NEAR(*found, expected, 3);
}

// --- states

TEST_F(TcpMeterRuns, ARecordHasTheStatesAfterItsLastPacket) {
  const std::vector<TestPacket> packets =
      handshake_and({client(1, kFinAck, 1, 1), server(1.04, kTcpAck, 1, 2), server(1.1, kFinAck, 1, 2),
                     client(1.2, kTcpAck, 2, 2)});
  const std::vector<std::pair<TcpState, TcpState>> states = {
      {TcpState::kSynSent, TcpState::kListen},          {TcpState::kSynSent, TcpState::kSynReceived},
      {TcpState::kEstablished, TcpState::kEstablished}, {TcpState::kFinWait1, TcpState::kEstablished},
      {TcpState::kFinWait2, TcpState::kCloseWait},      {TcpState::kFinWait2, TcpState::kLastAck},
      {TcpState::kTimeWait, TcpState::kClosed}};
  for (std::size_t count = 1; count <= packets.size(); ++count) {
    SCOPED_TRACE(count);
    const auto records = meter({packets.begin(), packets.begin() + static_cast<std::ptrdiff_t>(count)});
    ASSERT_EQ(records.size(), 1u);
    expect_states(records[0], states[count - 1].first, states[count - 1].second);
  }
}

TEST_F(TcpMeterRuns, AFinCountsAsAcknowledgedOnlyByANumberThatCoversIt) {
  const auto records = meter(handshake_and({client(0.5, kTcpAck, 1, 1, 100), client(1, kFinAck, 101, 1),
                                            server(1.01, kTcpAck, 1, 101), server(1.02, kTcpAck, 1, 51)}));
  ASSERT_EQ(records.size(), 1u);
  expect_states(records[0], TcpState::kFinWait1, TcpState::kEstablished);
}

TEST_F(TcpMeterRuns, ARecordThatIsNotOfTcpHasNoStates) {
  const auto records = meter({datagram(0, kClient, kServer)});
  ASSERT_EQ(records.size(), 1u);
  EXPECT_FALSE(records[0].has_tcp_flags());
}

// --- half-open connections

TEST_F(TcpMeterRuns, AHalfOpenConnectionIsIdleAfterItsOwnTimeout) {
  setting.half_open_ns = 10 * kSecond;
  const std::vector<std::vector<TestPacket>> half_open = {
      {client(0, kTcpSyn, 0, 0)},
      {client(0, kTcpSyn, 0, 0), server(0.040, kSynAck, 0, 1)},
      {server(0.040, kSynAck, 0, 1)}};
  for (const auto& opening : half_open) {
    std::vector<TestPacket> packets = opening;
    packets.push_back(tick(10.1));
    auto records = meter(packets);
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(records[0].end_reason, EndReason::kIdleTimeout);
    packets.back() = client(10.1, kTcpAck, 1, 1);
    EXPECT_EQ(meter(packets).size(), 2u);
    packets.back() = client(9.9, kTcpAck, 1, 1);
    EXPECT_EQ(meter(packets).size(), 1u);
  }
}

TEST_F(TcpMeterRuns, ACompleteHandshakeHasTheIdleTimeout) {
  setting.half_open_ns = 10 * kSecond;
  const auto records = meter(handshake_and({tick(30), tick(59), client(60, kTcpAck, 1, 1, 10), tick(121)}));
  ASSERT_EQ(records.size(), 1u);
  expect_span(records[0], 0, 60);
  EXPECT_EQ(records[0].end_reason, EndReason::kIdleTimeout);
}

TEST_F(TcpMeterRuns, EachSynOfAHalfOpenConnectionGivesItTheWholeTimeoutAgain) {
  setting.half_open_ns = 10 * kSecond;
  const auto records = meter({client(0, kTcpSyn, 0, 0), client(9, kTcpSyn, 0, 0), client(18, kTcpSyn, 0, 0),
                              tick(27.9), server(27.95, kSynAck, 0, 1), tick(40)});
  ASSERT_EQ(records.size(), 1u);
  expect_span(records[0], 0, 27.95);
  EXPECT_EQ(records[0].end_reason, EndReason::kIdleTimeout);
}

TEST_F(TcpMeterRuns, TheHalfOpenTimeoutIsNeverLongerThanTheIdleTimeout) {
  setting.half_open_ns = 500 * kSecond;
  const auto records = meter({client(0, kTcpSyn, 0, 0), tick(61), client(62, kTcpAck, 1, 1)});
  EXPECT_EQ(records.size(), 2u);
}

// --- round trips

TEST_F(TcpMeterRuns, TheHandshakeMeasuresTheWayToBothEnds) {
  const auto records = meter(kHandshake);
  ASSERT_EQ(records.size(), 1u);
  expect_microseconds(records[0].round_trip.smoothed[0], 40'000);
  expect_microseconds(records[0].round_trip.smoothed[1], 5'000);
  expect_microseconds(records[0].round_trip.retransmission_timeout, 45'000 + 4 * 22'500);
}

TEST_F(TcpMeterRuns, LaterRoundTripsAreSmoothedIn) {
  const auto records =
      meter(handshake_and({client(1, kTcpAck, 1, 1, 100), server(1.080, kTcpAck, 1, 101, 200),
                           client(1.085, kTcpAck, 101, 201)}));
  ASSERT_EQ(records.size(), 1u);
  expect_microseconds(records[0].round_trip.smoothed[0], 40'000 * 7 / 8 + 80'000 / 8);
  expect_microseconds(records[0].round_trip.smoothed[1], 5'000);
}

TEST_F(TcpMeterRuns, RetransmissionsAreNotMeasured) {
  const auto records = meter(handshake_and(
      {client(1, kTcpAck, 1, 1, 100), client(1.3, kTcpAck, 1, 1, 100), server(1.340, kTcpAck, 1, 101)}));
  ASSERT_EQ(records.size(), 1u);
  expect_microseconds(records[0].round_trip.smoothed[0], 40'000);
  const auto syn_twice = meter({client(0, kTcpSyn, 0, 0), client(1, kTcpSyn, 0, 0),
                                server(1.040, kSynAck, 0, 1), client(1.045, kTcpAck, 1, 1)});
  ASSERT_EQ(syn_twice.size(), 1u);
  EXPECT_FALSE(syn_twice[0].round_trip.smoothed[0].has_value());
  expect_microseconds(syn_twice[0].round_trip.smoothed[1], 5'000);
  expect_microseconds(syn_twice[0].round_trip.retransmission_timeout, 3 * 5'000);
}

TEST_F(TcpMeterRuns, WithoutAcknowledgmentsThereIsNoRoundTripTime) {
  const auto records = meter({client(0, kTcpSyn, 0, 0), client(1, kTcpAck, 1, 1, 100)});
  ASSERT_EQ(records.size(), 1u);
  EXPECT_FALSE(records[0].round_trip.smoothed[0].has_value());
  EXPECT_FALSE(records[0].round_trip.smoothed[1].has_value());
  EXPECT_FALSE(records[0].round_trip.retransmission_timeout.has_value());
}

TEST_F(TcpMeterRuns, StatesAndRoundTripsGoOnAfterAnActiveTimeout) {
  setting.active_ns = 10 * kSecond;
  const auto records = meter(handshake_and({client(12, kTcpAck, 1, 1, 10), tick(30)}));
  ASSERT_EQ(records.size(), 2u);
  expect_states(records[1], TcpState::kEstablished, TcpState::kEstablished);
  for (const FlowRecord& record : records) expect_microseconds(record.round_trip.smoothed[0], 40'000);
}

TEST_F(TcpMeterRuns, ASnappedHeaderLeavesTheStatesByFlagsAndNoRoundTripTime) {
  const auto records = meter(
      {client(0, kTcpSyn, 0, 0).snapped(14 + 20 + 14), server(0.040, kSynAck, 0, 1).snapped(14 + 20 + 14)});
  ASSERT_EQ(records.size(), 1u);
  expect_states(records[0], TcpState::kSynSent, TcpState::kSynReceived);
  EXPECT_FALSE(records[0].round_trip.smoothed[0].has_value());
}

}  // namespace
}  // namespace evenkeel::tests
