// One live interface of a run: how its receive rings are opened, and the kernel's table of its buckets.
//
// Thread: [control].
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "evenkeel/packet.h"
#include "evenkeel/result.h"
#include "source/live/live_inputs.h"
#include "source/live/live_spec.h"
#include "source/live/receive_ring.h"

namespace evenkeel::source {

using ReceiveRings = std::vector<std::unique_ptr<ReceiveRing>>;

// The interface as it is there now: another one may come under the same name.
struct InterfaceNow {
  int index = 0;
  LinkType link = LinkType::kEthernet;
};

class LiveInterface {
 public:
  virtual ~LiveInterface() = default;

  // A ring for each worker, which packets enter from now on. What was open before is gone or closed.
  virtual Result<ReceiveRings> open(const InterfaceNow& now, std::span<RingCounters* const> counters) = 0;

  // Writes the worker of each bucket. Also before open(). Takes effect at once, but see grace_period.h.
  virtual void write_owners(std::span<const std::uint16_t> owners) = 0;

  // How packets are received, for people; after open().
  virtual std::string note() const = 0;
};

struct LiveInterfaceSetting {
  LiveSpec spec;
  std::uint16_t source = 0;  // which of the run's inputs
  const LiveOptions& run;
};

Result<std::unique_ptr<LiveInterface>> make_packet_interface(const LiveInterfaceSetting& setting);
Result<std::unique_ptr<LiveInterface>> make_xdp_interface(const LiveInterfaceSetting& setting);

}  // namespace evenkeel::source
