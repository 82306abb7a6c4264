// What a user writes for a live interface: af_packet:IF[,OPTION=VALUE]... or af_xdp:IF[,OPTION=VALUE]...
//
// Thread: [control].
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "evenkeel/result.h"

namespace evenkeel::source {

enum class LiveKind : std::uint8_t { kAfPacket, kAfXdp };
enum class XdpAttachment : std::uint8_t { kAuto, kNative, kGeneric };

struct LiveSpec {
  LiveKind kind = LiveKind::kAfPacket;
  std::string interface;
  bool promiscuous = true;
  std::uint32_t frame_bytes = 2'048;
  // af_packet
  std::uint32_t block_bytes = 128u << 10;
  std::uint32_t blocks = 128;
  std::uint32_t hold_ms = 8;
  bool hardware_time = false;
  bool incoming_only = false;
  // af_xdp
  XdpAttachment attachment = XdpAttachment::kAuto;
  std::uint32_t frames = 16'384;  // for each receive queue

  std::string name() const;  // "af_packet:eth0"
};

// Whether the text names a live interface, by its prefix.
bool is_live_spec(std::string_view text);

// A usage error says what is accepted.
Result<LiveSpec> parse_live_spec(std::string_view text);

}  // namespace evenkeel::source
