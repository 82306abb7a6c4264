// Live interfaces as the input of a run: opens a receive ring for each interface and worker, keeps the
// kernel's copy of the bucket table, watches interfaces that go and come back, and ends in good order.
//
// The kernel frees all of it with the process: rings, programs, maps and promiscuous mode belong to file
// descriptors, and nothing is pinned.
//
// Thread: [control] but where noted. Needs CAP_NET_RAW; for several workers, and for AF_XDP, CAP_BPF and
// CAP_NET_ADMIN too.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bucket/steered_moves.h"
#include "engine/steered_source.h"
#include "evenkeel/result.h"
#include "evenkeel/source.h"

namespace evenkeel::source {

bool is_live_spec(std::string_view text);

// AF_XDP: whether packets still reach the kernel's own stack.
enum class XdpUse : std::uint8_t { kTap, kConsume };

struct LiveOptions {
  std::uint32_t workers = 1;
  std::uint32_t buckets = 1024;
  bool inner_tunnel = false;
  std::uint32_t snap_length = 0;  // 0: whole packets
  std::string filter;             // an expression of pcap-filter(7); "": everything
  XdpUse xdp_use = XdpUse::kTap;
  // What a person should know while the run goes on: an interface went away, or came back.
  std::function<void(const std::string&)> tell = {};
};

// Of one interface, at the end of a run.
struct LiveInputReport {
  std::string name;  // "af_packet:eth0"
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t kernel_drops = 0;
  std::string note;  // how it was received: "native XDP, copied"
};

class LiveInputs : public bucket::KernelTable {
 public:
  // By worker; each is used by that worker's thread. They live as long as this.
  virtual std::vector<Source*> sources() = 0;
  virtual std::vector<engine::SteeredSource*> steered() = 0;
  virtual bucket::SteeredMoves& moves() = 0;

  // Begins to receive. `owners`: the table of the start.
  virtual Result<void> start(std::span<const std::uint16_t> owners) = 0;
  // Looks after the interfaces; call it every few milliseconds.
  virtual void watch() = 0;
  // Nothing more is received; the sources end when they have handed out what is in their rings. May be called
  // again.
  virtual void stop() = 0;

  // [worker] Waits for packets of this worker, at most a few milliseconds.
  virtual void wait(std::size_t worker) = 0;
  // [worker] Whether more than about so many packets wait in a ring of this worker, or it is nearly full.
  virtual bool backlogged(std::size_t worker, std::size_t packets) const = 0;

  virtual std::vector<LiveInputReport> report() const = 0;
};

// `specs`: as is_live_spec() knows them. Errors are of usage (a wrong option), or say what is missing: the
// interface, a right, or kernel programs in this build.
Result<std::unique_ptr<LiveInputs>> open_live_inputs(const std::vector<std::string>& specs,
                                                     const LiveOptions& options);

}  // namespace evenkeel::source
