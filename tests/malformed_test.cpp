// Whatever is in a capture, a run comes to its end and accounts for every packet. Worth most under the
// address and undefined-behaviour sanitizers, where the same tests run again.
#include <gtest/gtest.h>

#include "base/random.h"
#include "packet_builder.h"
#include "run_support.h"
#include "source/make_source.h"
#include "trace_support.h"

namespace evenkeel::tests {
namespace {

namespace fs = std::filesystem;

RunOutcome run_one(const fs::path& capture, bool inner_tunnel) {
  const RunSetting setting{.inputs = {capture},
                           .workers = 2,
                           .buckets = 64,
                           .connections_max = 10'000,
                           .inner_tunnel = inner_tunnel};
  const RunOutcome outcome = run(setting);
  expect_laws(outcome, setting.name());
  return outcome;
}

// A capture of a link type that is not read must say so, and is no run.
bool opens(const fs::path& capture) {
  auto source = source::make_source(capture.string(), {});
  if (source) return true;
  EXPECT_EQ(source.error().kind, ErrorKind::kRuntime) << capture;
  EXPECT_EQ(source.error().message.find('\n'), std::string::npos) << source.error().message;
  EXPECT_NE(source.error().message.find(capture.filename().string()), std::string::npos)
      << source.error().message;
  return false;
}

TEST(Malformed, EveryOddCaptureRunsToItsEndWithItsPacketsAccountedFor) {
  std::uint64_t packets = 0, malformed = 0;
  std::size_t files = 0, refused = 0;
  for (const char* folder : {"malformed", "captures"}) {
    for (const fs::path& capture : shared_captures(folder)) {
      ++files;
      if (!opens(capture)) {
        ++refused;
        continue;
      }
      for (const bool inner_tunnel : {false, true}) {
        const RunOutcome outcome = run_one(capture, inner_tunnel);
        packets += outcome.received;
        malformed += outcome.malformed;
        // What libpcap reads before it gives up is received too.
        if (outcome.input_error.empty()) {
          EXPECT_EQ(outcome.received, walk_capture(capture, [](Packet&) {})) << capture;
        }
      }
    }
  }
  if (files == 0) GTEST_SKIP() << "no captures in " EVENKEEL_SHARED_DIR "/traces";
  EXPECT_LT(refused, files);
  EXPECT_GT(packets, 0u);
  EXPECT_GT(malformed, 0u);
}

class Spoiler {
 public:
  explicit Spoiler(std::uint64_t seed) : random_(seed) {}

  // Cut, flipped, both, or as it was.
  TestPacket spoil(const TestPacket& packet) {
    TestPacket spoiled = packet;
    if (random_.below(3) == 0) spoiled = spoiled.cut(random_.below(spoiled.bytes.size() + 1));
    if (random_.below(3) == 0) spoiled = spoiled.snapped(random_.below(spoiled.bytes.size() + 1));
    if (random_.below(2) == 0) flip(spoiled.bytes, 1 + random_.below(8));
    return spoiled.at(time_ns_ += static_cast<std::int64_t>(random_.below(1'000'000'000)));
  }

  // Mostly in the headers.
  void flip(Bytes& bytes, std::uint64_t times) {
    if (bytes.empty()) return;
    for (std::uint64_t i = 0; i < times; ++i) {
      const std::uint64_t reach =
          random_.below(4) == 0 ? bytes.size() : std::min<std::size_t>(64, bytes.size());
      bytes[random_.below(reach)] ^= static_cast<std::uint8_t>(1u << random_.below(8));
    }
  }

  std::uint64_t below(std::uint64_t bound) { return random_.below(bound); }

 private:
  base::Random random_;
  std::int64_t time_ns_ = 1'700'000'000'000'000'000;
};

std::vector<TestPacket> packets_of_link(LinkType link) {
  std::vector<TestPacket> packets = packets_of_every_kind();
  std::erase_if(packets, [&](const TestPacket& packet) { return packet.link != link; });
  return packets;
}

TEST(Malformed, SpoiledPacketsAreAllAccountedFor) {
  const ScratchFolder folder;
  std::uint64_t malformed = 0;
  for (const LinkType link : {LinkType::kEthernet, LinkType::kRawIp, LinkType::kLinuxCooked}) {
    const std::vector<TestPacket> whole = packets_of_link(link);
    if (whole.empty()) continue;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      SCOPED_TRACE("seed " + std::to_string(seed));
      Spoiler spoiler(seed);
      std::vector<TestPacket> packets;
      for (int i = 0; i < 400; ++i) packets.push_back(spoiler.spoil(whole[spoiler.below(whole.size())]));
      const fs::path path = folder / "spoiled.pcap";
      write_file(path, pcap_file(packets));
      const RunOutcome outcome = run_one(path, seed % 2 == 0);
      EXPECT_EQ(outcome.input_error, "");
      EXPECT_EQ(outcome.received, packets.size());
      malformed += outcome.malformed;
    }
  }
  EXPECT_GT(malformed, 0u) << "nothing was spoiled: the test says nothing";
}

// The file itself is cut and flipped, its headers and lengths too.
TEST(Malformed, SpoiledFilesRunToTheirEndOrAreRefusedInOneLine) {
  const ScratchFolder folder;
  const std::vector<TestPacket> whole = packets_of_every_kind();
  const std::vector<TestPacket> ethernet = packets_of_link(LinkType::kEthernet);
  int ran = 0, ended_early = 0;
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Spoiler spoiler(seed);
    Bytes bytes = seed % 2 == 0 ? pcap_file(ethernet, {.big_endian = seed % 4 == 0}) : pcapng_file(whole);
    if (spoiler.below(2) == 0) bytes.resize(spoiler.below(bytes.size() + 1));
    for (std::uint64_t i = spoiler.below(6); i > 0 && !bytes.empty(); --i)
      bytes[spoiler.below(bytes.size())] ^= static_cast<std::uint8_t>(1u << spoiler.below(8));
    const fs::path path = folder / "spoiled.pcap";
    write_file(path, bytes);
    if (!opens(path)) continue;
    ++ran;
    ended_early += !run_one(path, seed % 3 == 0).input_error.empty();
  }
  EXPECT_GT(ran, 0);
  EXPECT_GT(ended_early, 0);
}

}  // namespace
}  // namespace evenkeel::tests
