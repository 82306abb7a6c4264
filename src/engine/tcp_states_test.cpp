#include "engine/tcp_states.h"

#include <gtest/gtest.h>

#include <vector>

namespace evenkeel::engine {
namespace {

using S = TcpState;
constexpr TcpEnd kClient = TcpEnd::kForward;
constexpr TcpEnd kServer = TcpEnd::kReverse;
constexpr std::uint8_t kSyn = tcp::kSyn, kAck = tcp::kAck, kFin = tcp::kFin, kRst = tcp::kRst;

struct Step {
  TcpEnd sender;
  std::uint8_t flags;
  bool acknowledges_fin;
  TcpState client, server;  // after it
};

void expect_states(const std::vector<Step>& steps) {
  TcpStates states;
  states.begin(steps.front().flags);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    states.pass(steps[i].sender, steps[i].flags, steps[i].acknowledges_fin);
    EXPECT_EQ(states.of(kClient), steps[i].client) << "client after step " << i;
    EXPECT_EQ(states.of(kServer), steps[i].server) << "server after step " << i;
  }
}

const std::vector<Step> kHandshake = {{kClient, kSyn, false, S::kSynSent, S::kListen},
                                      {kServer, kSyn | kAck, false, S::kSynSent, S::kSynReceived},
                                      {kClient, kAck, false, S::kEstablished, S::kEstablished}};

std::vector<Step> after_handshake(const std::vector<Step>& steps) {
  std::vector<Step> all = kHandshake;
  all.insert(all.end(), steps.begin(), steps.end());
  return all;
}

TEST(TcpStates, ACloseFromOneSideGoesThroughTheStatesOfTheRfc) {
  expect_states(after_handshake({{kClient, kAck, false, S::kEstablished, S::kEstablished},
                                 {kClient, kFin | kAck, false, S::kFinWait1, S::kEstablished},
                                 {kServer, kAck, true, S::kFinWait2, S::kCloseWait},
                                 {kServer, kAck, true, S::kFinWait2, S::kCloseWait},
                                 {kServer, kFin | kAck, true, S::kFinWait2, S::kLastAck},
                                 {kClient, kAck, true, S::kTimeWait, S::kClosed},
                                 {kClient, kAck, true, S::kTimeWait, S::kClosed}}));
}

TEST(TcpStates, AFinThatAcknowledgesTheOthersFinIsTheLastAck) {
  expect_states(after_handshake({{kServer, kFin | kAck, false, S::kEstablished, S::kFinWait1},
                                 {kClient, kFin | kAck, true, S::kLastAck, S::kFinWait2},
                                 {kServer, kAck, true, S::kClosed, S::kTimeWait}}));
}

TEST(TcpStates, ASimultaneousCloseEndsInTimeWaitOnBothEnds) {
  expect_states(after_handshake({{kClient, kFin | kAck, false, S::kFinWait1, S::kEstablished},
                                 {kServer, kFin | kAck, false, S::kFinWait1, S::kFinWait1},
                                 {kClient, kAck, true, S::kClosing, S::kFinWait2},
                                 {kServer, kAck, true, S::kTimeWait, S::kTimeWait}}));
}

TEST(TcpStates, ASimultaneousOpenIsEstablished) {
  expect_states({{kClient, kSyn, false, S::kSynSent, S::kListen},
                 {kServer, kSyn, false, S::kSynSent, S::kSynSent},
                 {kClient, kSyn | kAck, false, S::kSynReceived, S::kSynSent},
                 {kServer, kSyn | kAck, false, S::kEstablished, S::kSynReceived},
                 {kClient, kAck, false, S::kEstablished, S::kEstablished}});
}

TEST(TcpStates, AResetClosesBothEndsInAnyState) {
  expect_states({{kClient, kSyn, false, S::kSynSent, S::kListen},
                 {kServer, kRst | kAck, false, S::kClosed, S::kClosed}});
  expect_states(after_handshake(
      {{kClient, kRst, false, S::kClosed, S::kClosed}, {kServer, kAck, false, S::kClosed, S::kClosed}}));
  expect_states({{kClient, kRst, false, S::kClosed, S::kClosed}});
}

TEST(TcpStates, RepeatedSynsChangeNothing) {
  expect_states({{kClient, kSyn, false, S::kSynSent, S::kListen},
                 {kClient, kSyn, false, S::kSynSent, S::kListen},
                 {kServer, kSyn | kAck, false, S::kSynSent, S::kSynReceived},
                 {kClient, kSyn, false, S::kSynSent, S::kSynReceived},
                 {kServer, kSyn | kAck, false, S::kSynSent, S::kSynReceived}});
  expect_states(after_handshake({{kClient, kSyn, false, S::kEstablished, S::kEstablished},
                                 {kServer, kSyn | kAck, false, S::kEstablished, S::kEstablished}}));
}

TEST(TcpStates, AConnectionUnderWayIsEstablishedAndOneSeenInOneDirectionToo) {
  expect_states({{kClient, kAck, false, S::kEstablished, S::kEstablished}});
  expect_states({{kClient, kSyn, false, S::kSynSent, S::kListen},
                 {kClient, kAck, false, S::kEstablished, S::kEstablished}});
  expect_states({{kClient, kSyn | kAck, false, S::kSynReceived, S::kSynSent},
                 {kServer, kAck, false, S::kEstablished, S::kEstablished}});
  expect_states({{kClient, kFin | kAck, false, S::kFinWait1, S::kEstablished}});
}

TEST(TcpStates, HalfOpenUntilTheHandshakeIsCompleteAndEndedOnceBothSentAFin) {
  TcpStates states;
  EXPECT_TRUE(states.both_established());
  states.begin(kSyn);
  states.pass(kClient, kSyn, false);
  EXPECT_TRUE(states.half_open());
  states.pass(kServer, kSyn | kAck, false);
  EXPECT_TRUE(states.half_open());
  states.pass(kClient, kAck, false);
  EXPECT_FALSE(states.half_open());
  EXPECT_TRUE(states.both_established());
  states.pass(kClient, kFin | kAck, false);
  states.pass(kServer, kAck, true);
  EXPECT_FALSE(states.ended());
  EXPECT_FALSE(states.half_open());
  states.pass(kServer, kFin | kAck, true);
  EXPECT_TRUE(states.ended());
}

}  // namespace
}  // namespace evenkeel::engine
