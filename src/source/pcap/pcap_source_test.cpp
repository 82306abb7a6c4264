#include "source/pcap/pcap_source.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <thread>

#include "base/random.h"
#include "base/time_range.h"
#include "source/test_capture.h"
#include "tests/packet_builder.h"

namespace evenkeel::source {
namespace {

using ::testing::HasSubstr;

Result<std::unique_ptr<Source>> open_both_ways(const std::string& path, bool libpcap_only) {
  PcapOptions options;
  options.libpcap_only = libpcap_only;
  return open_pcap(path, options);
}

// "ok" or the message of the error; messages of the two ways differ in wording, not in kind.
struct Outcome {
  bool opened = false;
  bool failed = false;  // after opening
  std::vector<SeenPacket> packets;
  std::string message;
};

Outcome outcome_of(const std::string& path, bool libpcap_only) {
  Outcome outcome;
  auto source = open_both_ways(path, libpcap_only);
  outcome.opened = source.ok();
  if (!source) {
    outcome.message = source.error().message;
    return outcome;
  }
  Drained drained = drain(**source, 17);
  outcome.packets = std::move(drained.packets);
  outcome.failed = !drained.error.empty();
  outcome.message = drained.error;
  return outcome;
}

void expect_same_both_ways(const std::string& path) {
  SCOPED_TRACE(path);
  const Outcome own = outcome_of(path, false);
  const Outcome libpcap = outcome_of(path, true);
  EXPECT_EQ(own.opened, libpcap.opened) << own.message << " / " << libpcap.message;
  EXPECT_EQ(own.failed, libpcap.failed) << own.message << " / " << libpcap.message;
  ASSERT_EQ(own.packets.size(), libpcap.packets.size());
  for (std::size_t i = 0; i < own.packets.size(); ++i) {
    ASSERT_TRUE(own.packets[i] == libpcap.packets[i])
        << "packet " << i << ": times " << own.packets[i].time_ns << " and " << libpcap.packets[i].time_ns
        << ", captured lengths " << own.packets[i].captured_length << " and "
        << libpcap.packets[i].captured_length;
  }
}

std::string payload(std::size_t bytes, char fill = 'x') { return std::string(bytes, fill); }

TEST(PcapSource, GivesEachRecordOfAClassicCaptureInEitherByteOrderAndPrecision) {
  for (const bool swapped : {false, true}) {
    for (const bool nanoseconds : {false, true}) {
      CaptureWriter writer({.swapped = swapped, .nanoseconds = nanoseconds});
      writer.record(7, 5, "first", 60).record(6, 999, "", 0);
      const TemporaryFile file(writer.content());
      const Outcome outcome = outcome_of(file.path(), false);
      ASSERT_EQ(outcome.packets.size(), 2u);
      const std::int64_t unit = nanoseconds ? 1 : 1'000;
      EXPECT_EQ(outcome.packets[0],
                (SeenPacket{7'000'000'000 + 5 * unit, 5, 60, 0, 0, LinkType::kEthernet, "first"}));
      EXPECT_EQ(outcome.packets[1],
                (SeenPacket{6'000'000'000 + 999 * unit, 0, 0, 1, 0, LinkType::kEthernet, ""}));
      EXPECT_FALSE(outcome.failed);
      expect_same_both_ways(file.path());
    }
  }
}

TEST(PcapSource, KnowsItsLinkTypesAndNamesOthers) {
  const std::pair<std::uint32_t, LinkType> known[] = {
      {1, LinkType::kEthernet},      {101, LinkType::kRawIp},         {228, LinkType::kRawIp},
      {229, LinkType::kRawIp},       {0, LinkType::kBsdLoopback},     {108, LinkType::kBsdLoopback},
      {113, LinkType::kLinuxCooked}, {276, LinkType::kLinuxCookedTwo}};
  for (const auto& [number, link] : known) {
    const TemporaryFile file(CaptureWriter({.link = number}).record(1, 0, "abcd", 4).content());
    const Outcome outcome = outcome_of(file.path(), false);
    ASSERT_EQ(outcome.packets.size(), 1u) << number << ": " << outcome.message;
    EXPECT_EQ(outcome.packets[0].link, link) << number;
  }
  const TemporaryFile radio(CaptureWriter({.link = 105}).content());
  EXPECT_THAT(outcome_of(radio.path(), false).message,
              HasSubstr("link type IEEE802_11 (105) is not supported"));
}

TEST(PcapSource, RefusesWhatIsNoCaptureInOneLine) {
  const TemporaryFile empty(""), text("hello, this is not a capture file"), cut("\xd4\xc3\xb2\xa1\x02");
  const auto refused = [](const std::string& path, const std::string& why) {
    const auto source = open_pcap(path, {});
    ASSERT_FALSE(source.ok());
    EXPECT_EQ(source.error().kind, ErrorKind::kRuntime);
    EXPECT_THAT(source.error().message, HasSubstr(path));
    EXPECT_THAT(source.error().message, HasSubstr(why));
    EXPECT_EQ(source.error().message.find('\n'), std::string::npos);
  };
  refused(empty.path(), "is empty; a pcap or pcapng file is needed");
  refused(text.path(), "unknown file format");
  refused(cut.path(), "truncated");
  const TemporaryFile packed(std::string("\x1f\x8b\x08\x00", 4) + payload(60));
  refused(packed.path(), "is compressed: unpack it, or pipe `zcat " + packed.path() + "` into the input -");
  refused("/nonexistent/x.pcap", "No such file or directory");
  refused("/tmp", "Is a directory");
}

TEST(PcapSource, KeepsWhatCameBeforeTheCutAndSaysSo) {
  CaptureWriter writer;
  for (std::uint32_t i = 0; i < 100; ++i) writer.record(i, 0, payload(50), 50);
  const std::string whole = writer.content();
  const std::size_t record = 16 + 50;
  for (std::size_t cut = 1; cut < record; ++cut) {
    const TemporaryFile file(whole.substr(0, whole.size() - cut));
    const Outcome outcome = outcome_of(file.path(), false);
    EXPECT_EQ(outcome.packets.size(), 99u);
    EXPECT_THAT(outcome.message, HasSubstr("cut off after packet 99"));
    expect_same_both_ways(file.path());
  }
}

TEST(PcapSource, StopsAtARecordLongerThanAnyCanBe) {
  CaptureWriter writer;
  writer.record(1, 0, payload(60), 60).record_header(2, 0, 262'145, 262'145);
  const TemporaryFile file(writer.content() + payload(300'000));
  const Outcome outcome = outcome_of(file.path(), false);
  EXPECT_EQ(outcome.packets.size(), 1u);
  EXPECT_THAT(outcome.message, HasSubstr("captured length 262145, over the maximum of 262144"));
  expect_same_both_ways(file.path());
}

TEST(PcapSource, CutsRecordsToTheSnapshotLengthAsLibpcapDoes) {
  CaptureWriter writer({.snapshot_length = 64});
  writer.record(1, 0, payload(100), 1'500).record(2, 0, payload(64), 64);
  const TemporaryFile file(writer.content());
  const Outcome outcome = outcome_of(file.path(), false);
  ASSERT_EQ(outcome.packets.size(), 2u);
  EXPECT_EQ(outcome.packets[0].captured_length, 64u);
  EXPECT_EQ(outcome.packets[0].wire_length, 1'500u);
  expect_same_both_ways(file.path());
}

// Found by a fuzzer. pcapng has 64 bits for a time, and a capture may be wrong.
TEST(PcapSource, ATimeBeyondAllReasonIsKeptWithinWhatSumsCanBear) {
  tests::Bytes file =
      tests::pcapng_file(std::vector{tests::PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).build()});
  for (std::size_t at = 0; at + 20 < file.size();) {
    std::uint32_t block[2];
    std::memcpy(block, &file[at], sizeof block);
    if (block[0] == 6) std::fill_n(file.begin() + static_cast<std::ptrdiff_t>(at) + 12, 8, 0xfe);  // its time
    at += block[1];
  }
  const TemporaryFile capture(std::string(file.begin(), file.end()));
  const Outcome outcome = outcome_of(capture.path(), false);
  ASSERT_EQ(outcome.packets.size(), 1u) << outcome.message;
  EXPECT_LE(outcome.packets[0].time_ns, base::kTimeMax_ns);
  EXPECT_GE(outcome.packets[0].time_ns, -base::kTimeMax_ns);
}

TEST(PcapSource, LeavesOlderVersionsToLibpcap) {
  for (std::uint16_t minor = 0; minor <= 5; ++minor) {
    CaptureWriter writer({.version_minor = minor});
    writer.record(1, 0, payload(60), 70).record(2, 0, payload(70), 60);
    const TemporaryFile file(writer.content());
    expect_same_both_ways(file.path());
  }
}

// Odd sizes, odd times, odd headers: records of any length in any order, now and then a damaged one.
TEST(PcapSource, AgreesWithLibpcapOnRandomCaptures) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    base::Random random(seed);
    CaptureWriter writer({.swapped = random.below(2) == 1,
                          .nanoseconds = random.below(2) == 1,
                          .snapshot_length = random.below(3) == 0 ? 1'000u : 262'144u});
    const std::uint64_t records = random.below(1'500);
    const std::uint64_t usual_length = 1 + random.below(400);
    for (std::uint64_t i = 0; i < records; ++i) {
      const std::uint64_t length =
          random.below(200) == 0 ? random.below(262'145) : random.below(usual_length);
      const auto part = static_cast<std::uint32_t>(random.next());
      const auto wire = static_cast<std::uint32_t>(random.below(3) == 0 ? random.below(100) : length);
      if (random.below(2'000) == 0) writer.record_header(1, 2, part, wire);
      writer.record(static_cast<std::uint32_t>(random.next()), part, payload(length, static_cast<char>(part)),
                    wire);
    }
    const std::string content = writer.content();
    const std::size_t cut =
        random.below(2) == 0 ? random.below(std::min<std::size_t>(100, content.size() - 24)) : 0;
    const TemporaryFile file(content.substr(0, content.size() - cut));
    expect_same_both_ways(file.path());
  }
}

TEST(PcapSource, AgreesWithLibpcapOnRealAndMalformedCaptures) {
  const std::filesystem::path traces = EVENKEEL_SHARED_DIR "/traces";
  if (!std::filesystem::exists(traces)) GTEST_SKIP() << "no " << traces;
  for (const char* folder : {"captures", "malformed"}) {
    for (const auto& entry : std::filesystem::directory_iterator(traces / folder)) {
      expect_same_both_ways(entry.path());
    }
  }
}

// A named pipe that the test fills by itself: what fits into the kernel's buffer needs no second thread.
class Pipe {
 public:
  Pipe() {
    char folder[] = "/tmp/evenkeel-test-XXXXXX";
    EXPECT_NE(::mkdtemp(folder), nullptr);
    folder_ = folder;
    EXPECT_EQ(::mkfifo(path().c_str(), 0600), 0);
    descriptor_ = ::open(path().c_str(), O_RDWR);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close();
    std::filesystem::remove_all(folder_);
  }

  std::string path() const { return folder_ + "/pipe"; }
  void write(const std::string& bytes) {
    EXPECT_EQ(::write(descriptor_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  void close() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }

 private:
  std::string folder_;
  int descriptor_ = -1;
};

// libpcap waits for the rest of a record that has begun, so whole records are written.
TEST(PcapSource, IsIdleWhileAPipeIsEmptyAndEndsWhenItIsClosed) {
  for (const bool libpcap_only : {false, true}) {
    CaptureWriter writer;
    const std::string header = writer.content();
    writer.record(1, 0, "one", 60);
    const std::string record = writer.content().substr(header.size());
    Pipe pipe;
    pipe.write(header);
    const auto source = open_both_ways(pipe.path(), libpcap_only);
    ASSERT_TRUE(source.ok());
    std::vector<Packet*> out(8);
    std::size_t count = 1;
    EXPECT_EQ((*source)->receive(out, count), ReceiveStatus::kIdle);
    EXPECT_EQ(count, 0u);
    pipe.write(record + record);
    EXPECT_EQ((*source)->receive(out, count), ReceiveStatus::kIdle);
    EXPECT_EQ(count, 2u);
    if (!libpcap_only) {
      pipe.write(record.substr(0, 17));
      EXPECT_EQ((*source)->receive(out, count), ReceiveStatus::kIdle);
      EXPECT_EQ(count, 0u);
      pipe.write(record.substr(17));
    } else {
      pipe.write(record);
    }
    EXPECT_EQ((*source)->receive(out, count), ReceiveStatus::kIdle);
    ASSERT_EQ(count, 1u);
    EXPECT_EQ(see(*out[0]).bytes, "one");
    EXPECT_EQ(out[0]->sequence, 2u);
    pipe.close();
    EXPECT_EQ((*source)->receive(out, count), ReceiveStatus::kEnd);
    EXPECT_FALSE((*source)->error().has_value());
  }
}

TEST(PcapSource, ReadsAPipeAsItFills) {
  CaptureWriter writer;
  for (std::uint32_t i = 0; i < 5'000; ++i) writer.record(i, 0, payload(i % 300), 300);
  const std::string& content = writer.content();
  Pipe pipe;
  constexpr std::size_t kPiece = 10'007;  // pieces end anywhere
  pipe.write(content.substr(0, kPiece));
  auto source = open_pcap(pipe.path(), {});
  ASSERT_TRUE(source.ok());
  std::vector<SeenPacket> packets;
  std::vector<Packet*> out(17);
  ReceiveStatus status = ReceiveStatus::kMore;
  for (std::size_t at = kPiece; status != ReceiveStatus::kEnd;) {
    std::size_t count = 0;
    status = (*source)->receive(out, count);
    for (std::size_t i = 0; i < count; ++i) {
      packets.push_back(see(*out[i]));
      out[i]->block->release(1);
    }
    if (status != ReceiveStatus::kIdle) continue;
    if (at < content.size()) pipe.write(content.substr(at, kPiece));
    at += kPiece;
    if (at >= content.size()) pipe.close();
  }
  const TemporaryFile file(content);
  EXPECT_TRUE(packets == outcome_of(file.path(), false).packets);
}

// Holds packets back in every block: their bytes must stay as they are, and the source must wait, not grow.
TEST(PcapSource, ReusesABlockOnlyWhenAllOfItsPacketsWereReleased) {
  CaptureWriter writer;
  constexpr std::uint32_t kRecords = 20'000;
  for (std::uint32_t i = 0; i < kRecords; ++i) writer.record(i, 0, std::to_string(i), 1'500);
  const TemporaryFile file(writer.content());
  for (const bool libpcap_only : {false, true}) {
    PcapOptions options;
    options.blocks = 4;
    options.libpcap_only = libpcap_only;
    auto source = open_pcap(file.path(), options);
    ASSERT_TRUE(source.ok());
    std::vector<Packet*> held;
    std::vector<Packet*> out(32);
    std::uint32_t next = 0;
    std::size_t idles = 0;
    for (ReceiveStatus status = ReceiveStatus::kMore; status != ReceiveStatus::kEnd;) {
      std::size_t count = 0;
      status = (*source)->receive(out, count);
      for (std::size_t i = 0; i < count; ++i) held.push_back(out[i]);
      if (status == ReceiveStatus::kMore) continue;
      ASSERT_LE(held.size(), 4 * 512u);
      idles += status == ReceiveStatus::kIdle;
      std::size_t count_again = 1;
      if (status == ReceiveStatus::kIdle) {
        EXPECT_EQ((*source)->receive(out, count_again), ReceiveStatus::kIdle);
        EXPECT_EQ(count_again, 0u);
      }
      for (Packet* packet : held) {
        ASSERT_EQ(see(*packet).bytes, std::to_string(next++));
        packet->block->release(1);
      }
      held.clear();
    }
    EXPECT_EQ(next, kRecords);
    EXPECT_GT(idles, 5u);
    EXPECT_EQ((*source)->statistics().received, kRecords);
    EXPECT_EQ((*source)->statistics().bytes, kRecords * 1'500u);
    EXPECT_EQ((*source)->statistics().bytes_read, writer.content().size());
    EXPECT_EQ((*source)->statistics().bytes_total, writer.content().size());
  }
}

// A worker on another thread reads and releases while the source goes on: for the thread sanitizer.
TEST(PcapSource, WorkersReleaseWhileTheSourceGoesOn) {
  CaptureWriter writer;
  for (std::uint32_t i = 0; i < 30'000; ++i) writer.record(i, 0, payload(60, static_cast<char>(i)), 60);
  const TemporaryFile file(writer.content());
  PcapOptions options;
  options.blocks = 3;
  auto source = open_pcap(file.path(), options);
  ASSERT_TRUE(source.ok());
  std::array<std::atomic<Packet*>, 256> ring{};
  std::atomic<bool> done{false};
  std::uint64_t wrong = 0, seen = 0;
  std::thread worker([&] {
    for (std::size_t at = 0;; ++at) {
      Packet* packet = nullptr;
      while ((packet = ring[at % ring.size()].exchange(nullptr, std::memory_order_acquire)) == nullptr) {
        if (done.load(std::memory_order_acquire) && ring[at % ring.size()].load() == nullptr) return;
        std::this_thread::yield();
      }
      for (const std::uint8_t byte : packet->bytes()) wrong += byte != static_cast<std::uint8_t>(seen);
      ++seen;
      packet->block->release(1);
    }
  });
  std::vector<Packet*> out(32);
  std::size_t at = 0;
  for (ReceiveStatus status = ReceiveStatus::kMore; status != ReceiveStatus::kEnd;) {
    std::size_t count = 0;
    status = (*source)->receive(out, count);
    for (std::size_t i = 0; i < count; ++i, ++at) {
      while (ring[at % ring.size()].load(std::memory_order_relaxed) != nullptr) std::this_thread::yield();
      ring[at % ring.size()].store(out[i], std::memory_order_release);
    }
    if (status == ReceiveStatus::kIdle) std::this_thread::yield();
  }
  done.store(true, std::memory_order_release);
  worker.join();
  EXPECT_EQ(seen, 30'000u);
  EXPECT_EQ(wrong, 0u);
}

}  // namespace
}  // namespace evenkeel::source
