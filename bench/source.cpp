// Reading a capture and generating traffic: what a packet costs before anything is done with it.
//
//   bench_source [--rounds N] [--only NAME]
//
// A classic capture of generated traffic is written once. Compared in one run, in turn, round by round, by
// medians and by their ratio to a bare pcap_next_ex() loop: the source over libpcap, the source that walks
// records in place, the least that any reader must do (blocks by read(2), a step from record to record), and
// the generator's profiles (with their construction). Every contender adds up lengths and touches each
// packet.
#include <fcntl.h>
#include <fmt/format.h>
#include <pcap/pcap.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/units.h"
#include "source/generator/profile.h"
#include "source/make_source.h"
#include "source/pcap/classic_format.h"
#include "source/pcap/pcap_source.h"

namespace evenkeel::source {
namespace {

constexpr std::uint64_t kRecords = 1'000'000;
constexpr std::string_view kYardstick = "bare pcap_next_ex";

// The capture, removed when the program ends.
class Capture {
 public:
  Capture() {
    char path[] = "/tmp/evenkeel-bench-XXXXXX";
    const int descriptor = ::mkstemp(path);
    CHECK(descriptor >= 0);
    path_ = path;
    pcap_t* const dead =
        pcap_open_dead_with_tstamp_precision(DLT_EN10MB, 262'144, PCAP_TSTAMP_PRECISION_NANO);
    pcap_dumper_t* const dumper = pcap_dump_fopen(dead, ::fdopen(descriptor, "wb"));
    CHECK(dumper != nullptr);
    fill(dumper);
    pcap_dump_close(dumper);
    pcap_close(dead);
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  ~Capture() { std::remove(path_.c_str()); }

  const std::string& path() const { return path_; }

 private:
  static void fill(pcap_dumper_t* dumper) {
    auto source = make_source(fmt::format("generator:campus,connections=200k,packets={}", kRecords), {});
    CHECK(source.ok());
    std::array<Packet*, 64> out;
    for (ReceiveStatus status = ReceiveStatus::kMore; status != ReceiveStatus::kEnd;) {
      std::size_t count = 0;
      status = (*source)->receive(out, count);
      for (std::size_t i = 0; i < count; ++i) {
        pcap_pkthdr header{};
        header.ts.tv_sec = out[i]->time_ns / base::kNanosecondsPerSecond;
        header.ts.tv_usec = out[i]->time_ns % base::kNanosecondsPerSecond;
        header.caplen = out[i]->captured_length;
        header.len = out[i]->wire_length;
        pcap_dump(reinterpret_cast<u_char*>(dumper), &header, out[i]->data);
        out[i]->block->release(1);
      }
    }
  }

  std::string path_;
};

const Capture& capture() {
  static const Capture instance;
  return instance;
}

struct Sum {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;

  void add(const std::uint8_t* data, std::uint32_t captured_length, std::uint32_t wire_length) {
    ++packets;
    bytes += wire_length + data[captured_length / 2];
  }
};

void drain(Source& source, Sum& sum) {
  std::array<Packet*, 64> out;
  for (ReceiveStatus status = ReceiveStatus::kMore; status != ReceiveStatus::kEnd;) {
    std::size_t count = 0;
    status = source.receive(out, count);
    for (std::size_t i = 0; i < count; ++i) {
      sum.add(out[i]->data, out[i]->captured_length, out[i]->wire_length);
      out[i]->block->release(1);
    }
  }
}

Sum bare_libpcap() {
  Sum sum;
  char reason[PCAP_ERRBUF_SIZE];
  pcap_t* const handle =
      pcap_open_offline_with_tstamp_precision(capture().path().c_str(), PCAP_TSTAMP_PRECISION_NANO, reason);
  CHECK(handle != nullptr);
  pcap_pkthdr* header;
  const u_char* data;
  while (pcap_next_ex(handle, &header, &data) == 1) sum.add(data, header->caplen, header->len);
  pcap_close(handle);
  return sum;
}

Sum capture_source(bool libpcap_only) {
  Sum sum;
  auto source = open_pcap(capture().path(), {.libpcap_only = libpcap_only});
  CHECK(source.ok());
  drain(**source, sum);
  return sum;
}

// The floor: nothing that a source must do, no descriptors, no damaged files.
Sum floor_blocks() {
  constexpr std::size_t kBlockBytes = 262'144;
  Sum sum;
  static std::vector<std::uint8_t> block(kBlockBytes + kCapturedLengthMax);
  const int descriptor = ::open(capture().path().c_str(), O_RDONLY);
  CHECK(::lseek(descriptor, kClassicHeaderBytes, SEEK_SET) == kClassicHeaderBytes);
  std::size_t left = 0;
  for (ssize_t got; (got = ::read(descriptor, block.data() + left, kBlockBytes)) > 0;) {
    const std::uint8_t* at = block.data();
    const std::uint8_t* const end = at + left + got;
    while (end - at >= static_cast<std::ptrdiff_t>(kClassicRecordHeaderBytes)) {
      const ClassicRecord record = decode_record<false>(at, 1);
      if (end - at < static_cast<std::ptrdiff_t>(kClassicRecordHeaderBytes + record.captured_length)) break;
      sum.add(at + kClassicRecordHeaderBytes, record.captured_length, record.wire_length);
      at += kClassicRecordHeaderBytes + record.captured_length;
    }
    left = static_cast<std::size_t>(end - at);
    std::memmove(block.data(), at, left);
  }
  ::close(descriptor);
  return sum;
}

Sum generate(std::string_view profile) {
  Sum sum;
  auto source = make_source(fmt::format("generator:{},packets={}", profile, kRecords), {});
  CHECK(source.ok());
  drain(**source, sum);
  return sum;
}

struct Contender {
  std::string name;
  std::function<Sum()> run;
  std::vector<double> ns_a_packet;       // of each round
  std::vector<double> ratio_to_libpcap;  // of each round
};

std::vector<Contender> contenders() {
  std::vector<Contender> all;
  const auto add = [&all](std::string name, std::function<Sum()> run) {
    all.push_back({std::move(name), std::move(run), {}, {}});
  };
  add(std::string(kYardstick), bare_libpcap);
  add("source over libpcap", [] { return capture_source(true); });
  add("source, records in place", [] { return capture_source(false); });
  add("floor", floor_blocks);
  for (const Profile& profile : profiles()) {
    add(fmt::format("generator:{}", profile.name), [&profile] { return generate(profile.name); });
  }
  return all;
}

void time_once(Contender& contender) {
  const auto start = std::chrono::steady_clock::now();
  const Sum sum = contender.run();
  const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
  CHECK(sum.packets == kRecords && sum.bytes > 0);
  contender.ns_a_packet.push_back(taken.count() / static_cast<double>(sum.packets));
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void measure(std::vector<Contender>& all, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    for (Contender& contender : all) time_once(contender);
    for (Contender& contender : all) {
      contender.ratio_to_libpcap.push_back(contender.ns_a_packet.back() / all.front().ns_a_packet.back());
    }
  }
}

int run(int rounds, const std::string& only) {
  std::vector<Contender> all = contenders();
  if (!only.empty()) std::erase_if(all, [&only](const Contender& c) { return c.name != only; });
  if (all.empty()) {
    fmt::print(stderr, "bench_source: there is no '{}'\n", only);
    return 2;
  }
  capture();  // written before anything is timed
  measure(all, rounds);
  fmt::print("{:26}{:>14}{:>22}\n", "", "ns a packet", fmt::format("times {}", all.front().name));
  for (const Contender& c : all) {
    fmt::print("{:26}{:>14.1f}{:>22.2f}\n", c.name, median(c.ns_a_packet), median(c.ratio_to_libpcap));
  }
  return 0;
}

}  // namespace
}  // namespace evenkeel::source

int main(int argc, char** argv) {
  CLI::App app{"What a packet costs before anything is done with it", "bench_source"};
  int rounds = 7;
  std::string only;
  app.add_option("--rounds", rounds, "Rounds; in each, all take their turn")->check(CLI::PositiveNumber);
  app.add_option("--only", only, "One contender by its name, for a profiler");
  CLI11_PARSE(app, argc, argv);
  return evenkeel::source::run(rounds, only);
}
