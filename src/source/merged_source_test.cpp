#include "source/merged_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "base/random.h"
#include "source/make_source.h"
#include "source/test_capture.h"

namespace evenkeel::source {
namespace {

using ::testing::HasSubstr;

struct Labelled {
  std::uint16_t source;
  std::string label;
  friend bool operator==(const Labelled&, const Labelled&) = default;
};

std::vector<Labelled> labels(const std::vector<SeenPacket>& packets) {
  std::vector<Labelled> all;
  for (const SeenPacket& packet : packets) all.push_back({packet.source, packet.bytes});
  return all;
}

// Files whose records have the given seconds, each labelled with its place in the file.
class Files {
 public:
  void add(const std::vector<std::uint32_t>& seconds, std::size_t cut = 0) {
    CaptureWriter writer;
    for (std::size_t i = 0; i < seconds.size(); ++i) writer.record(seconds[i], 0, std::to_string(i), 100);
    files_.push_back(
        std::make_unique<TemporaryFile>(writer.content().substr(0, writer.content().size() - cut)));
    specs_.push_back(files_.back()->path());
  }
  std::unique_ptr<Source> open() const {
    auto source = make_source(specs_, {});
    EXPECT_TRUE(source.ok());
    return std::move(*source);
  }

 private:
  std::vector<std::unique_ptr<TemporaryFile>> files_;
  std::vector<std::string> specs_;
};

TEST(MergedSource, MergesByTimeAndKeepsTheOrderOfInputsAtTheSameTime) {
  Files files;
  files.add({1, 3, 3, 9});
  files.add({0, 3, 4});
  files.add({3});
  const auto source = files.open();
  const Drained drained = drain(*source, 2);
  EXPECT_EQ(labels(drained.packets),
            (std::vector<Labelled>{
                {1, "0"}, {0, "0"}, {0, "1"}, {0, "2"}, {1, "1"}, {2, "0"}, {1, "2"}, {0, "3"}}));
  for (std::size_t i = 0; i < drained.packets.size(); ++i) EXPECT_EQ(drained.packets[i].sequence, i);
  EXPECT_EQ(source->statistics().received, 8u);
  EXPECT_EQ(source->statistics().bytes, 800u);
}

TEST(MergedSource, CountsWhatCameFromEachInput) {
  Files files;
  files.add({1, 3, 3, 9});
  files.add({0, 3, 4}, 1);
  const auto source = files.open();
  drain(*source, 2);
  const std::vector<InputStatistics> inputs = source->inputs();
  ASSERT_EQ(inputs.size(), 2u);
  EXPECT_EQ(inputs[0].packets, 4u);
  EXPECT_EQ(inputs[0].bytes, 400u);
  EXPECT_FALSE(inputs[0].error);
  EXPECT_EQ(inputs[1].packets, 2u);
  EXPECT_TRUE(inputs[1].error);
}

TEST(MergedSource, KeepsAnInputInItsOwnOrderWhereItsTimesRunBack) {
  Files files;
  files.add({5, 1, 7, 2});
  files.add({4, 6});
  EXPECT_EQ(labels(drain(*files.open()).packets),
            (std::vector<Labelled>{{1, "0"}, {0, "0"}, {0, "1"}, {1, "1"}, {0, "2"}, {0, "3"}}));
}

TEST(MergedSource, GivesEveryPacketOfEveryInputOnceSortedWhereTheInputsAre) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    base::Random random(seed);
    Files files;
    std::size_t total = 0;
    const std::uint64_t inputs = 2 + random.below(9);
    for (std::uint64_t input = 0; input < inputs; ++input) {
      std::vector<std::uint32_t> seconds(random.below(700));
      for (auto& second : seconds) second = static_cast<std::uint32_t>(random.below(500));
      std::sort(seconds.begin(), seconds.end());
      total += seconds.size();
      files.add(seconds);
    }
    const Drained drained = drain(*files.open(), 1 + random.below(64));
    ASSERT_EQ(drained.packets.size(), total);
    std::vector<std::uint32_t> place(inputs);
    for (std::size_t i = 0; i < total; ++i) {
      const SeenPacket& packet = drained.packets[i];
      ASSERT_EQ(packet.sequence, i);
      ASSERT_EQ(packet.bytes, std::to_string(place[packet.source]++));
      if (i == 0) continue;
      const SeenPacket& last = drained.packets[i - 1];
      ASSERT_LE(std::pair(last.time_ns, last.source), std::pair(packet.time_ns, packet.source));
    }
  }
}

TEST(MergedSource, AnInputThatIsCutOffDoesNotEndTheOthersAndIsToldAtTheEnd) {
  Files files;
  files.add({1, 2, 3}, 1);
  files.add({1, 5, 9});
  const Drained drained = drain(*files.open());
  EXPECT_EQ(drained.packets.size(), 5u);
  EXPECT_THAT(drained.error, HasSubstr("cut off after packet 2"));
}

}  // namespace
}  // namespace evenkeel::source
