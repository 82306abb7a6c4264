// usage: fuzz_capture_seeds FOLDER: writes captures of both formats, in both byte orders and units, whole and
// cut, as seeds for fuzz_capture.
#include <filesystem>
#include <string>
#include <vector>

#include "packet_builder.h"

int main(int argc, char** argv) {
  using namespace evenkeel::tests;
  if (argc != 2) return 2;
  std::filesystem::create_directories(argv[1]);
  std::vector<TestPacket> packets;
  for (const TestPacket& packet : packets_of_every_kind()) {
    if (packet.link == evenkeel::LinkType::kEthernet && packets.size() < 8)
      packets.push_back(packet.at(static_cast<std::int64_t>(packets.size()) * 300'000'000));
  }
  int number = 0;
  const auto write = [&](std::uint8_t choice, const Bytes& file) {
    Bytes seed = {choice};
    seed.insert(seed.end(), file.begin(), file.end());
    write_file(std::filesystem::path(argv[1]) / std::to_string(number++), seed);
  };
  for (const bool big_endian : {false, true}) {
    for (const bool nanoseconds : {false, true}) {
      const CaptureFormat format{.big_endian = big_endian, .nanoseconds = nanoseconds};
      for (Bytes file : {pcap_file(packets, format), pcapng_file(packets, format)}) {
        write(static_cast<std::uint8_t>(number % 16), file);
        file.resize(file.size() - 7);
        write(static_cast<std::uint8_t>(number % 16), file);
      }
    }
  }
  return 0;
}
