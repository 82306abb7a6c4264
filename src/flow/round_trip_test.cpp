#include "flow/round_trip.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "base/units.h"

namespace evenkeel::flow {
namespace {

constexpr engine::TcpEnd kClient = engine::TcpEnd::kForward;
constexpr engine::TcpEnd kServer = engine::TcpEnd::kReverse;
constexpr std::uint8_t kAck = packet::tcp::kAck;
constexpr std::uint8_t kSyn = packet::tcp::kSyn;
constexpr double kUnit = 1.024;  // microseconds

// A conversation by hand; times in microseconds.
struct Conversation {
  RoundTripMeter meter;
  std::array<std::uint32_t, 2> sequence_end{};

  void pass(engine::TcpEnd sender, double microseconds, packet::TcpSegment segment,
            std::uint8_t flags = kAck) {
    meter.pass(sender, segment, flags, 1'700'000'000'000'000'000 + std::llround(1000 * microseconds),
               sequence_end);
  }
  // Data of the client's, and its acknowledgment.
  void exchange(double sent, double acknowledged, std::uint32_t sequence, std::uint32_t length = 100) {
    pass(kClient, sent, {.sequence = sequence, .acknowledgment = 1, .length = length});
    pass(kServer, acknowledged, {.sequence = 1, .acknowledgment = sequence + length, .length = 0});
  }
};

TEST(RoundTrip, TheFirstSampleIsTheMeanAndHalfOfItTheVariation) {
  Conversation c;
  EXPECT_FALSE(c.meter.times().retransmission_timeout.has_value());
  c.exchange(0, 100'000, 5);
  EXPECT_NEAR(*c.meter.times().smoothed[0], 100'000, 2);
  EXPECT_FALSE(c.meter.times().smoothed[1].has_value());
  EXPECT_NEAR(*c.meter.times().retransmission_timeout, 300'000, 5);
}

TEST(RoundTrip, AHandshakeMeasuresBothHalvesOfTheWay) {
  Conversation c;
  c.pass(kClient, 0, {.sequence = 999, .acknowledgment = 0, .length = 1}, kSyn);
  c.pass(kServer, 30'000, {.sequence = 77, .acknowledgment = 1'000, .length = 1}, kSyn | kAck);
  c.pass(kClient, 32'000, {.sequence = 1'000, .acknowledgment = 78, .length = 0});
  const RoundTripTimes times = c.meter.times();
  EXPECT_NEAR(*times.smoothed[0], 30'000, 2);
  EXPECT_NEAR(*times.smoothed[1], 2'000, 2);
  EXPECT_NEAR(*times.retransmission_timeout, 32'000 + 4 * 16'000, 5);
}

TEST(RoundTrip, WhatWasSentTwiceIsNotMeasured) {
  Conversation c;
  const packet::TcpSegment data{.sequence = 5, .acknowledgment = 1, .length = 100};
  c.pass(kClient, 0, data);
  c.pass(kClient, 200'000, data);
  c.pass(kServer, 210'000, {.sequence = 1, .acknowledgment = 105, .length = 0});
  EXPECT_FALSE(c.meter.times().smoothed[0].has_value());
  // What was lost before the meter comes as old data, too.
  c.pass(kClient, 300'000, {.sequence = 205, .acknowledgment = 1, .length = 100});
  c.pass(kClient, 500'000, {.sequence = 105, .acknowledgment = 1, .length = 100});
  c.pass(kServer, 510'000, {.sequence = 1, .acknowledgment = 305, .length = 0});
  EXPECT_FALSE(c.meter.times().smoothed[0].has_value());
  c.exchange(600'000, 640'000, 305);
  EXPECT_NEAR(*c.meter.times().smoothed[0], 40'000, 2);
}

TEST(RoundTrip, ASecondSegmentInFlightIsNotMeasuredAndAnOlderAcknowledgmentEndsNothing) {
  Conversation c;
  c.exchange(0, 10'000, 1'000);
  c.pass(kClient, 20'000, {.sequence = 1'100, .acknowledgment = 1, .length = 100});
  c.pass(kClient, 25'000, {.sequence = 1'200, .acknowledgment = 1, .length = 100});
  c.pass(kServer, 26'000, {.sequence = 1, .acknowledgment = 1'100, .length = 0});
  EXPECT_NEAR(*c.meter.times().smoothed[0], 10'000, 2);
  c.pass(kServer, 30'000, {.sequence = 1, .acknowledgment = 1'300, .length = 0});
  EXPECT_NEAR(*c.meter.times().smoothed[0], 10'000, 2) << "the first of the two took 10 ms as well";
}

TEST(RoundTrip, ARequestAndItsAnswerMeasureTheTwoHalvesInTurn) {
  Conversation c;
  c.pass(kClient, 0, {.sequence = 10, .acknowledgment = 50, .length = 10});
  c.pass(kServer, 8'000, {.sequence = 50, .acknowledgment = 20, .length = 1'000});
  c.pass(kClient, 9'000, {.sequence = 20, .acknowledgment = 1'050, .length = 0});
  EXPECT_NEAR(*c.meter.times().smoothed[0], 8'000, 2);
  EXPECT_NEAR(*c.meter.times().smoothed[1], 1'000, 2);
}

TEST(RoundTrip, SequenceNumbersMayWrapAround) {
  Conversation c;
  c.exchange(0, 5'000, 0xffff'ff00, 100);
  c.exchange(10'000, 15'000, 0xffff'ff64, 1'000);
  c.exchange(20'000, 25'000, 0x34c, 1'000);
  EXPECT_NEAR(*c.meter.times().smoothed[0], 5'000, 3);
}

TEST(RoundTrip, AResetAcknowledgesNothingAndSamplesOfMoreThanAMinuteAreLeftOut) {
  Conversation c;
  c.pass(kClient, 0, {.sequence = 5, .acknowledgment = 1, .length = 10});
  c.pass(kServer, 1'000, {.sequence = 1, .acknowledgment = 15, .length = 0}, packet::tcp::kRst | kAck);
  EXPECT_FALSE(c.meter.times().smoothed[0].has_value());
  c.pass(kServer, 70'000'000, {.sequence = 1, .acknowledgment = 15, .length = 0});
  EXPECT_FALSE(c.meter.times().smoothed[0].has_value());
  c.exchange(80'000'000, 79'000'000, 15);  // time runs back
  EXPECT_FALSE(c.meter.times().smoothed[0].has_value());
}

// RFC 6298, 2.2 and 2.3, in real numbers.
struct Reference {
  double smoothed = 0, variation = 0;
  void add(double sample) {
    variation = smoothed == 0 ? sample / 2 : 0.75 * variation + 0.25 * std::abs(smoothed - sample);
    smoothed = smoothed == 0 ? sample : 0.875 * smoothed + 0.125 * sample;
  }
};

RC_GTEST_PROP(RoundTripProperty, FollowsTheFormulasOfTheRfc, (std::uint64_t seed)) {
  base::Random random(seed);
  Conversation c;
  Reference reference;
  const double scale = std::pow(10.0, static_cast<double>(1 + random.below(7)));
  double now = 0;
  for (std::uint32_t i = 0; i < 200; ++i) {
    const double sample = std::max(2.0, scale * static_cast<double>(1 + random.below(1'000)) / 1'000);
    c.exchange(now, now + sample, 100 * i);
    now += 2 * sample + 10;
    reference.add(sample);
    const RoundTripTimes times = c.meter.times();
    const double timeout = reference.smoothed + std::max(kUnit, 4 * reference.variation);
    // Each sample is off by up to a unit, each mean by one more.
    RC_ASSERT(std::abs(*times.smoothed[0] - reference.smoothed) <= 3 * kUnit);
    RC_ASSERT(std::abs(*times.retransmission_timeout - timeout) <= 20 * kUnit);
  }
}

}  // namespace
}  // namespace evenkeel::flow
