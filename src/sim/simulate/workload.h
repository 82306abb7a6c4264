// Workloads: traffic by name, made from a seed, for as many connections as there is memory for (8 bytes
// each).
//
// A workload is a few groups of connections. A group has a share of the connections and of the packets, and
// sizes drawn from a published distribution; a connection that has sent its size is followed by a new one,
// with other ports. Trains of packets come as a Poisson process; inside a train packets follow each other at
// the speed of a link. docs/simulation.md describes them for users, with their sources.
//
// A workload is laid out for kUnitProcessors processors; a machine with more serves several such units, each
// with its own heavy connections, so that no connection outgrows a processor because the machine has grown.
//
// Thread: one. Cost: about 60 ns a packet.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "sim/simulate/feed.h"
#include "sim/simulate/zipf.h"
#include "source/generator/size_distribution.h"

namespace evenkeel::sim {

inline constexpr std::uint32_t kUnitProcessors = 8;
inline constexpr std::uint32_t kWorkloadConnectionsMax = 16'777'216;

struct GroupModel {
  double connection_share = 1;  // of the unit's connections; 0: one connection in each unit
  double packet_share = 1;
  std::span<const source::SizePoint> sizes = {};  // empty: connections never end
  double zipf = 0;           // the k-th connection of a unit sends 1 / k^zipf of the first
  double train_packets = 1;  // mean; lengths are geometric
  bool flood = false;        // every packet opens a connection
  // The group's connections stand in so many parts, each on and off for exponential times. 0: always on.
  std::uint32_t parts = 0;
  std::int64_t on_ns = 0;
  std::int64_t off_ns = 0;
  std::int64_t hop_ns = 0;  // its connections are replaced this often, all at once; 0: never
};

struct WorkloadModel {
  std::string_view name;
  std::string_view summary;
  std::uint32_t unit_connections;  // of kUnitProcessors processors
  std::span<const GroupModel> groups;
};

std::span<const WorkloadModel> workloads();
const WorkloadModel* find_workload(std::string_view name);  // nullptr: there is none
std::string workload_names();                               // "campus, websearch, ..."

struct WorkloadOptions {
  std::uint32_t units = 1;
  std::uint32_t connections = 0;  // in all; 0: the model's for each unit
  double packets_per_second = 1e6;
  std::uint64_t seed = 1;
};

class WorkloadFeed final : public Feed {
 public:
  WorkloadFeed(const WorkloadModel& model, const WorkloadOptions& options);

  bool next(Arrival& arrival) override;
  std::uint32_t write(std::span<std::uint8_t> to) override;
  std::size_t bytes_max() const override { return 64; }

  std::uint32_t connections() const { return static_cast<std::uint32_t>(slots_.size()); }

 private:
  struct Slot {
    std::uint32_t generation = 0;
    std::uint32_t left_bytes = 0;  // of the present connection; 0: the next packet opens a new one
  };
  struct Part {
    double toggle_ns = 0;  // when it goes on or off next
    bool on = true;
  };
  struct Group {
    const GroupModel* model = nullptr;
    std::uint32_t first_slot = 0;
    std::uint32_t ranks = 1;  // connections of one unit
    Zipf zipf;
    std::vector<Part> parts;
    double trains_up_to = 0;  // cumulative share of all trains
  };
  // Packets that are yet to come of a train that has begun.
  struct Train {
    double time_ns;
    std::uint32_t slot;
    std::uint16_t group;
    std::uint16_t left;
    friend bool operator<(const Train& a, const Train& b) {  // for a heap with the earliest on top
      return a.time_ns != b.time_ns ? a.time_ns > b.time_ns : a.slot > b.slot;
    }
  };

  void add_groups(const WorkloadModel& model, std::uint32_t connections);
  bool begin_train(Train& train);
  bool is_on(Part& part, const GroupModel& model);
  std::uint32_t train_length(double mean);
  void emit(const Train& train, Arrival& arrival);
  void renew(const GroupModel& model, const Train& train, Arrival& arrival);

  base::Random random_;
  const std::uint32_t units_;
  const std::uint32_t scramble_;  // of addresses, by seed
  std::vector<Group> groups_;
  std::vector<Slot> slots_;
  double mean_gap_ns_ = 1;  // between trains, those of parts that are off included
  double next_train_ns_ = 0;
  std::vector<Train> trains_;  // a heap
  std::uint64_t sequence_ = 0;
  // The last packet, for write().
  std::uint32_t slot_ = 0;
  std::uint32_t wire_length_ = 0;
  bool reversed_ = false;
};

}  // namespace evenkeel::sim
