#include "base/output_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace evenkeel::base {
namespace {

class OutputFileTest : public testing::Test {
 protected:
  std::string path_ =
      testing::TempDir() + "output_file_" + testing::UnitTest::GetInstance()->current_test_info()->name();
  std::string content() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void TearDown() override { std::filesystem::remove(path_); }
};

TEST_F(OutputFileTest, HoldsExactlyWhatWasWrittenAcrossBufferBounds) {
  std::string expected;
  Result<OutputFile> file = OutputFile::open(path_);
  ASSERT_TRUE(file.ok());
  for (std::size_t size : {std::size_t{1}, OutputFile::kBufferBytes - 1, std::size_t{2},
                           OutputFile::kBufferBytes, 3 * OutputFile::kBufferBytes, std::size_t{5}}) {
    const std::string piece(size, static_cast<char>('a' + expected.size() % 26));
    expected += piece;
    EXPECT_TRUE(file->write(piece));
    char* room = file->reserve(3);
    ASSERT_NE(room, nullptr);
    room[0] = '#';
    file->commit(room + 1);
    expected += '#';
  }
  EXPECT_TRUE(file->close().ok());
  EXPECT_TRUE(content() == expected);
}

TEST_F(OutputFileTest, APlaceThatCannotBeWrittenIsOneClearLine) {
  const Result<OutputFile> file = OutputFile::open("/nonexistent/flows.jsonl");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().message, "cannot write /nonexistent/flows.jsonl: No such file or directory");
  EXPECT_EQ(file.error().kind, ErrorKind::kRuntime);
}

TEST_F(OutputFileTest, AFullDiskIsToldAtCloseAtTheLatest) {
  Result<OutputFile> file = OutputFile::open("/dev/full");
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file->write("a short line"));
  const Result<void> closed = file->close();
  ASSERT_FALSE(closed.ok());
  EXPECT_EQ(closed.error().message, "cannot write to /dev/full: No space left on device");
}

TEST_F(OutputFileTest, WritesAreRefusedOnceAnErrorHasHappened) {
  Result<OutputFile> file = OutputFile::open("/dev/full");
  ASSERT_TRUE(file.ok());
  EXPECT_FALSE(file->write(std::string(2 * OutputFile::kBufferBytes, 'x')));
  EXPECT_FALSE(file->write("more"));
  EXPECT_EQ(file->reserve(1), nullptr);
  EXPECT_FALSE(file->close().ok());
}

TEST_F(OutputFileTest, ToAskWhetherAPlaceCanBeWrittenChangesNothing) {
  EXPECT_TRUE(check_writable(path_).ok());
  EXPECT_FALSE(std::filesystem::exists(path_));
  ASSERT_TRUE(write_file(path_, "kept").ok());
  EXPECT_TRUE(check_writable(path_).ok());
  EXPECT_EQ(content(), "kept");
  EXPECT_TRUE(check_writable("-").ok());
  EXPECT_FALSE(check_writable("/nonexistent/file").ok());
  EXPECT_FALSE(check_writable(testing::TempDir()).ok());
}

TEST_F(OutputFileTest, WriteFileReplacesWhatWasThere) {
  ASSERT_TRUE(write_file(path_, "something long").ok());
  ASSERT_TRUE(write_file(path_, "short").ok());
  EXPECT_EQ(content(), "short");
}

}  // namespace
}  // namespace evenkeel::base
