// Flow records of whole runs against what an independent tool found in the same captures.
//
// The ground truth counts whole frames, flow records the octets of IP datagrams, and the truth leaves out
// later fragments, which flow records count to the connection of their first part. So the truth is turned
// into what records must say by a walk over the frames: the bytes around each datagram are subtracted, and
// later fragments are added, found by a plain search over all first parts and not by the engine's tracker.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <tuple>

#include "packet/parse.h"
#include "run_support.h"
#include "trace_support.h"

namespace evenkeel::tests {
namespace {

namespace fs = std::filesystem;

bool has_ports(std::uint8_t protocol) { return protocol == 6 || protocol == 17; }

Connections sum_of(const std::vector<flow::FlowRecord>& records) {
  Connections sum;
  for (const flow::FlowRecord& record : records) {
    if (!has_ports(record.protocol)) continue;
    const Endpoint source{record.source_address, record.source_port};
    const Endpoint destination{record.destination_address, record.destination_port};
    auto& traffic = sum[connection_name(record.ip_version, record.protocol, source, destination)];
    const std::size_t forward = destination < source ? 1 : 0;
    traffic[forward].frames += record.packets;
    traffic[forward].bytes += record.octets;
    traffic[1 - forward].frames += record.reverse_packets;
    traffic[1 - forward].bytes += record.reverse_octets;
  }
  return sum;
}

struct FragmentPlace {
  std::size_t frame = 0;
  std::string connection;  // of a first part
  std::size_t direction = 0;
  std::uint64_t octets = 0;  // of a later part
};

using DatagramId =
    std::tuple<std::vector<std::uint8_t>, std::uint16_t>;  // addresses, protocol; identification

// Frames of a capture that are not as the truth counts them.
class Correction {
 public:
  explicit Correction(const fs::path& capture) {
    walk_capture(capture, [&](Packet& packet) {
      if (packet::parse(packet, {}).connection()) add(packet);
      ++frame_;
    });
  }

  // Turns frames and frame bytes into packets and octets. Returns the later fragments that stay orphans.
  std::uint64_t apply_to(Connections& truth) const {
    for (const auto& [name, overhead] : overhead_)
      for (int i = 0; i < 2; ++i) truth[name][i].bytes -= overhead[i];
    std::uint64_t orphans = 0;
    for (const auto& [id, later] : later_parts_)
      for (const FragmentPlace& part : later) orphans += !add_later_part(id, part, truth);
    return orphans;
  }

 private:
  void add(const Packet& packet) {
    if ((packet.flags & Packet::kLaterFragment) != 0) {
      later_parts_[id_of(packet)].push_back({frame_, "", 0, packet.ip_octets});
      return;
    }
    const std::size_t direction = packet.reversed() ? 1 : 0;
    std::string name = has_ports(packet.key.protocol) ? connection_name(packet.key) : "";
    if (!name.empty()) overhead_[name][direction] += packet.wire_length - packet.ip_octets;
    if ((packet.flags & Packet::kFragment) != 0)
      first_parts_[id_of(packet)].push_back({frame_, std::move(name), direction, 0});
  }

  // IPv4 alone: the captures have no fragments of IPv6.
  static DatagramId id_of(const Packet& packet) {
    const std::uint8_t* header = packet.data + packet.network_offset;
    EXPECT_EQ(header[0] >> 4, 4);
    std::vector<std::uint8_t> fields(header + 12, header + 20);
    fields.push_back(header[9]);
    return {fields, static_cast<std::uint16_t>(header[4] << 8 | header[5])};
  }

  // The latest first part before it, else the next one after it.
  bool add_later_part(const DatagramId& id, const FragmentPlace& part, Connections& truth) const {
    const auto firsts = first_parts_.find(id);
    if (firsts == first_parts_.end()) return false;
    const FragmentPlace* chosen = &firsts->second.front();
    for (const FragmentPlace& first : firsts->second)
      if (first.frame < part.frame) chosen = &first;
    if (chosen->connection.empty()) return true;  // neither TCP nor UDP
    Traffic& traffic = truth[chosen->connection][chosen->direction];
    ++traffic.frames;
    traffic.bytes += part.octets;
    return true;
  }

  std::size_t frame_ = 0;
  std::map<std::string, std::array<std::uint64_t, 2>> overhead_;
  std::map<DatagramId, std::vector<FragmentPlace>> first_parts_, later_parts_;
};

void expect_same(const Connections& expected, const Connections& found) {
  EXPECT_EQ(found.size(), expected.size());
  for (const auto& [name, traffic] : expected) {
    const auto it = found.find(name);
    ASSERT_NE(it, found.end()) << name;
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(it->second[i].frames, traffic[i].frames) << name << ", direction " << i;
      EXPECT_EQ(it->second[i].bytes, traffic[i].bytes) << name << ", direction " << i;
    }
  }
}

TEST(Truth, RecordsOfEveryCaptureSumToTheGroundTruth) {
  const auto captures = shared_captures("captures");
  if (captures.empty()) GTEST_SKIP() << "no captures in " EVENKEEL_SHARED_DIR "/traces";
  std::size_t rows = 0;
  for (const fs::path& capture : captures) {
    SCOPED_TRACE(capture.filename().string());
    Connections expected = ground_truth_of(capture);
    rows += expected.size();
    const std::uint64_t orphans = Correction(capture).apply_to(expected);
    const RunSetting setting{.inputs = {capture}, .workers = 2, .policy = "index"};
    const RunOutcome outcome = run(setting);
    expect_laws(outcome, setting.name());
    expect_same(expected, sum_of(outcome.records));
    EXPECT_EQ(outcome.dropped_for(meter::DropReason::kFragmentOrphan), orphans);
  }
  EXPECT_GT(rows, 0u);
}

}  // namespace
}  // namespace evenkeel::tests
