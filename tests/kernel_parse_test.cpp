// The kernel program and src/packet give the same bucket to the same bytes: the program that steers is run on
// test packets, and its own counters say what it did.
#include <gtest/gtest.h>
#include <pcap/pcap.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/random.h"
#include "bpf/constants.h"
#include "bpf/images.h"
#include "bpf/object.h"
#include "packet/hash.h"
#include "packet/parse.h"

namespace evenkeel::bpf {
namespace {

constexpr std::uint32_t kBuckets = 4096;
using Bytes = std::vector<std::uint8_t>;

struct Judgement {
  packet::Verdict verdict = packet::Verdict::kConnection;
  std::uint32_t bucket = 0;
  friend bool operator==(const Judgement&, const Judgement&) = default;
};

// What src/packet says, with the kernel program's rule for fragments: all parts without ports.
Judgement judge_in_program(const Bytes& bytes, bool inner_tunnel, const packet::Hasher& hasher) {
  Packet packet;
  packet.data = bytes.data();
  packet.captured_length = packet.wire_length = static_cast<std::uint32_t>(bytes.size());
  const packet::ParseResult result = packet::parse(packet, {.inner_tunnel = inner_tunnel});
  if (!result.connection()) return {.verdict = result.verdict()};
  if ((packet.flags & Packet::kFragment) != 0) packet.key.low_port = packet.key.high_port = {};
  return {.bucket = hasher.hash_one(packet.key, packet.reversed()) & (kBuckets - 1)};
}

// The steering program, loaded but attached to nothing.
class Kernel {
 public:
  static std::unique_ptr<Kernel> load(bool inner_tunnel, std::string& why_not) {
    auto kernel = std::unique_ptr<Kernel>(new Kernel);
    kernel->object_.set_entries("bucket_states", kBuckets);
    kernel->object_.set_entries("bucket_arrivals", kBuckets);
    kernel->object_.set_configuration(evenkeel_steer_configuration{.bucket_mask = kBuckets - 1,
                                                                   .inner_tunnel = inner_tunnel,
                                                                   .gap_ns = 0,
                                                                   .batches_until_delivered = 0,
                                                                   .task_state_offset = 0});
    if (auto loaded = kernel->object_.load(); !loaded) {
      why_not = loaded.error().message;
      return nullptr;
    }
    auto states = SharedArray<evenkeel_bucket_state>::map(kernel->object_.map("bucket_states"), kBuckets);
    if (!states) {
      why_not = states.error().message;
      return nullptr;
    }
    kernel->states_ = std::move(*states);
    for (auto& state : kernel->states_.values()) {
      state.word = std::uint64_t{kTargetInline} << kStateTargetShift | kTargetNone;
    }
    return kernel;
  }

  // Nothing: the counters do not add up to one packet in one place.
  std::optional<Judgement> judge(const Bytes& bytes, std::uint32_t bucket_expected) {
    const std::uint64_t bytes_before = states_[bucket_expected].bytes;
    const std::uint64_t malformed = counter(kSteerMalformed);
    const std::uint64_t unclassified = counter(kSteerUnclassified);
    const std::uint64_t in_place = counter(kSteerInline);
    auto run = test_run(object_.program("evenkeel_steer"), bytes);
    EXPECT_TRUE(run.ok()) << run.error().message;
    EXPECT_EQ(*run, 2u) << "XDP_PASS";
    if (counter(kSteerMalformed) == malformed + 1) return Judgement{.verdict = packet::Verdict::kMalformed};
    if (counter(kSteerUnclassified) == unclassified + 1)
      return Judgement{.verdict = packet::Verdict::kUnclassified};
    if (counter(kSteerInline) != in_place + 1) return std::nullopt;
    if (states_[bucket_expected].bytes != bytes_before + bytes.size()) return std::nullopt;
    return Judgement{.bucket = bucket_expected};
  }

 private:
  Kernel() : object_(Object::open(steer_image())) {}
  std::uint64_t counter(std::uint32_t which) {
    auto value = read_per_cpu_sum<std::uint64_t>(object_.map("counters"), which);
    EXPECT_TRUE(value.ok());
    return *value;
  }
  Object object_;
  SharedArray<evenkeel_bucket_state> states_;
};

std::string hex(const Bytes& bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    text += {kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return text;
}

// Frames of every kind that the parsers know, put together at random.
class FrameMaker {
 public:
  explicit FrameMaker(std::uint64_t seed) : random_(seed) {}

  Bytes make() {
    frame_.clear();
    add_noise(12);
    add_link();
    const std::size_t padding = below(8) == 0 ? below(30) : 0;
    add_noise(padding);
    damage();
    while (frame_.size() < 14) frame_.push_back(0);
    return frame_;
  }

 private:
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_.below(bound)); }
  void add8(std::size_t value) { frame_.push_back(static_cast<std::uint8_t>(value)); }
  void add16(std::size_t value) {
    add8(value >> 8);
    add8(value);
  }
  void add_noise(std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) add8(below(256));
  }

  void add_link() {
    for (std::size_t tags = below(4) == 0 ? below(11) : 0; tags > 0; --tags) add_link_header();
    add_network_type();
  }

  void add_link_header() {
    if (below(16) == 0) {  // FabricPath: a tag, then a whole Ethernet frame
      add16(0x8903);
      return add_noise(2 + 12);
    }
    constexpr std::array<std::size_t, 5> kVlanTypes{0x8100, 0x88a8, 0x9100, 0x9200, 0x8100};
    add16(kVlanTypes[below(kVlanTypes.size())]);
    add_noise(2);
  }

  void add_network_type() {
    switch (below(14)) {
      case 0:
        return add_pppoe();
      case 1:
        return add_mpls();
      case 2:
        return add_llc();
      case 3:
        add16(below(3) == 0 ? 0x6558 : below(2) == 0 ? 0x0806 : below(65536));
        return add_noise(below(60));
      default: {
        const bool six = below(2) == 0;
        add16(six ? 0x86dd : 0x0800);
        return add_ip(six, 3);
      }
    }
  }

  void add_pppoe() {
    add16(0x8864);
    add8(0x11);
    add8(below(6) == 0 ? 9 : 0);
    add_noise(4);
    const bool six = below(2) == 0;
    if (below(2) == 0) add8(0);
    add8(below(8) == 0 ? 0xc0 : six ? 0x57 : 0x21);
    add_ip(six, 2);
  }

  void add_mpls() {
    add16(below(2) == 0 ? 0x8847 : 0x8848);
    for (std::size_t labels = below(6) == 0 ? below(10) : below(3); labels > 0; --labels) {
      add_noise(2);
      add8(below(128) * 2);
      add8(64);
    }
    add_noise(2);
    add8(1);
    add8(64);
    if (below(3) != 0) return add_ip(below(2) == 0, 2);
    add_noise(below(5) == 0 ? 4 : 0);
    add8(below(16));
    add_noise(3);
    add_noise(12);
    add_link();
  }

  void add_llc() {
    add16(below(1501));
    for (const std::size_t byte : {0xaa, 0xaa, 3, 0, 0}) add8(byte);
    add8(below(5) == 0 ? 1 : 0);
    const bool six = below(2) == 0;
    add16(six ? 0x86dd : 0x0800);
    add_ip(six, 1);
  }

  void add_ip(bool six, int tunnels) { six ? add_ipv6(tunnels) : add_ipv4(tunnels); }

  std::size_t pick_protocol() {
    constexpr std::array<std::size_t, 12> kProtocols{6, 17, 6, 17, 132, 1, 58, 4, 41, 47, 51, 17};
    return kProtocols[below(kProtocols.size())];
  }

  void add_ipv4(int tunnels) {
    const std::size_t words = below(4) == 0 ? below(16) : 5;
    const std::size_t at = frame_.size();
    const std::size_t protocol = pick_protocol();
    add8(0x40 | words);
    add8(0);
    add16(0);
    add_noise(2);
    constexpr std::array<std::size_t, 6> kFragments{0x4000, 0x2000, 0x00b9, 0x20b9, 0x8000, 0x0100};
    add16(below(6) == 0 ? kFragments[below(kFragments.size())] : 0);
    add8(64);
    add8(protocol);
    add_noise(2 + 8);
    add_noise(words > 5 ? (words - 5) * 4 : 0);
    if (protocol == 51) add_extension(pick_protocol(), true);
    add_transport(protocol, tunnels);
    set_length(at + 2, frame_.size() - at);
  }

  void add_ipv6(int tunnels) {
    const std::size_t at = frame_.size();
    add8(0x60);
    add_noise(3);
    add16(0);
    const std::size_t extensions = below(3) == 0 ? below(11) : 0;
    const std::size_t protocol = pick_protocol();
    constexpr std::array<std::size_t, 5> kExtensions{0, 43, 44, 51, 60};
    std::size_t next = extensions > 0 ? kExtensions[below(5)] : protocol;
    add8(next);
    add8(64);
    add_noise(32);
    for (std::size_t i = 0; i < extensions; ++i) {
      const std::size_t after = i + 1 < extensions ? kExtensions[below(5)] : protocol;
      next == 44 ? add_fragment_header(after) : add_extension(after, next == 51);
      next = after;
    }
    add_transport(protocol, tunnels);
    set_length(at + 4, frame_.size() - at - 40);
  }

  void add_extension(std::size_t next, bool authentication) {
    add8(next);
    const std::size_t length = authentication ? 1 + below(4) : below(3);
    add8(length);
    add_noise((authentication ? (length + 2) * 4 : (length + 1) * 8) - 2);
  }

  void add_fragment_header(std::size_t next) {
    add8(next);
    add8(0);
    add16(below(3) == 0 ? below(65536) : below(2));
    add_noise(4);
  }

  // Mostly right; sometimes 0 (large sends), or wrong.
  void set_length(std::size_t at, std::size_t length) {
    const std::size_t kind = below(12);
    const std::size_t stated = kind == 0 ? 0 : kind == 1 ? below(120) : length;
    frame_[at] = static_cast<std::uint8_t>(stated >> 8);
    frame_[at + 1] = static_cast<std::uint8_t>(stated);
  }

  void add_transport(std::size_t protocol, int tunnels) {
    if (tunnels > 0 && protocol == 4) return add_ip(false, tunnels - 1);
    if (tunnels > 0 && protocol == 41) return add_ip(true, tunnels - 1);
    if (tunnels > 0 && protocol == 47) return add_gre(tunnels - 1);
    if (tunnels > 0 && protocol == 17 && below(2) == 0) return add_udp_tunnel(tunnels - 1);
    add_noise(below(5) == 0 ? below(8) : 20);
  }

  void add_gre(int tunnels) {
    const std::size_t flags = below(4) == 0 ? below(65536) : below(8) << 12 & 0xb000;
    const std::size_t kind = below(3);
    add16(flags);
    add16(kind == 0 ? 0x0800 : kind == 1 ? 0x86dd : 0x6558);
    for (const std::size_t bit : {0x8000, 0x2000, 0x1000}) add_noise((flags & bit) != 0 ? 4 : 0);
    if (kind < 2) return add_ip(kind == 1, tunnels);
    add_inner_ethernet(tunnels);
  }

  void add_inner_ethernet(int tunnels) {
    add_noise(12);
    const bool six = below(2) == 0;
    if (below(4) == 0) add_link_header();
    add16(six ? 0x86dd : 0x0800);
    add_ip(six, tunnels);
  }

  void add_udp_tunnel(int tunnels) {
    constexpr std::array<std::size_t, 5> kPorts{4789, 8472, 6081, 2152, 2152};
    const std::size_t kind = below(kPorts.size());
    const bool reply = kind == 4;
    add16(reply ? kPorts[kind] : below(65536));
    add16(reply ? below(65536) : kPorts[kind]);
    add_noise(4);
    if (kind < 2) return add_vxlan(tunnels);
    kind == 2 ? add_geneve(tunnels) : add_gtp(tunnels);
  }

  void add_vxlan(int tunnels) {
    add8(below(6) == 0 ? 0 : 8);
    add_noise(7);
    add_inner_ethernet(tunnels);
  }

  void add_geneve(int tunnels) {
    const std::size_t options = below(4);
    const std::size_t kind = below(3);
    add8(below(8) == 0 ? 0x40 : options);
    add8(0);
    add16(kind == 0 ? 0x0800 : kind == 1 ? 0x86dd : 0x6558);
    add_noise(4 + options * 4);
    if (kind < 2) return add_ip(kind == 1, tunnels);
    add_inner_ethernet(tunnels);
  }

  void add_gtp(int tunnels) {
    const std::size_t flags = below(8);
    add8(0x30 | flags);
    add8(below(8) == 0 ? 1 : 255);
    add_noise(6);
    if (flags != 0) {
      add_noise(3);
      std::size_t extensions = below(4) == 0 ? below(11) : below(3);
      add8(extensions > 0 ? 0x85 : 0);
      for (; (flags & 4) != 0 && extensions > 0; --extensions) {
        add8(below(10) == 0 ? 0 : 1);
        add_noise(2);
        add8(extensions > 1 ? 0x85 : 0);
      }
    }
    add_ip(below(2) == 0, tunnels);
  }

  void damage() {
    const std::size_t kind = below(6);
    if (kind == 0) frame_.resize(below(frame_.size() + 1));
    for (std::size_t flips = kind == 1 ? 1 + below(3) : 0; flips > 0; --flips) {
      frame_[below(frame_.size())] ^= static_cast<std::uint8_t>(1 << below(8));
    }
  }

  base::Random random_;
  Bytes frame_;
};

class ParseTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "loading kernel programs needs root";
    std::string why_not;
    kernel_ = Kernel::load(GetParam(), why_not);
    ASSERT_NE(kernel_, nullptr) << why_not;
  }

  void expect_same(const Bytes& bytes) {
    const Judgement expected = judge_in_program(bytes, GetParam(), hasher_);
    const auto actual = kernel_->judge(bytes, expected.bucket);
    ASSERT_TRUE(actual.has_value()) << "another bucket than " << expected.bucket << " for " << hex(bytes);
    ASSERT_EQ(static_cast<int>(actual->verdict), static_cast<int>(expected.verdict)) << hex(bytes);
    ++verdicts_[static_cast<std::size_t>(expected.verdict)];
  }

  std::unique_ptr<Kernel> kernel_;
  packet::Hasher hasher_ = *packet::Hasher::make("toeplitz", "symmetric");
  std::array<int, 3> verdicts_{};
};

TEST_P(ParseTest, RandomFramesHaveTheSameVerdictAndBucketInKernelAndProgram) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  FrameMaker maker(seed);
  for (int i = 0; i < 30'000 && !HasFatalFailure(); ++i) expect_same(maker.make());
  for (const int count : verdicts_) EXPECT_GT(count, 100) << "the frames should have every verdict";
}

TEST_P(ParseTest, CapturedFramesHaveTheSameVerdictAndBucketInKernelAndProgram) {
  constexpr std::size_t kFrameMax = 3'000;  // what a test run accepts
  const std::filesystem::path shared = EVENKEEL_SHARED_DIR "/traces";
  if (!std::filesystem::exists(shared)) GTEST_SKIP() << "no captures at " << shared;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(shared)) {
    char error[PCAP_ERRBUF_SIZE];
    pcap_t* const capture = pcap_open_offline(entry.path().c_str(), error);
    if (capture == nullptr) continue;
    pcap_pkthdr* header = nullptr;
    const std::uint8_t* data = nullptr;
    SCOPED_TRACE(entry.path().string());
    for (int i = 0;
         i < 2'000 && pcap_datalink(capture) == DLT_EN10MB && pcap_next_ex(capture, &header, &data) == 1;
         ++i) {
      if (header->caplen < 14 || header->caplen > kFrameMax) continue;
      expect_same(Bytes(data, data + header->caplen));
      if (HasFatalFailure()) break;
    }
    pcap_close(capture);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(verdicts_[0], 1'000);
}

INSTANTIATE_TEST_SUITE_P(Tunnels, ParseTest, testing::Bool(),
                         [](const auto& parameter) { return parameter.param ? "Inside" : "Outside"; });

}  // namespace
}  // namespace evenkeel::bpf
