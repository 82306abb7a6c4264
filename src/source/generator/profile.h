// The traffic that the generator can make: named profiles, each a few groups of connections.
//
// A group holds a share of the profile's connections and of its packets; inside it all connections are
// equally likely to send next. A connection that ends makes room for a new one, so the number of live ones is
// constant. docs/generator.md describes the profiles for users, with their sources.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "source/generator/size_distribution.h"

namespace evenkeel::source {

struct GroupShape {
  double connection_share = 0;  // of the profile's connections; 0: one in each part
  double packet_share = 0;
  SizeDistribution sizes;
  // Packets that a connection sends in one go, on average (packet trains: Jain and Routhier, 1986).
  std::uint8_t train_packets = 1;
  // Parts that the group is divided into, each with its own share: part k has 1 / k^zipf of it.
  std::uint32_t parts = 1;
  double zipf = 0;
  bool half_open = false;  // a SYN from a random address, and its answer; no more
};

struct Profile {
  std::string_view name;
  std::string_view summary;
  std::uint32_t connections = 0;  // live at a time, by default
  double udp_share = 0;           // of connections; the rest is TCP
  double ipv6_share = 0;          // of connections; the rest is IPv4
  double upload_share = 0;        // of connections: the client sends the bulk
  std::span<const GroupShape> groups;
  // Each step, the logarithm of every part's weight moves by a normal deviate of this size, and a little back
  // towards its start. 0: loads do not wander.
  double drift = 0;
};

inline constexpr std::int64_t kDriftStepNs = 10'000'000;

// All profiles, in the order of their documentation.
std::span<const Profile> profiles();

// nullptr where there is none of that name.
const Profile* find_profile(std::string_view name);

// "mice, elephants, campus, ..."
std::string profile_names();

}  // namespace evenkeel::source
