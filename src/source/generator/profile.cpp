#include "source/generator/profile.h"

#include <array>

namespace evenkeel::source {
namespace {

// Web search of a data centre: Alizadeh et al., "Data Center TCP (DCTCP)", SIGCOMM 2010, figure 4, as points
// in common use since pFabric (SIGCOMM 2013).
constexpr SizePoint kWebSearch[] = {{0, 0},           {10'000, 0.15},   {20'000, 0.2},      {30'000, 0.3},
                                    {50'000, 0.4},    {80'000, 0.53},   {200'000, 0.6},     {1'000'000, 0.7},
                                    {2'000'000, 0.8}, {5'000'000, 0.9}, {10'000'000, 0.97}, {30'000'000, 1}};

// The same, its largest 30 %.
constexpr SizePoint kWebSearchLarge[] = {
    {1'000'000, 0}, {2'000'000, 1 / 3.0}, {5'000'000, 2 / 3.0}, {10'000'000, 0.9}, {30'000'000, 1}};

// Data mining cluster: Greenberg et al., "VL2: a scalable and flexible data center network", SIGCOMM 2009,
// figure 2; its smallest 80 %, up to 10 KB.
constexpr SizePoint kDataMiningSmall[] = {{1, 0},        {180, 0.125},   {216, 0.25},
                                          {560, 0.375},  {900, 0.5},     {1'100, 0.625},
                                          {1'870, 0.75}, {3'160, 0.875}, {10'000, 1}};

// The same, its largest 2 %: 100 MB to 1 GB.
constexpr SizePoint kDataMiningLarge[] = {{100'000'000, 0}, {1'000'000'000, 1}};

// Bytes of 2,393 TCP and UDP conversations in a mix of public captures of Internet access; measured for this
// project.
constexpr SizePoint kAccess[] = {{44, 0},          {92, 0.05},       {194, 0.15},        {443, 0.25},
                                 {751, 0.35},      {984, 0.5},       {1'368, 0.6},       {2'272, 0.7},
                                 {5'553, 0.8},     {14'582, 0.9},    {47'540, 0.95},     {120'085, 0.97},
                                 {417'771, 0.985}, {868'336, 0.992}, {2'046'387, 0.998}, {17'532'514, 1}};

// Copies of whole disks, of the same cluster's order: each lasts for longer than it takes to be noticed.
constexpr SizePoint kDiskCopies[] = {{2'000'000'000, 0}, {4'000'000'000, 1}};

constexpr GroupShape kMiceGroups[] = {
    {.connection_share = 1, .packet_share = 1, .sizes = SizeDistribution(kDataMiningSmall)}};

constexpr GroupShape kElephantsGroups[] = {
    {.connection_share = 0,
     .packet_share = 0.8,
     .sizes = SizeDistribution(kDiskCopies),
     .train_packets = 16,
     .parts = 16,
     .zipf = 1},
    {.connection_share = 1, .packet_share = 0.2, .sizes = SizeDistribution(kDataMiningSmall)}};

constexpr GroupShape kBackupGroups[] = {
    {.connection_share = 0,
     .packet_share = 0.9,
     .sizes = SizeDistribution(kDataMiningLarge),
     .train_packets = 16,
     .parts = 8},
    {.connection_share = 1, .packet_share = 0.1, .sizes = SizeDistribution(kAccess), .train_packets = 2}};

// A tenth of the connections carries nine tenths of the traffic: Fang and Peterson, "Inter-AS traffic
// patterns and their implications", GLOBECOM 1999 (the top 9 % of flows between networks: 86.7 % of the
// packets); the heaviest by Zipf's law.
constexpr GroupShape kCampusGroups[] = {
    {.connection_share = 0.002,
     .packet_share = 0.3,
     .sizes = SizeDistribution(kWebSearchLarge),
     .train_packets = 8,
     .parts = 96,
     .zipf = 0.9},
    {.connection_share = 0.09,
     .packet_share = 0.6,
     .sizes = SizeDistribution(kWebSearch),
     .train_packets = 4,
     .parts = 32,
     .zipf = 0.5},
    {.connection_share = 0.908, .packet_share = 0.1, .sizes = SizeDistribution(kAccess), .train_packets = 2}};

constexpr GroupShape kWebSearchGroups[] = {
    {.connection_share = 1, .packet_share = 1, .sizes = SizeDistribution(kWebSearch), .train_packets = 8}};

// Two of three packets are the flood's; what is left is like campus. Every half-open connection is one train.
constexpr GroupShape kSynFloodGroups[] = {
    {.connection_share = 0.01,
     .packet_share = 0.66,
     .sizes = SizeDistribution(kDataMiningSmall),
     .train_packets = 2,
     .half_open = true},
    {.connection_share = 0.09,
     .packet_share = 0.3,
     .sizes = SizeDistribution(kWebSearch),
     .train_packets = 4,
     .parts = 32,
     .zipf = 0.5},
    {.connection_share = 0.9, .packet_share = 0.04, .sizes = SizeDistribution(kAccess), .train_packets = 2}};

// Few enough connections in a part that each bucket's load follows one or two parts.
constexpr GroupShape kDriftGroups[] = {{.connection_share = 1,
                                        .packet_share = 1,
                                        .sizes = SizeDistribution(kWebSearchLarge),
                                        .train_packets = 4,
                                        .parts = 1'024,
                                        .zipf = 0.3}};

constexpr std::array kProfiles{
    Profile{.name = "mice",
            .summary = "very many short connections, none of them large",
            .connections = 100'000,
            .udp_share = 0.3,
            .ipv6_share = 0.2,
            .groups = kMiceGroups},
    Profile{.name = "elephants",
            .summary = "sixteen connections hold four fifths of the packets, by Zipf's law",
            .connections = 20'000,
            .ipv6_share = 0.2,
            .groups = kElephantsGroups},
    Profile{.name = "backup",
            .summary = "eight bulk transfers, all equally fast, hold nine tenths of the packets",
            .connections = 5'000,
            .udp_share = 0.2,
            .ipv6_share = 0.2,
            .upload_share = 1,
            .groups = kBackupGroups},
    Profile{.name = "campus",
            .summary = "Internet access of many people: a tenth of the connections carries nine tenths",
            .connections = 50'000,
            .udp_share = 0.2,
            .ipv6_share = 0.2,
            .upload_share = 0.1,
            .groups = kCampusGroups},
    Profile{.name = "websearch",
            .summary = "the web search cluster of the DCTCP paper: few connections, mostly large, all alike",
            .connections = 2'000,
            .groups = kWebSearchGroups},
    Profile{.name = "syn-flood",
            .summary = "half-open connections from random addresses on top of ordinary traffic",
            .connections = 50'000,
            .udp_share = 0.2,
            .ipv6_share = 0.2,
            .upload_share = 0.1,
            .groups = kSynFloodGroups},
    Profile{.name = "drift",
            .summary = "connections whose rates wander, so that no assignment stays good for long",
            .connections = 4'096,
            .udp_share = 0.1,
            .ipv6_share = 0.2,
            .upload_share = 0.1,
            .groups = kDriftGroups,
            .drift = 0.2},
};

}  // namespace

std::span<const Profile> profiles() { return kProfiles; }

const Profile* find_profile(std::string_view name) {
  for (const Profile& profile : kProfiles) {
    if (profile.name == name) return &profile;
  }
  return nullptr;
}

std::string profile_names() {
  std::string names;
  for (const Profile& profile : kProfiles) {
    if (!names.empty()) names += ", ";
    names += profile.name;
  }
  return names;
}

}  // namespace evenkeel::source
