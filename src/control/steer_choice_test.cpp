#include "control/steer_choice.h"

#include <gtest/gtest.h>

namespace evenkeel::control {
namespace {

actuator::Card card_with(std::uint32_t queues) {
  actuator::Card card;
  card.queues = queues;
  card.table.assign(128, 0);
  card.toeplitz = card.fields_known = true;
  return card;
}

TEST(SteerChoiceTest, ATableWithAQueueForEachCpuIsTaken) {
  EXPECT_EQ(why_not_table(card_with(4), {.cpus = 4}), std::nullopt);
  EXPECT_NE(why_not_table(card_with(3), {.cpus = 4}), std::nullopt);
  EXPECT_NE(why_not_table(card_with(1), {.cpus = 1}), std::nullopt) << "one queue cannot be levelled";
}

TEST(SteerChoiceTest, WhatATableCannotDoIsNeverGivenToIt) {
  EXPECT_NE(why_not_table(card_with(4), {.cpus = 1, .chooses_cpus = true}), std::nullopt);
  EXPECT_NE(why_not_table(card_with(4), {.cpus = 4, .inner_tunnel = true}), std::nullopt);
  EXPECT_NE(why_not_table(card_with(4), {.cpus = 4, .strict_order = true}), std::nullopt);
}

TEST(SteerChoiceTest, AHashThatIsNotKnownIsNotFollowed) {
  actuator::Card card = card_with(4);
  card.fields_known = false;
  EXPECT_NE(why_not_table(card, {.cpus = 4}), std::nullopt);
  card = card_with(4);
  card.toeplitz = false;
  EXPECT_NE(why_not_table(card, {.cpus = 4}), std::nullopt);
  EXPECT_NE(why_not_table(actuator::Card{}, {.cpus = 4}), std::nullopt);
}

}  // namespace
}  // namespace evenkeel::control
