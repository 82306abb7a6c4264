#include "bucket/table.h"

#include <gtest/gtest.h>

namespace evenkeel::bucket {
namespace {

TEST(TableBoard, StartsWithBucketsDealtOutInTurn) {
  const TableBoard board(8, 3, 1);
  EXPECT_EQ(board.newest().owner, (std::vector<std::uint16_t>{0, 1, 2, 0, 1, 2, 0, 1}));
  EXPECT_TRUE(board.settled());
}

TEST(TableBoard, StartsWithTheOwnersGiven) {
  const std::vector<ProcessorId> owners = {ProcessorId(2), ProcessorId(0), ProcessorId(2), ProcessorId(1)};
  const TableBoard board(4, 3, 1, owners);
  EXPECT_EQ(board.newest().owner, (std::vector<std::uint16_t>{2, 0, 2, 1}));
}

TEST(TableBoard, IsSettledOnlyWhenEveryDispatcherAdoptedAndEveryMoveIsDone) {
  TableBoard board(8, 2, 2);
  const Reassignment moves[] = {{BucketId(0), ProcessorId(0), ProcessorId(1)},
                                {BucketId(1), ProcessorId(1), ProcessorId(0)}};
  board.publish(moves);
  EXPECT_EQ(board.current().owner[0], 1);
  EXPECT_EQ(board.current().owner[1], 0);
  EXPECT_EQ(board.current().owner[2], 0);
  EXPECT_FALSE(board.settled());
  board.adopt(DispatcherId(0), 1);
  board.adopt(DispatcherId(1), 1);
  EXPECT_FALSE(board.settled());
  board.complete_one();
  EXPECT_FALSE(board.settled());
  board.complete_one();
  EXPECT_TRUE(board.settled());
}

TEST(TableBoard, NeedsADispatchersAdoptionOfEveryVersion) {
  TableBoard board(8, 2, 2);
  board.publish({});
  board.adopt(DispatcherId(0), 1);
  EXPECT_FALSE(board.settled());
  board.adopt(DispatcherId(1), 1);
  EXPECT_TRUE(board.settled());
}

TEST(TableBoardDeathTest, RefusesToPublishBeforeItIsSettled) {
  TableBoard board(8, 2, 1);
  board.publish({});
  EXPECT_DEATH(board.publish({}), "settled");
}

TEST(TableBoardDeathTest, RefusesAMoveFromAWorkerThatIsNotTheOwner) {
  TableBoard board(8, 3, 1);
  const Reassignment wrong[] = {{BucketId(0), ProcessorId(1), ProcessorId(2)}};
  EXPECT_DEATH(board.publish(wrong), "from");
}

}  // namespace
}  // namespace evenkeel::bucket
