#include "source/packet_filter.h"

#include <fmt/format.h>
#include <pcap/pcap.h>

#include <array>
#include <memory>

namespace evenkeel::source {
namespace {

constexpr std::uint32_t kWhole = 262'144;

int pcap_link_type(LinkType link) {
  switch (link) {
    case LinkType::kRawIp:
      return DLT_RAW;
    case LinkType::kBsdLoopback:
      return DLT_NULL;
    case LinkType::kLinuxCooked:
      return DLT_LINUX_SLL;
    case LinkType::kLinuxCookedTwo:
      return DLT_LINUX_SLL2;
    default:
      return DLT_EN10MB;
  }
}

sock_filter statement(std::uint16_t code, std::uint32_t value) { return {code, 0, 0, value}; }

std::uint32_t accepted(std::uint32_t snap_length) { return snap_length == 0 ? kWhole : snap_length; }

}  // namespace

PacketFilter::PacketFilter(std::uint32_t snap_length)
    : snap_length_(snap_length), kernel_{statement(BPF_RET | BPF_K, accepted(snap_length))} {}

Result<PacketFilter> PacketFilter::make(const std::string& expression, LinkType link,
                                        std::uint32_t snap_length) {
  PacketFilter filter(snap_length);
  if (expression.empty()) return filter;
  struct Close {
    void operator()(pcap_t* handle) const { pcap_close(handle); }
  };
  const std::unique_ptr<pcap_t, Close> handle(
      pcap_open_dead(pcap_link_type(link), static_cast<int>(accepted(snap_length))));
  bpf_program program{};
  if (pcap_compile(handle.get(), &program, expression.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0) {
    return usage_error(
        fmt::format("filter '{}': {}; see pcap-filter(7)", expression, pcap_geterr(handle.get())));
  }
  for (std::uint32_t i = 0; i < program.bf_len; ++i) {
    const bpf_insn& one = program.bf_insns[i];
    filter.here_.push_back({one.code, one.jt, one.jf, one.k});
  }
  pcap_freecode(&program);
  // Jumps are relative and go forward only: the program may stand behind these.
  filter.kernel_ = {
      statement(BPF_LD | BPF_B | BPF_ABS, static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT)),
      {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0},
      statement(BPF_RET | BPF_K, accepted(snap_length))};
  filter.kernel_.insert(filter.kernel_.end(), filter.here_.begin(), filter.here_.end());
  return filter;
}

bool PacketFilter::matches(const Packet& packet) const {
  static_assert(sizeof(bpf_insn) == sizeof(sock_filter));
  return here_.empty() || bpf_filter(reinterpret_cast<const bpf_insn*>(here_.data()), packet.data,
                                     packet.wire_length, packet.captured_length) != 0;
}

}  // namespace evenkeel::source
