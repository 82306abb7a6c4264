#include "source/generator/generator_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <tuple>

#include "source/generator/spec.h"
#include "source/test_capture.h"

namespace evenkeel::source {
namespace {

using ::testing::HasSubstr;

GeneratorOptions small(std::uint64_t seed = 1, std::uint64_t packets = 60'000) {
  GeneratorOptions options;
  options.connections = 300;
  options.packets = packets;
  options.seed = seed;
  return options;
}

std::vector<SeenPacket> generate(const Profile& profile, const GeneratorOptions& options) {
  GeneratorSource source(profile, options);
  return drain(source).packets;
}

// A frame taken apart by an independent, slow reading of the RFCs.
struct Frame {
  explicit Frame(const SeenPacket& packet) : bytes(packet.bytes) {
    ipv6 = word(12) == 0x86dd;
    transport = 14 + (ipv6 ? 40 : 20);
    udp = at(ipv6 ? 20 : 23) == 17;
    ip_total = ipv6 ? word(18) + 40 : word(16);
    const std::size_t width = ipv6 ? 16 : 4;
    const std::size_t addresses = ipv6 ? 22 : 26;
    source = bytes.substr(addresses, width) + bytes.substr(transport, 2);
    destination = bytes.substr(addresses + width, width) + bytes.substr(transport + 2, 2);
  }
  std::uint8_t at(std::size_t i) const { return static_cast<std::uint8_t>(bytes[i]); }
  std::uint32_t word(std::size_t i) const { return at(i) << 8 | at(i + 1); }
  std::uint32_t long_word(std::size_t i) const { return word(i) << 16 | word(i + 2); }
  std::uint8_t tcp_flags() const { return at(transport + 13); }
  std::uint32_t transport_length() const { return ip_total - static_cast<std::uint32_t>(transport - 14); }
  std::uint32_t payload_length() const { return transport_length() - (udp ? 8 : 20); }
  std::uint32_t sum(std::size_t from, std::size_t to) const {
    std::uint32_t total = 0;
    for (std::size_t i = from; i < to; i += 2) total += word(i);
    return total;
  }
  static std::uint32_t fold(std::uint32_t sum) {
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    return sum;
  }

  std::string bytes, source, destination;
  bool ipv6 = false, udp = false;
  std::size_t transport = 0;
  std::uint32_t ip_total = 0;
};

class EveryProfile : public testing::TestWithParam<const Profile*> {};
INSTANTIATE_TEST_SUITE_P(Generator, EveryProfile, testing::ValuesIn([] {
                           std::vector<const Profile*> all;
                           for (const Profile& profile : profiles()) all.push_back(&profile);
                           return all;
                         }()),
                         [](const auto& profile) {
                           std::string name(profile.param->name);
                           std::erase(name, '-');
                           return name;
                         });

TEST_P(EveryProfile, SameSeedGivesTheSameBytesAndAnotherSeedOthers) {
  const auto one = generate(*GetParam(), small(7));
  EXPECT_EQ(one, generate(*GetParam(), small(7)));
  EXPECT_NE(one, generate(*GetParam(), small(8)));
}

TEST_P(EveryProfile, GivesAsManyPacketsAsAskedForInUnbrokenSequenceAndForwardTime) {
  const auto packets = generate(*GetParam(), small());
  ASSERT_EQ(packets.size(), 60'000u);
  for (std::size_t i = 0; i < packets.size(); ++i) {
    ASSERT_EQ(packets[i].sequence, i);
    if (i > 0) {
      ASSERT_GE(packets[i].time_ns, packets[i - 1].time_ns);
    }
  }
}

TEST_P(EveryProfile, KeepsItsMeanRate) {
  for (const std::uint64_t rate : {1'000u, 1'000'000u, 100'000'000u}) {
    GeneratorOptions options = small();
    options.packets_per_second = rate;
    const auto packets = generate(*GetParam(), options);
    const double seconds = static_cast<double>(packets.back().time_ns - PacketClock::kStartNs) / 1e9;
    EXPECT_NEAR(static_cast<double>(packets.size()) / seconds / static_cast<double>(rate), 1.0, 0.1) << rate;
  }
}

TEST_P(EveryProfile, FramesHaveRightLengthsAndChecksums) {
  for (const SeenPacket& packet : generate(*GetParam(), small())) {
    const Frame frame(packet);
    ASSERT_EQ(packet.wire_length, std::max(60u, 14 + frame.ip_total));
    ASSERT_EQ(packet.captured_length, std::min(96u, packet.wire_length));
    ASSERT_LE(packet.wire_length, 1'514u);
    if (!frame.ipv6) {
      ASSERT_EQ(Frame::fold(frame.sum(14, 34)), 0xffffu);
    }
    // The payload is all zeros: it adds nothing to the sum, captured or not.
    const std::uint32_t pseudo =
        frame.sum(frame.ipv6 ? 22 : 26, frame.transport) + frame.transport_length() + (frame.udp ? 17 : 6);
    const std::size_t header_end = frame.transport + (frame.udp ? 8 : 20);
    ASSERT_EQ(Frame::fold(pseudo + frame.sum(frame.transport, header_end)), 0xffffu);
    for (std::size_t i = header_end; i < frame.bytes.size(); ++i) ASSERT_EQ(frame.at(i), 0);
  }
}

// Follows every TCP conversation as its ends would.
TEST_P(EveryProfile, TcpConversationsOpenCountTheirBytesAndClose) {
  struct End {
    std::uint32_t next = 0;
    bool spoke = false;
    bool finished = false;
  };
  std::map<std::set<std::string>, std::map<std::string, End>> conversations;
  std::size_t answered = 0, closed = 0;
  for (const SeenPacket& packet : generate(*GetParam(), small())) {
    const Frame frame(packet);
    if (frame.udp) continue;
    auto& ends = conversations[{frame.source, frame.destination}];
    End& own = ends[frame.source];
    End& other = ends[frame.destination];
    const bool syn = (frame.tcp_flags() & 2) != 0;
    const bool ack = (frame.tcp_flags() & 16) != 0;
    const std::uint32_t sequence = frame.long_word(frame.transport + 4);
    if (own.finished && other.finished && syn) ends = {};
    ASSERT_EQ(syn, !own.spoke) << "each end begins with SYN, and sends it once";
    ASSERT_EQ(ack, other.spoke);
    if (own.spoke) {
      ASSERT_EQ(sequence, own.next);
    }
    if (ack) {
      ASSERT_EQ(frame.long_word(frame.transport + 8), other.next);
    }
    const bool fin = (frame.tcp_flags() & 1) != 0;
    answered += syn && ack;
    own = {sequence + frame.payload_length() + (syn || fin ? 1 : 0), true, own.finished || fin};
    closed += fin && other.finished;
  }
  EXPECT_GT(answered, 100u);
  RecordProperty("closed", static_cast<int>(closed));
}

TEST(Generator, CampusUsesBothDirectionsBothFamiliesAndBothProtocolsAndClosesConnections) {
  std::map<std::tuple<bool, bool, bool>, std::size_t> kinds;
  std::size_t fins = 0;
  for (const SeenPacket& packet : generate(*find_profile("campus"), small())) {
    const Frame frame(packet);
    ++kinds[{frame.ipv6, frame.udp, frame.at(5) == 1}];
    fins += !frame.udp && (frame.tcp_flags() & 1) != 0;
  }
  EXPECT_EQ(kinds.size(), 8u);
  EXPECT_GT(fins, 100u);
}

TEST(Generator, ReusesABlockOnlyWhenAllOfItsPacketsWereReleased) {
  GeneratorOptions options = small(3, 10'000);
  options.blocks = 2;
  GeneratorSource source(*find_profile("campus"), options);
  const auto expected = generate(*find_profile("campus"), options);
  std::vector<Packet*> out(10'000);
  std::size_t next = 0;
  for (ReceiveStatus status = ReceiveStatus::kIdle; status == ReceiveStatus::kIdle;) {
    std::size_t count = 0;
    status = source.receive(out, count);
    ASSERT_LE(count, 2 * 512u);
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_EQ(see(*out[i]), expected[next++]);
      out[i]->block->release(1);
    }
  }
  EXPECT_EQ(next, 10'000u);
}

TEST(GeneratorSpec, TakesOptionsAfterTheName) {
  const auto spec = parse_generator_spec("campus,connections=10k,packets=5M,rate=2000000,seed=9", {});
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(spec->profile->name, "campus");
  EXPECT_EQ(spec->options.connections, 10'000u);
  EXPECT_EQ(spec->options.packets, 5'000'000u);
  EXPECT_EQ(spec->options.packets_per_second, 2'000'000u);
  EXPECT_EQ(spec->options.seed, 9u);
}

TEST(GeneratorSpec, RefusesTheUnknownAndSaysWhatThereIs) {
  const auto refused = [](std::string_view text, const std::string& why) {
    const auto spec = parse_generator_spec(text, {});
    ASSERT_FALSE(spec.ok()) << text;
    EXPECT_EQ(spec.error().kind, ErrorKind::kUsage);
    EXPECT_THAT(spec.error().message, HasSubstr(why));
  };
  refused("whales", "profile 'whales' is unknown; there are ");
  refused("", "profile '' is unknown");
  refused("campus,speed=3", "option 'speed=3' is unknown; there are connections=N");
  refused("campus,", "option '' is unknown");
  refused("campus,packets", "packets: '' is not a whole number from 1");
  refused("campus,packets=-1", "'-1' is not a whole number");
  refused("campus,packets=1x", "'1x' is not a whole number");
  refused("campus,connections=99999999999999999999", "is not a whole number from 1 to 4194304");
  refused("campus,connections=0", "is not a whole number from 1 to 4194304");
  refused("campus,rate=10", "is not a whole number from 1000 to 1000000000");
}

TEST(SizeDistribution, DrawsItsMeanAndStaysInItsRange) {
  static constexpr SizePoint kPoints[] = {{100, 0}, {200, 0.5}, {10'000, 1}};
  const SizeDistribution sizes{kPoints};
  base::Random random(5);
  double sum = 0;
  int small_ones = 0;
  constexpr int kDraws = 200'000;
  for (int i = 0; i < kDraws; ++i) {
    const std::uint32_t size = sizes.draw(random);
    ASSERT_GE(size, 100u);
    ASSERT_LE(size, 10'000u);
    small_ones += size <= 200;
    sum += size;
  }
  EXPECT_NEAR(sum / kDraws / sizes.mean_bytes(), 1.0, 0.02);
  EXPECT_NEAR(small_ones / static_cast<double>(kDraws), 0.5, 0.01);
}

}  // namespace
}  // namespace evenkeel::source
