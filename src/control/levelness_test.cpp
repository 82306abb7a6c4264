#include "control/levelness.h"

#include <gtest/gtest.h>

namespace evenkeel::control {
namespace {

class LevelnessTest : public testing::Test {
 protected:
  LevelnessTest() {
    plan_.processors = {{.usage = 0.9}, {.usage = 0.1}};
    plan_.max_over_mean_before = 1.8;
  }
  // Rounds of 250 ms.
  void note(int rounds, std::size_t pending = 0) {
    for (int i = 0; i < rounds; ++i) {
      seconds_ += 0.25;
      levelness_.note({.seconds = seconds_, .measurement = measurement_, .plan = plan_, .pending = pending});
    }
  }
  actuator::Measurement measurement_;
  Plan plan_;
  Levelness levelness_;

 private:
  double seconds_ = 0;
};

TEST_F(LevelnessTest, RoundsWithoutMovesAreNotLevelForThat) {
  note(100);
  EXPECT_FALSE(levelness_.is_level());
  EXPECT_NE(levelness_.why_not().find("1.80"), std::string::npos) << levelness_.why_not();
}

TEST_F(LevelnessTest, LevelIsWhatStaysSoForASecond) {
  note(4);
  plan_.max_over_mean_before = 1.1;
  note(3);
  EXPECT_FALSE(levelness_.is_level());
  note(1);
  EXPECT_TRUE(levelness_.is_level());
  plan_.max_over_mean_before = 1.5;
  note(1);
  EXPECT_FALSE(levelness_.is_level());
}

TEST_F(LevelnessTest, AnElephantIsLevelWhenNothingCouldBeBetter) {
  plan_.lower_bound = 1.6;
  note(4);
  EXPECT_TRUE(levelness_.is_level());
}

TEST_F(LevelnessTest, NoLoadIsNotLevelAndSaysSo) {
  plan_.processors = {{.usage = 0}, {.usage = 0}};
  plan_.max_over_mean_before = 1;
  note(10);
  EXPECT_FALSE(levelness_.is_level());
  EXPECT_NE(levelness_.why_not().find("no load"), std::string::npos) << levelness_.why_not();
}

TEST_F(LevelnessTest, TellsLightLoadFromMovesThatWait) {
  note(1, 7);
  EXPECT_NE(levelness_.why_not().find("7 moves wait"), std::string::npos) << levelness_.why_not();
  plan_.processors = {{.usage = 0.03}, {.usage = 0.01}};
  note(1);
  EXPECT_NE(levelness_.why_not().find("below 5 %"), std::string::npos) << levelness_.why_not();
}

}  // namespace
}  // namespace evenkeel::control
