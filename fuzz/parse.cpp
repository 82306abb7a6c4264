// Fuzzer of src/packet: any bytes, of any link type, snapped anywhere, with tunnels and without. The memory
// is exactly as large as what was captured, so that AddressSanitizer sees every read beyond it; what parse()
// says of itself is checked, and the packet goes through the fragment tracker and every hash.
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>

#include "base/check.h"
#include "packet/fragments.h"
#include "packet/hash.h"
#include "packet/parse.h"

namespace evenkeel::packet {
namespace {

void check_fields(const Packet& packet, const ParseResult& result) {
  CHECK(packet.network_offset < packet.captured_length);
  CHECK(packet.network_offset + packet.ip_octets <= packet.wire_length);
  CHECK(packet.transport_offset < packet.captured_length);
  CHECK(packet.payload_offset <= packet.network_offset + packet.ip_octets);
  CHECK(result.fragments_count <= kDatagramsMax);
  CHECK((packet.flags & Packet::kTcpHeader) == 0 || packet.transport_offset + 20u <= packet.captured_length);
}

// All ways to compute a hash must agree.
void check_hashes(Packet& packet) {
  static const auto kHashers = std::array{*Hasher::make("toeplitz", "symmetric"),
                                          *Hasher::make("toeplitz", "standard"), *Hasher::make("crc32c", "")};
  const std::array<Packet*, 1> batch = {&packet};
  for (const Hasher& hasher : kHashers) {
    hasher.hash(batch);
    const std::uint32_t expected = packet.hash;
    for (const HashKernel& kernel : usable_kernels(hasher.state())) {
      kernel.batch(hasher.state(), batch);
      CHECK(packet.hash == expected);
    }
  }
}

void follow_fragments(Packet& packet, const ParseResult& result) {
  static FragmentTracker tracker({.datagrams_max = 64, .held_max = 16, .held_bytes_max = 1 << 16}, 1);
  static std::int64_t now_ns = 0;
  packet.now_ns = now_ns += 100'000'000;
  if (tracker.offer(packet, result) != FragmentFate::kGoesOn) return;
  while (Packet* released = tracker.take_released()) released->block->release(1);
}

// The first three bytes choose link type, options, and how much longer the packet was on the wire.
void run(const std::uint8_t* input, std::size_t size) {
  if (size < 3) return;
  const std::size_t captured = size - 3;
  const std::unique_ptr<std::uint8_t[]> bytes(new std::uint8_t[captured]);
  std::copy(input + 3, input + size, bytes.get());
  Packet packet;
  packet.data = bytes.get();
  packet.captured_length = static_cast<std::uint32_t>(captured);
  packet.wire_length = packet.captured_length + input[2] * 8u;
  packet.link = static_cast<LinkType>(input[0] % 5);
  const ParseResult result = parse(packet, {.inner_tunnel = (input[1] & 1) != 0});
  if (!result.connection()) return;
  check_fields(packet, result);
  if (result.fragments_count != 0) follow_fragments(packet, result);
  check_hashes(packet);
}

}  // namespace
}  // namespace evenkeel::packet

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  evenkeel::packet::run(data, size);
  return 0;
}
