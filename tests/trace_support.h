// Real captures, walked with libpcap, and the ground truth that an independent tool found in them.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "evenkeel/packet.h"

namespace evenkeel::tests {

// Calls `visit` with each packet, its bytes on the heap in exactly their captured size. Returns how many.
// Link types that are not parsed are walked as Ethernet: the bytes are noise then, and must do no harm.
std::uint64_t walk_capture(const std::filesystem::path& path, const std::function<void(Packet&)>& visit);

// The files of a folder of ../shared/traces, sorted; none where it is not there.
std::vector<std::filesystem::path> shared_captures(const char* folder);

struct Traffic {
  std::uint64_t frames = 0;
  std::uint64_t bytes = 0;  // of frames in the ground truth, of IP datagrams in flow records
  friend auto operator<=>(const Traffic&, const Traffic&) = default;
};

// TCP and UDP: "4 tcp 10.0.0.1 80 10.0.0.2 1000", low endpoint first, and then its traffic there and back.
using Connections = std::map<std::string, std::array<Traffic, 2>>;

// One end of a connection: IPv4 in the first 4 bytes, port in host byte order.
struct Endpoint {
  std::array<std::uint8_t, 16> address{};
  std::uint16_t port = 0;
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

// The name of a TCP or UDP connection in `Connections`, in either order of its ends.
std::string connection_name(std::uint8_t ip_version, std::uint8_t protocol, const Endpoint& one,
                            const Endpoint& other);
std::string connection_name(const ConnectionKey& key);

// What tshark found in a capture of ../shared/traces/captures: without later fragments.
Connections ground_truth_of(const std::filesystem::path& capture);

}  // namespace evenkeel::tests
