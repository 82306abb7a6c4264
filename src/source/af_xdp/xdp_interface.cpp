// An interface through AF_XDP sockets: for each receive queue a frame area, and a socket of each worker,
// among which a kernel program chooses by bucket.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "base/file_descriptor.h"
#include "bpf/constants.h"
#include "bpf/images.h"
#include "bpf/object.h"
#include "source/af_xdp/frame_area.h"
#include "source/af_xdp/xdp_ring.h"
#include "source/live/interface_facts.h"
#include "source/live/live_interface.h"
#include "source/live/rights.h"
#include "source/packet_filter.h"

namespace evenkeel::source {
namespace {

// The program with its maps, and how it is attached; lives as long as a ring or the interface uses it.
struct TakeProgram {
  explicit TakeProgram(bpf::Object loaded) : object(std::move(loaded)) {}
  bpf::Object object;
  bpf::SharedArray<evenkeel_bucket_worker> workers;
  base::FileDescriptor link;
  bool native = false;
};

class XdpInterface final : public LiveInterface {
 public:
  explicit XdpInterface(const LiveInterfaceSetting& setting)
      : spec_(setting.spec), source_(setting.source), run_(setting.run) {}

  Result<ReceiveRings> open(const InterfaceNow& now, std::span<RingCounters* const> counters) override;
  void write_owners(std::span<const std::uint16_t> owners) override;
  std::string note() const override { return note_; }

 private:
  using Sockets = std::vector<std::unique_ptr<XdpSocket>>;  // queue by queue, one for each worker

  Result<void> load(std::uint32_t queues);
  Result<Sockets> open_sockets(const InterfaceNow& now, std::uint32_t queues);
  Result<void> open_queue(XdpPlace place, Sockets& sockets);
  Result<void> enter(const Sockets& sockets);
  Result<void> attach(int interface_index);
  Result<void> make_promiscuous(int interface_index);
  void write_note(const Sockets& sockets, std::uint32_t queues);
  std::function<void()> refusal(std::uint32_t worker, std::uint32_t queues) const;

  const LiveSpec spec_;
  const std::uint16_t source_;
  const LiveOptions& run_;
  std::vector<std::uint16_t> owners_;
  std::shared_ptr<TakeProgram> program_;
  base::FileDescriptor promiscuous_;
  std::string note_;
};

Result<void> XdpInterface::load(std::uint32_t queues) {
  auto program = std::make_shared<TakeProgram>(bpf::Object::open(bpf::take_image()));
  program->object.set_entries("bucket_workers", run_.buckets);
  program->object.set_entries("sockets", queues * run_.workers);
  program->object.set_configuration(evenkeel_live_configuration{.bucket_mask = run_.buckets - 1,
                                                                .inner_tunnel = run_.inner_tunnel,
                                                                .raw_ip = 0,
                                                                .workers = run_.workers});
  if (auto loaded = program->object.load(); !loaded) return loaded;
  auto workers =
      bpf::SharedArray<evenkeel_bucket_worker>::map(program->object.map("bucket_workers"), run_.buckets);
  if (!workers) return workers.error();
  program->workers = std::move(*workers);
  program_ = std::move(program);
  write_owners(owners_);
  return {};
}

void XdpInterface::write_owners(std::span<const std::uint16_t> owners) {
  owners_.assign(owners.begin(), owners.end());
  if (program_ == nullptr) return;
  for (std::size_t bucket = 0; bucket < owners_.size(); ++bucket)
    *static_cast<volatile __u64*>(&program_->workers[bucket].worker) = owners_[bucket];
}

// Zero-copy where the driver has it.
Result<void> XdpInterface::open_queue(XdpPlace place, Sockets& sockets) {
  const std::uint32_t ring_size = std::max(spec_.frames / 2, 64u);
  const FrameAreaSize size{.frames = spec_.frames, .frame_bytes = spec_.frame_bytes};
  for (const bool zero_copy : {true, false}) {
    auto area = FrameArea::open(size);
    if (!area) return area.error();
    place.area = *area;
    place.zero_copy = zero_copy;
    auto first = XdpSocket::open(place, ring_size);
    if (!first && zero_copy) continue;
    if (!first) return first.error();
    place.first_socket = (*first)->descriptor();
    sockets.push_back(std::move(*first));
    break;
  }
  for (std::uint32_t worker = 1; worker < run_.workers; ++worker) {
    auto socket = XdpSocket::open(place, ring_size);
    if (!socket) return socket.error();
    sockets.push_back(std::move(*socket));
  }
  return {};
}

Result<XdpInterface::Sockets> XdpInterface::open_sockets(const InterfaceNow& now, std::uint32_t queues) {
  Sockets sockets;
  for (std::uint32_t queue = 0; queue < queues; ++queue) {
    XdpPlace place;
    place.interface_index = now.index;
    place.queue = queue;
    if (auto opened = open_queue(place, sockets); !opened) return opened.error();
  }
  return sockets;
}

Result<void> XdpInterface::enter(const Sockets& sockets) {
  for (std::uint32_t place = 0; place < sockets.size(); ++place) {
    const int descriptor = sockets[place]->descriptor();
    if (bpf_map_update_elem(program_->object.map("sockets"), &place, &descriptor, 0) != 0)
      return runtime_error(fmt::format("cannot enter an AF_XDP socket: {}", std::strerror(errno)));
  }
  return {};
}

Result<void> XdpInterface::attach(int interface_index) {
  int error = 0;
  for (const bool native : {true, false}) {
    if (spec_.attachment == (native ? XdpAttachment::kGeneric : XdpAttachment::kNative)) continue;
    LIBBPF_OPTS(bpf_link_create_opts, options);
    options.flags = native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
    const int link =
        bpf_link_create(program_->object.program("evenkeel_take"), interface_index, BPF_XDP, &options);
    error = -link;
    if (link < 0) continue;
    program_->link = base::FileDescriptor(link);
    program_->native = native;
    return {};
  }
  if (error == EBUSY)
    return runtime_error("another XDP program is on this interface: `ip link show` names it");
  return runtime_error(
      fmt::format("cannot attach the XDP program: {}{}", std::strerror(error),
                  spec_.attachment == XdpAttachment::kNative ? "; mode=generic works everywhere" : ""));
}

// AF_XDP has no such setting: a packet socket that receives nothing has it, and takes it away when it goes.
Result<void> XdpInterface::make_promiscuous(int interface_index) {
  promiscuous_ = base::FileDescriptor(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  packet_mreq membership{};
  membership.mr_ifindex = interface_index;
  membership.mr_type = PACKET_MR_PROMISC;
  if (!promiscuous_.valid() ||
      setsockopt(promiscuous_.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership) != 0)
    return runtime_error(fmt::format("cannot make it promiscuous: {}", std::strerror(errno)));
  return {};
}

void XdpInterface::write_note(const Sockets& sockets, std::uint32_t queues) {
  note_ =
      fmt::format("{} XDP, {}, {} {} for {} {}, {}", program_->native ? "native" : "generic",
                  sockets.front()->zero_copy() ? "zero-copy" : "copied", queues,
                  queues == 1 ? "queue" : "queues", run_.workers, run_.workers == 1 ? "worker" : "workers",
                  sockets.front()->area().on_huge_pages() ? "huge pages" : "no huge pages");
}

std::function<void()> XdpInterface::refusal(std::uint32_t worker, std::uint32_t queues) const {
  return [program = program_, worker, queues, workers = run_.workers] {
    for (std::uint32_t queue = 0; queue < queues; ++queue) {
      const std::uint32_t place = queue * workers + worker;
      (void)bpf_map_delete_elem(program->object.map("sockets"), &place);
    }
  };
}

// All sockets are in the program's map before it meets the first packet.
Result<ReceiveRings> XdpInterface::open(const InterfaceNow& now, std::span<RingCounters* const> counters) {
  const auto filter = PacketFilter::make(run_.filter, now.link, 0);
  if (!filter) return filter.error();
  const std::uint32_t queues = receive_queues_of(spec_.interface);
  if (auto loaded = load(queues); !loaded) return loaded.error();
  auto sockets = open_sockets(now, queues);
  if (!sockets) return sockets.error();
  if (auto entered = enter(*sockets); !entered) return entered.error();
  if (spec_.promiscuous) {
    if (auto made = make_promiscuous(now.index); !made) return made.error();
  }
  if (auto attached = attach(now.index); !attached) return attached.error();
  write_note(*sockets, queues);
  ReceiveRings rings;
  for (std::uint32_t worker = 0; worker < run_.workers; ++worker) {
    std::vector<std::unique_ptr<XdpSocket>> own;
    for (std::uint32_t queue = 0; queue < queues; ++queue)
      own.push_back(std::move((*sockets)[queue * run_.workers + worker]));
    rings.push_back(std::make_unique<XdpRing>(std::move(own),
                                              DescriptorChunks::Common{.link = now.link, .source = source_},
                                              *filter, *counters[worker], refusal(worker, queues)));
  }
  return rings;
}

}  // namespace

Result<std::unique_ptr<LiveInterface>> make_xdp_interface(const LiveInterfaceSetting& setting) {
  if (setting.run.xdp_use == XdpUse::kTap) {
    return usage_error(
        fmt::format("{} would take packets away from this machine's own network stack: ask for that by the "
                    "XDP mode \"consume\", or use af_packet:{}, which copies them",
                    setting.spec.name(), setting.spec.interface));
  }
  // Perfmon: without it the verifier forbids what the parser does with pointers.
  const Capability needed[] = {Capability::kNetRaw, Capability::kNetAdmin, Capability::kBpf,
                               Capability::kPerfmon, Capability::kIpcLock};
  if (auto held = check_rights(needed, setting.spec.name()); !held) return held.error();
  if (const auto link = link_of_interface(setting.spec.interface); link && *link != LinkType::kEthernet) {
    return runtime_error(fmt::format("{}: AF_XDP needs an interface with Ethernet headers; use af_packet:{}",
                                     setting.spec.name(), setting.spec.interface));
  }
  return std::unique_ptr<LiveInterface>(std::make_unique<XdpInterface>(setting));
}

}  // namespace evenkeel::source
