// usage: fuzz_parse_seeds FOLDER: writes one seed for fuzz_parse for each kind of packet.
#include <filesystem>
#include <string>

#include "packet_builder.h"

int main(int argc, char** argv) {
  using namespace evenkeel::tests;
  if (argc != 2) return 2;
  std::filesystem::create_directories(argv[1]);
  int number = 0;
  for (const TestPacket& packet : packets_of_every_kind()) {
    Bytes seed = {static_cast<std::uint8_t>(packet.link), 1, 0};
    seed.insert(seed.end(), packet.bytes.begin(), packet.bytes.end());
    write_file(std::filesystem::path(argv[1]) / std::to_string(number++), seed);
  }
  return 0;
}
