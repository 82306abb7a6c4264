#include "sim/simulate/workload.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "base/units.h"

namespace evenkeel::sim {

namespace {

using source::SizePoint;

// Alizadeh et al., "Data Center TCP (DCTCP)", SIGCOMM 2010, figure 4, as points in common use since pFabric.
constexpr SizePoint kWebSearch[] = {{0, 0},           {10'000, 0.15},   {20'000, 0.2},      {30'000, 0.3},
                                    {50'000, 0.4},    {80'000, 0.53},   {200'000, 0.6},     {1'000'000, 0.7},
                                    {2'000'000, 0.8}, {5'000'000, 0.9}, {10'000'000, 0.97}, {30'000'000, 1}};

// The same, its largest 30 %.
constexpr SizePoint kWebSearchLarge[] = {
    {1'000'000, 0}, {2'000'000, 1 / 3.0}, {5'000'000, 2 / 3.0}, {10'000'000, 0.9}, {30'000'000, 1}};

// Greenberg et al., "VL2", SIGCOMM 2009, figure 2, as points in common use since pFabric.
constexpr SizePoint kDataMining[] = {{1, 0},
                                     {180, 0.1},
                                     {216, 0.2},
                                     {560, 0.3},
                                     {900, 0.4},
                                     {1'100, 0.5},
                                     {1'870, 0.6},
                                     {3'160, 0.7},
                                     {10'000, 0.8},
                                     {400'000, 0.9},
                                     {3'160'000, 0.95},
                                     {100'000'000, 0.98},
                                     {1'000'000'000, 1}};

// Cache followers inside a cluster: Roy et al., "Inside the social network's (datacenter) network", SIGCOMM
// 2015, figure 6.
constexpr SizePoint kCache[] = {{68, 0},           {340, 0.18},        {490, 0.277},       {707, 0.353},
                                {1'303, 0.405},    {3'000, 0.4535},    {10'000, 0.478},    {28'270, 0.5},
                                {102'060, 0.5335}, {199'933, 0.592},   {260'573, 0.63},    {531'696, 0.695},
                                {1'681'372, 0.76}, {2'125'366, 0.835}, {2'553'169, 0.928}, {3'837'698, 1}};

// Hadoop: the same paper, as points in common use since HPCC (SIGCOMM 2019).
constexpr SizePoint kHadoop[] = {
    {0, 0},          {200, 0.02},        {300, 0.05},       {350, 0.15},    {400, 0.2},
    {500, 0.3},      {600, 0.4},         {700, 0.5},        {1'000, 0.6},   {2'000, 0.67},
    {7'000, 0.7},    {30'000, 0.72},     {50'000, 0.82},    {80'000, 0.87}, {120'000, 0.9},
    {300'000, 0.95}, {1'000'000, 0.975}, {2'000'000, 0.99}, {10'000'000, 1}};

// Conversations of public captures of Internet access, measured for this project (docs/generator.md).
constexpr SizePoint kAccess[] = {{44, 0},          {92, 0.05},       {194, 0.15},        {443, 0.25},
                                 {751, 0.35},      {984, 0.5},       {1'368, 0.6},       {2'272, 0.7},
                                 {5'553, 0.8},     {14'582, 0.9},    {47'540, 0.95},     {120'085, 0.97},
                                 {417'771, 0.985}, {868'336, 0.992}, {2'046'387, 0.998}, {17'532'514, 1}};

// The built-in generator's campus, in the same shares (docs/generator.md says where they come from).
constexpr GroupModel kCampusGroups[] = {
    {.connection_share = 0.002,
     .packet_share = 0.3,
     .sizes = kWebSearchLarge,
     .zipf = 0.9,
     .train_packets = 8},
    {.connection_share = 0.09, .packet_share = 0.6, .sizes = kWebSearch, .zipf = 0.5, .train_packets = 4},
    {.connection_share = 0.908, .packet_share = 0.1, .sizes = kAccess, .train_packets = 2}};
constexpr GroupModel kWebSearchGroups[] = {{.sizes = kWebSearch, .train_packets = 8}};
constexpr GroupModel kDataMiningGroups[] = {{.sizes = kDataMining, .train_packets = 8}};
constexpr GroupModel kCacheGroups[] = {{.sizes = kCache, .train_packets = 4}};
constexpr GroupModel kHadoopGroups[] = {{.sizes = kHadoop, .train_packets = 4}};
constexpr GroupModel kZipfGroups[] = {{.zipf = 1.1}};
constexpr GroupModel kUniformGroups[] = {{}};
// One connection sends as much as 40 % of a processor can take when all are loaded to 70 %, and is somewhere
// else every 50 ms.
constexpr GroupModel kElephantGroups[] = {{.connection_share = 1, .packet_share = 0.93, .train_packets = 2},
                                          {.connection_share = 0,
                                           .packet_share = 0.07,
                                           .train_packets = 8,
                                           .hop_ns = 50 * base::kNanosecondsPerMillisecond}};
constexpr GroupModel kBurstGroups[] = {{.train_packets = 4,
                                        .parts = 256,
                                        .on_ns = 20 * base::kNanosecondsPerMillisecond,
                                        .off_ns = 80 * base::kNanosecondsPerMillisecond}};
// Two of three packets are the flood's.
constexpr GroupModel kFloodGroups[] = {
    {.connection_share = 0.5, .packet_share = 0.66, .flood = true},
    {.connection_share = 0.05, .packet_share = 0.3, .sizes = kWebSearch, .zipf = 0.5, .train_packets = 4},
    {.connection_share = 0.45, .packet_share = 0.04, .sizes = kAccess, .train_packets = 2}};

constexpr std::array kWorkloads{
    WorkloadModel{"campus", "Internet access of many people: a tenth of the connections carries nine tenths",
                  50'000, kCampusGroups},
    WorkloadModel{"websearch", "web search cluster of the DCTCP paper: few connections, mostly large", 2'000,
                  kWebSearchGroups},
    WorkloadModel{"datamining", "data mining cluster of the VL2 paper: most tiny, most bytes in a few", 2'000,
                  kDataMiningGroups},
    WorkloadModel{"cache", "cache followers of a social network: small, or some megabytes", 4'000,
                  kCacheGroups},
    WorkloadModel{"hadoop", "Hadoop of a social network: mostly below a kilobyte", 4'000, kHadoopGroups},
    WorkloadModel{"zipf", "connections that never end, the k-th with 1/k^1.1 of the first's packets", 10'000,
                  kZipfGroups},
    WorkloadModel{"uniform", "connections that never end, all alike, single packets: a Poisson process",
                  10'000, kUniformGroups},
    WorkloadModel{"elephant", "one connection of 40 % of a processor among small ones, elsewhere every 50 ms",
                  10'000, kElephantGroups},
    WorkloadModel{"bursts", "connections in 256 parts that are on for 20 ms and off for 80 ms, on average",
                  10'000, kBurstGroups},
    WorkloadModel{"syn-flood", "every other packet opens a connection, on top of ordinary traffic", 20'000,
                  kFloodGroups},
};

constexpr std::uint32_t kSegmentBytes = 1448;
constexpr std::uint32_t kHeaderBytes = 66;
constexpr std::uint32_t kAcknowledgementBytes = 66;
constexpr std::uint64_t kDataOfAll = 3;  // of so many packets of a connection, one is the other end's
constexpr double kTrainGap_ns = 1'230;   // 1,538 bytes on the wire at 10 Gbit/s
constexpr std::uint32_t kNeverEnds = ~std::uint32_t{0};

// A bijection of 32 bits (Wellons, "lowbias32"): addresses that look random and are all different.
std::uint32_t mixed(std::uint32_t x) {
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

// Ethernet, IPv4, UDP.
constexpr std::array<std::uint8_t, 42> kTemplate = {
    2,    0, 0, 0,   0, 1, 2, 0, 0,  0,  0, 2, 8, 0,                       // Ethernet
    0x45, 0, 0, 0,   0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 10, 200, 0, 1,  // IPv4
    0,    0, 1, 187, 0, 0, 0, 0};                                          // UDP
constexpr std::size_t kIpLength = 16, kSourceAddress = 26, kDestinationAddress = 30, kPorts = 34,
                      kUdpLength = 38;

void put16(std::uint8_t* to, std::uint32_t value) {
  to[0] = static_cast<std::uint8_t>(value >> 8);
  to[1] = static_cast<std::uint8_t>(value);
}

}  // namespace

std::span<const WorkloadModel> workloads() { return kWorkloads; }

const WorkloadModel* find_workload(std::string_view name) {
  const auto* found =
      std::find_if(kWorkloads.begin(), kWorkloads.end(), [&](const auto& w) { return w.name == name; });
  return found == kWorkloads.end() ? nullptr : found;
}

std::string workload_names() {
  std::string names;
  for (const WorkloadModel& workload : kWorkloads)
    names += (names.empty() ? "" : ", ") + std::string(workload.name);
  return names;
}

WorkloadFeed::WorkloadFeed(const WorkloadModel& model, const WorkloadOptions& options)
    : random_(options.seed), units_(options.units), scramble_(static_cast<std::uint32_t>(random_.next())) {
  add_groups(model, options.connections != 0 ? options.connections : model.unit_connections * options.units);
  // Packets a second of a train process of rate 1, with parts at their mean.
  double trains = 0, packets = 0;
  for (Group& group : groups_) {
    const GroupModel& m = *group.model;
    const double duty =
        m.parts == 0 ? 1 : static_cast<double>(m.on_ns) / static_cast<double>(m.on_ns + m.off_ns);
    trains += m.packet_share / m.train_packets / duty;
    packets += m.packet_share;
    group.trains_up_to = trains;
  }
  for (Group& group : groups_) group.trains_up_to /= trains;
  mean_gap_ns_ = 1e9 / options.packets_per_second * packets / trains;
  next_train_ns_ = random_.exponential(mean_gap_ns_);
}

void WorkloadFeed::add_groups(const WorkloadModel& model, std::uint32_t connections) {
  const std::uint32_t of_unit = std::max(connections / units_, 1u);
  std::uint32_t slots = 0;
  for (const GroupModel& group_model : model.groups) {
    Group group;
    group.model = &group_model;
    group.first_slot = slots;
    group.ranks =
        std::max(static_cast<std::uint32_t>(std::lround(group_model.connection_share * of_unit)), 1u);
    group.zipf = Zipf(group.ranks, group_model.zipf);
    for (std::uint32_t i = 0; i < group_model.parts; ++i) {
      const double duty = static_cast<double>(group_model.on_ns) /
                          static_cast<double>(group_model.on_ns + group_model.off_ns);
      const bool on = random_.uniform() < duty;
      group.parts.push_back(
          {random_.exponential(static_cast<double>(on ? group_model.on_ns : group_model.off_ns)), on});
    }
    slots += group.ranks * units_;
    groups_.push_back(std::move(group));
  }
  slots_.resize(slots);
}

// Parts are brought up to date when they are asked for.
bool WorkloadFeed::is_on(Part& part, const GroupModel& model) {
  while (part.toggle_ns <= next_train_ns_) {
    part.on = !part.on;
    part.toggle_ns += random_.exponential(static_cast<double>(part.on ? model.on_ns : model.off_ns));
  }
  return part.on;
}

std::uint32_t WorkloadFeed::train_length(double mean) {
  if (mean <= 1) return 1;
  const double drawn = std::floor(std::log1p(-random_.uniform()) / std::log1p(-1 / mean));
  return 1 + static_cast<std::uint32_t>(std::min(drawn, 1'000.0));
}

// False: the part that was drawn is off.
bool WorkloadFeed::begin_train(Train& train) {
  const double share = random_.uniform();
  std::size_t index = 0;
  while (index + 1 < groups_.size() && share >= groups_[index].trains_up_to) ++index;
  Group& group = groups_[index];
  const std::uint32_t rank = group.zipf.draw(random_) - 1;
  const auto unit = static_cast<std::uint32_t>(units_ == 1 ? 0 : random_.below(units_));
  if (!group.parts.empty() && !is_on(group.parts[rank % group.parts.size()], *group.model)) return false;
  train = {.time_ns = next_train_ns_,
           .slot = group.first_slot + rank * units_ + unit,
           .group = static_cast<std::uint16_t>(index),
           .left = static_cast<std::uint16_t>(train_length(group.model->train_packets))};
  return true;
}

bool WorkloadFeed::next(Arrival& arrival) {
  Train train;
  while (true) {
    if (!trains_.empty() && trains_.front().time_ns <= next_train_ns_) {
      train = trains_.front();
      std::pop_heap(trains_.begin(), trains_.end());
      trains_.pop_back();
      break;
    }
    const bool begun = begin_train(train);
    next_train_ns_ += random_.exponential(mean_gap_ns_);
    if (begun) break;
  }
  emit(train, arrival);
  if (--train.left != 0) {
    train.time_ns += kTrainGap_ns;
    trains_.push_back(train);
    std::push_heap(trains_.begin(), trains_.end());
  }
  return true;
}

void WorkloadFeed::renew(const GroupModel& model, const Train& train, Arrival& arrival) {
  Slot& slot = slots_[train.slot];
  if (model.hop_ns != 0) {
    const auto hop = 1 + static_cast<std::uint32_t>(train.time_ns / static_cast<double>(model.hop_ns));
    arrival.first = slot.generation != hop;
    slot = {hop, kNeverEnds};
  } else if (model.flood || slot.left_bytes == 0) {
    arrival.first = true;
    ++slot.generation;
    slot.left_bytes = model.flood           ? 0
                      : model.sizes.empty() ? kNeverEnds
                                            : source::SizeDistribution(model.sizes).draw(random_);
  }
}

void WorkloadFeed::emit(const Train& train, Arrival& arrival) {
  const GroupModel& model = *groups_[train.group].model;
  arrival.first = false;
  renew(model, train, arrival);
  Slot& slot = slots_[train.slot];
  reversed_ = !model.flood && !arrival.first && random_.below(kDataOfAll) == 0;
  wire_length_ = kAcknowledgementBytes;
  if (!reversed_ && !model.flood) {
    const std::uint32_t bytes = std::min(slot.left_bytes, kSegmentBytes);
    if (slot.left_bytes != kNeverEnds) slot.left_bytes -= bytes;
    wire_length_ = bytes + kHeaderBytes;
  }
  slot_ = train.slot;
  arrival.time_ns = virtual_time_ns(train.time_ns);
  arrival.sequence = sequence_++;
  arrival.connection = train.slot;
  arrival.wire_length = wire_length_;
}

std::uint32_t WorkloadFeed::write(std::span<std::uint8_t> to) {
  DCHECK(to.size() >= kTemplate.size());
  std::uint8_t* const bytes = to.data();
  std::copy(kTemplate.begin(), kTemplate.end(), bytes);
  put16(bytes + kIpLength, wire_length_ - 14);
  put16(bytes + kUdpLength, wire_length_ - 34);
  const std::uint32_t address = mixed(slot_ ^ scramble_);
  put16(bytes + kSourceAddress, address >> 16);
  put16(bytes + kSourceAddress + 2, address);
  put16(bytes + kPorts, 1024 + mixed(slots_[slot_].generation * 64'509u) % 64'511u);
  if (reversed_) {
    std::swap_ranges(bytes + kSourceAddress, bytes + kDestinationAddress, bytes + kDestinationAddress);
    std::swap_ranges(bytes + kPorts, bytes + kPorts + 2, bytes + kPorts + 2);
  }
  return kTemplate.size();
}

}  // namespace evenkeel::sim
