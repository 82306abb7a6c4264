// A filter expression (pcap-filter(7)), as the kernel runs it on a packet socket and as it is run here.
//
// The kernel takes VLAN tags off before its filters see a packet, and libpcap's program looks for them in the
// bytes. So the kernel's copy lets tagged packets through, and those are judged here when their tag is back:
// an expression means the same on a live interface as on a capture.
//
// Thread: make() [control], matches() [any].
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "evenkeel/packet.h"
#include "evenkeel/result.h"

namespace evenkeel::source {

class PacketFilter {
 public:
  // Everything passes, cut to `snap_length` bytes; 0: whole.
  explicit PacketFilter(std::uint32_t snap_length = 0);

  // An expression that libpcap does not take is a usage error.
  static Result<PacketFilter> make(const std::string& expression, LinkType link, std::uint32_t snap_length);

  bool all_pass() const { return here_.empty(); }
  // To be attached to a socket.
  std::span<const sock_filter> for_kernel() const { return kernel_; }
  bool matches(const Packet& packet) const;
  std::uint32_t snap_length() const { return snap_length_; }

 private:
  std::uint32_t snap_length_;
  std::vector<sock_filter> kernel_;
  std::vector<sock_filter> here_;
};

}  // namespace evenkeel::source
