// usage: fuzz_c_api_seeds FOLDER: writes programs that make an engine and run it, as seeds for fuzz_c_api.
#include <filesystem>
#include <string>
#include <vector>

#include "packet_builder.h"

namespace {

using evenkeel::tests::Bytes;

// Calls by their places in kCalls, and names and values by theirs in the lists of c_api.cpp. All handles are
// the first of their kind.
const Bytes kOptionsNew = {0, 0};
const Bytes kRun = {15, 0, 1};
const Bytes kReport = {17, 0, 1};
const Bytes kStart = {13, 0};
const Bytes kStopAndWait = {14, 0, 15, 0, 0};

Bytes set(std::uint8_t name, std::uint8_t value) { return {2, 0, name, value}; }
Bytes make(std::uint8_t handler) { return {11, 0, 0, handler}; }

Bytes push(std::size_t count) {
  const auto packet = evenkeel::tests::PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").udp(1000, 53).build();
  Bytes calls;
  for (std::size_t i = 0; i < count; ++i) {
    calls.insert(calls.end(), {7, 0, static_cast<std::uint8_t>(packet.bytes.size())});
    calls.insert(calls.end(), packet.bytes.begin(), packet.bytes.end());
    calls.insert(calls.end(), {static_cast<std::uint8_t>(1 + i), 30});
  }
  return calls;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::filesystem::create_directories(argv[1]);
  const std::vector<std::vector<Bytes>> programs = {
      {{0}, kOptionsNew, set(0, 0), make(11), kRun, kReport},
      {{1}, kOptionsNew, set(0, 1), set(1, 0), make(2), kStart, kReport, kStopAndWait},
      {{1}, kOptionsNew, set(0, 2), set(2, 4), set(6, 16), set(8, 15), make(20), kRun, make(11), kRun},
      {{0}, kOptionsNew, set(0, 5), make(17), kStart, kReport, kStopAndWait, kReport},
      {{0}, kOptionsNew, {4, 0, 1}, {6, 0, 0}, make(11), kStart, push(6), {9, 0, 5, 30, 10, 0}, kStopAndWait},
      {{1}, kOptionsNew, {4, 0, 0}, {6, 0, 0}, make(29), kStart, push(3), {5, 0}, push(1), {18, 0}},
  };
  int number = 0;
  for (const auto& program : programs) {
    Bytes seed;
    for (const Bytes& call : program) seed.insert(seed.end(), call.begin(), call.end());
    evenkeel::tests::write_file(std::filesystem::path(argv[1]) / std::to_string(number++), seed);
  }
  return 0;
}
