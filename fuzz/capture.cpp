// Fuzzer of captures as input: any bytes as a file. Classic records are walked in two ways, by the block
// reader and by libpcap: both must give the same packets and end in the same way. Then once more as a run
// reads it, filtered, limited in time and merged with itself.
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "evenkeel/source.h"
#include "fuzz/support.h"
#include "source/make_source.h"
#include "source/pcap/pcap_source.h"

namespace evenkeel::fuzz {
namespace {

struct Seen {
  std::int64_t time_ns;
  std::uint32_t wire_length;
  LinkType link;
  std::vector<std::uint8_t> bytes;
  friend bool operator==(const Seen&, const Seen&) = default;
};

struct Outcome {
  std::vector<Seen> packets;
  std::string error;  // of opening, or of the end
};

// Every byte of every packet is read, so that AddressSanitizer sees where they lie.
Outcome read_all(Result<std::unique_ptr<Source>> source) {
  Outcome outcome;
  if (!source) {
    check_error(source.error());
    outcome.error = source.error().message;
    return outcome;
  }
  std::array<Packet*, 64> burst;
  for (ReceiveStatus status = ReceiveStatus::kMore;
       status == ReceiveStatus::kMore || status == ReceiveStatus::kIdle;) {
    std::size_t count = 0;
    status = (*source)->receive(burst, count);
    CHECK(count <= burst.size());
    for (std::size_t i = 0; i < count; ++i) {
      const Packet& packet = *burst[i];
      CHECK(packet.captured_length <= packet.wire_length);
      const auto bytes = packet.bytes();
      outcome.packets.push_back(
          {packet.time_ns, packet.wire_length, packet.link, {bytes.begin(), bytes.end()}});
      packet.block->release(1);
    }
  }
  const auto error = (*source)->error();
  if (error) check_error(*error);
  outcome.error = error ? error->message : "";
  CHECK((*source)->statistics().received == outcome.packets.size());
  return outcome;
}

void run(const std::uint8_t* data, std::size_t size) {
  static MemoryFile file;
  Input input(data, size);
  const std::uint8_t choice = input.byte();
  file.fill(input.rest());
  // Few blocks: a source that keeps one hangs here.
  const Outcome walked = read_all(source::open_pcap(file.path(), {.blocks = 2}));
  const Outcome by_libpcap = read_all(source::open_pcap(file.path(), {.blocks = 2, .libpcap_only = true}));
  CHECK(walked.packets == by_libpcap.packets);
  CHECK(walked.error.empty() == by_libpcap.error.empty());
  if ((choice & 8) == 0) return;  // what follows reserves as much memory as a run: it takes its time
  source::SourceOptions options;
  if ((choice & 1) != 0) options.filter = "tcp or vlan";
  if ((choice & 2) != 0) options.duration_ns = 1'000'000'000;
  const std::vector<std::string> specs((choice & 4) != 0 ? 2 : 1, "pcap:" + file.path());
  const Outcome merged = read_all(source::make_source(specs, options));
  CHECK(merged.packets.size() <= walked.packets.size() * specs.size());
}

}  // namespace
}  // namespace evenkeel::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  evenkeel::fuzz::run(data, size);
  return 0;
}
