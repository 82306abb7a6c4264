// An interface through packet sockets: one ring for each worker, and where there are several, a group of
// which a kernel program chooses the ring by bucket.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include "bpf/constants.h"
#include "bpf/images.h"
#include "bpf/object.h"
#include "meter/cpu_time.h"
#include "source/af_packet/packet_ring.h"
#include "source/live/interface_facts.h"
#include "source/live/live_interface.h"
#include "source/live/rights.h"
#include "source/packet_filter.h"

namespace evenkeel::source {
namespace {

// The kernel takes 256 by itself and more where asked (5.15).
constexpr std::uint32_t kGroupMembersUsual = 256;
constexpr std::uint64_t kDescriptorsOfRing_bytes = 6 << 20;  // as measured

struct GroupProgram {
  bpf::Object object;
  bpf::SharedArray<evenkeel_bucket_worker> workers;
};

class PacketInterface final : public LiveInterface {
 public:
  explicit PacketInterface(const LiveInterfaceSetting& setting)
      : spec_(setting.spec), source_(setting.source), run_(setting.run) {}

  Result<ReceiveRings> open(const InterfaceNow& now, std::span<RingCounters* const> counters) override;
  void write_owners(std::span<const std::uint16_t> owners) override;
  std::string note() const override {
    return "packet socket, " + std::to_string(run_.workers) +
           (run_.workers == 1 ? " ring" : " rings by bucket");
  }

 private:
  Result<void> load_program(LinkType link);
  Result<std::unique_ptr<PacketRing>> open_ring(const InterfaceNow& now, RingCounters& counters);
  Result<void> group(std::span<const std::unique_ptr<PacketRing>> rings);

  const LiveSpec spec_;
  const std::uint16_t source_;
  const LiveOptions& run_;
  std::vector<std::uint16_t> owners_;
  std::optional<GroupProgram> program_;
};

Result<void> PacketInterface::load_program(LinkType link) {
  bpf::Object object = bpf::Object::open(bpf::fanout_image());
  object.set_entries("bucket_workers", run_.buckets);
  object.set_configuration(evenkeel_live_configuration{.bucket_mask = run_.buckets - 1,
                                                       .inner_tunnel = run_.inner_tunnel,
                                                       .raw_ip = link == LinkType::kRawIp,
                                                       .workers = run_.workers});
  if (auto loaded = object.load(); !loaded) return loaded;
  auto workers = bpf::SharedArray<evenkeel_bucket_worker>::map(object.map("bucket_workers"), run_.buckets);
  if (!workers) return workers.error();
  program_.emplace(GroupProgram{std::move(object), std::move(*workers)});
  write_owners(owners_);
  return {};
}

void PacketInterface::write_owners(std::span<const std::uint16_t> owners) {
  owners_.assign(owners.begin(), owners.end());
  if (!program_) return;
  for (std::size_t bucket = 0; bucket < owners_.size(); ++bucket)
    *static_cast<volatile __u64*>(&program_->workers[bucket].worker) = owners_[bucket];
}

Result<std::unique_ptr<PacketRing>> PacketInterface::open_ring(const InterfaceNow& now,
                                                               RingCounters& counters) {
  const PacketRingOptions options{.block_bytes = spec_.block_bytes,
                                  .blocks = spec_.blocks,
                                  .frame_bytes = spec_.frame_bytes,
                                  .hold_ms = spec_.hold_ms,
                                  .hardware_time = spec_.hardware_time,
                                  // What leaves through the loopback comes in again.
                                  .incoming_only = spec_.incoming_only || is_loopback(spec_.interface),
                                  .common = {.link = now.link, .source = source_}};
  auto ring = PacketRing::open(options, counters);
  if (!ring) return ring.error();
  if (auto bound = (*ring)->bind(now.index, spec_.promiscuous); !bound) return bound.error();
  return ring;
}

Result<void> PacketInterface::group(std::span<const std::unique_ptr<PacketRing>> rings) {
  std::uint16_t number = 0;
  for (const auto& ring : rings) {
    auto joined = ring->join_group(number, std::max(run_.workers, kGroupMembersUsual));
    if (!joined) return joined.error();
    number = *joined;
  }
  return rings.front()->set_group_program(program_->object.program("evenkeel_fanout"));
}

// All rings are in their group, and the group has its program, before the first packet is admitted.
Result<ReceiveRings> PacketInterface::open(const InterfaceNow& now, std::span<RingCounters* const> counters) {
  const auto filter = PacketFilter::make(run_.filter, now.link, run_.snap_length);
  if (!filter) return filter.error();
  std::vector<std::unique_ptr<PacketRing>> rings;
  for (RingCounters* const one : counters) {
    auto ring = open_ring(now, *one);
    if (!ring) return ring.error();
    rings.push_back(std::move(*ring));
  }
  if (rings.size() > 1) {
    if (auto loaded = load_program(now.link); !loaded) return loaded.error();
    if (auto grouped = group(rings); !grouped) return grouped.error();
  }
  for (const auto& ring : rings) {
    if (auto admitted = ring->admit(*filter); !admitted) return admitted.error();
  }
  return ReceiveRings(std::make_move_iterator(rings.begin()), std::make_move_iterator(rings.end()));
}

// Memory that the system can still give, or all there could be where it does not tell.
std::uint64_t available_bytes() {
  const std::string text = meter::read_file("/proc/meminfo").value_or("");
  const std::size_t at = text.find("MemAvailable:");
  if (at == std::string::npos) return ~std::uint64_t{0};
  return std::strtoull(text.c_str() + at + sizeof "MemAvailable:" - 1, nullptr, 10) << 10;
}

// The kernel takes the rings' memory whether there is enough for all of them or not.
Result<void> check_memory(const LiveInterfaceSetting& setting) {
  const std::uint64_t of_ring = std::uint64_t{setting.spec.block_bytes} * setting.spec.blocks;
  const std::uint64_t needed = (of_ring + kDescriptorsOfRing_bytes) * setting.run.workers;
  const std::uint64_t available = available_bytes();
  if (needed <= available) return {};
  return runtime_error(fmt::format(
      "{}: receive rings for {} workers take {} MB, and {} MB are free: take fewer workers, or "
      "smaller rings ({},blocks=N)",
      setting.spec.name(), setting.run.workers, needed >> 20, available >> 20, setting.spec.name()));
}

}  // namespace

Result<std::unique_ptr<LiveInterface>> make_packet_interface(const LiveInterfaceSetting& setting) {
  const Capability one_ring[] = {Capability::kNetRaw};
  // Perfmon: without it the verifier forbids what the parser does with pointers.
  const Capability several[] = {Capability::kNetRaw, Capability::kNetAdmin, Capability::kBpf,
                                Capability::kPerfmon};
  const std::span<const Capability> needed =
      setting.run.workers == 1 ? std::span<const Capability>(one_ring) : std::span<const Capability>(several);
  if (auto held = check_rights(needed, setting.spec.name()); !held) return held.error();
  if (auto fits = check_memory(setting); !fits) return fits.error();
  return std::unique_ptr<LiveInterface>(std::make_unique<PacketInterface>(setting));
}

}  // namespace evenkeel::source
