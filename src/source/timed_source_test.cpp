#include "source/timed_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "source/make_source.h"
#include "source/test_capture.h"

namespace evenkeel::source {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string capture(const std::vector<std::uint32_t>& seconds) {
  CaptureWriter writer;
  for (const std::uint32_t second : seconds) writer.record(second, 0, std::to_string(second), 100);
  return writer.content();
}

std::vector<std::string> bytes_of(std::span<Packet* const> packets) {
  std::vector<std::string> all;
  for (const Packet* packet : packets) all.push_back(see(*packet).bytes);
  return all;
}

TEST(PacedSource, ReleasesPacketsAtTheirTimeDividedBySpeed) {
  const TemporaryFile file(capture({100, 110, 110, 104, 130}));
  std::int64_t clock_ns = 77;
  SourceOptions options;
  options.speed = 10;
  options.clock = [&clock_ns] { return clock_ns; };
  const auto source = make_source(file.path(), options);
  ASSERT_TRUE(source.ok());
  std::vector<Packet*> out(8);
  const auto at = [&](std::int64_t ns, ReceiveStatus expected) {
    clock_ns = 77 + ns;
    std::size_t count = 0;
    EXPECT_EQ((*source)->receive(out, count), expected);
    return bytes_of(std::span(out).first(count));
  };
  EXPECT_THAT(at(0, ReceiveStatus::kIdle), ElementsAre("100"));
  EXPECT_THAT(at(999'999'999, ReceiveStatus::kIdle), ElementsAre());
  EXPECT_THAT(at(1'000'000'000, ReceiveStatus::kIdle), ElementsAre("110", "110", "104"));
  EXPECT_EQ((*source)->statistics().received, 4u);
  EXPECT_THAT(at(2'999'999'999, ReceiveStatus::kIdle), ElementsAre());
  EXPECT_THAT(at(3'000'000'000, ReceiveStatus::kEnd), ElementsAre("130"));
  EXPECT_EQ((*source)->statistics().received, 5u);
}

TEST(PacedSource, GivesTheSamePacketsAsWithoutIt) {
  const std::string spec = "generator:campus,connections=500,packets=20000";
  std::int64_t clock_ns = 0;
  SourceOptions options;
  const auto plain = make_source(spec, options);
  options.speed = 0.5;
  options.clock = [&clock_ns] { return clock_ns += 40'000; };
  const auto paced = make_source(spec, options);
  EXPECT_EQ(drain(**plain).packets, drain(**paced).packets);
}

TEST(LimitedSource, EndsWhereThePacketTimeHasPassed) {
  const TemporaryFile file(capture({100, 109, 105, 110, 111}));
  SourceOptions options;
  options.duration_ns = 10'000'000'000;
  const auto source = make_source(file.path(), options);
  const Drained drained = drain(**source);
  EXPECT_EQ(drained.packets.size(), 3u);
  EXPECT_EQ((*source)->statistics().received, 3u);
  EXPECT_EQ((*source)->statistics().bytes, 300u);
}

TEST(LimitedSource, GivesBackWhatLiesBehindTheEnd) {
  const TemporaryFile file(capture({1, 2, 3, 4}));
  SourceOptions options;
  options.duration_ns = 2'000'000'000;
  const auto source = make_source(file.path(), options);
  std::vector<Packet*> out(8);
  std::size_t count = 0;
  EXPECT_EQ((*source)->receive(out, count), ReceiveStatus::kEnd);
  ASSERT_EQ(count, 2u);
  PacketBlock* const block = out[0]->block;
  EXPECT_FALSE(block->all_released());
  block->release(2);
  EXPECT_TRUE(block->all_released());
}

TEST(LimitedSource, IsSilentAboutDamageBehindTheEnd) {
  const std::string whole = capture({1, 2, 30, 40});
  const TemporaryFile file(whole.substr(0, whole.size() - 1));
  SourceOptions options;
  options.duration_ns = 10'000'000'000;
  EXPECT_EQ(drain(**make_source(file.path(), options)).error, "");
  options.duration_ns = 100'000'000'000;
  EXPECT_THAT(drain(**make_source(file.path(), options)).error, HasSubstr("cut off"));
}

TEST(LimitedSource, AGeneratorGoesOnUntilThen) {
  SourceOptions options;
  options.duration_ns = 50'000'000;
  const auto source = make_source("generator:campus,connections=500,rate=1M", options);
  const Drained drained = drain(**source);
  EXPECT_NEAR(static_cast<double>(drained.packets.size()), 50'000, 3'000);
}

TEST(MakeSource, RefusesWhatItCannotBeInOneLine) {
  const auto refused = [](const std::vector<std::string>& specs, ErrorKind kind, const std::string& why) {
    const auto source = make_source(specs, {});
    ASSERT_FALSE(source.ok());
    EXPECT_EQ(source.error().kind, kind);
    EXPECT_THAT(source.error().message, HasSubstr(why));
    EXPECT_EQ(source.error().message.find('\n'), std::string::npos);
  };
  refused(std::vector<std::string>{}, ErrorKind::kUsage, "no input; accepted are FILE");
  refused({""}, ErrorKind::kUsage, "names no input; accepted are FILE");
  refused({"pcap:"}, ErrorKind::kUsage, "names no input");
  refused({"-", "pcap:-"}, ErrorKind::kUsage, "one input only");
  refused({"generator:nothing"}, ErrorKind::kUsage,
          "there are mice, elephants, backup, campus, websearch, syn-flood, drift");
  refused({"/nonexistent"}, ErrorKind::kRuntime, "cannot open /nonexistent: No such file or directory");
}

TEST(MakeSource, InputsOfOneRunHaveTheirOwnSeedsAndNumbers) {
  const std::string spec = "generator:campus,connections=100,packets=1000";
  const std::vector<std::string> two{spec, spec};
  const auto source = make_source(two, {});
  std::vector<std::string> bytes[2];
  for (const SeenPacket& packet : drain(**source).packets) bytes[packet.source].push_back(packet.bytes);
  EXPECT_EQ(bytes[0].size(), 1'000u);
  EXPECT_EQ(bytes[1].size(), 1'000u);
  EXPECT_NE(bytes[0], bytes[1]);
}

}  // namespace
}  // namespace evenkeel::source
