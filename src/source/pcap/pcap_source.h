// Captures as a source: files, pipes and the standard input, pcap and pcapng.
//
// libpcap decides what a capture is; records of the classic format are then walked where read(2) put them,
// because a libpcap call for each packet costs several times what the rest of the way costs
// (docs/decisions/pcap-reading.md). Both ways give the same packets, and end in the same places.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "evenkeel/result.h"
#include "evenkeel/source.h"

namespace evenkeel::source {

struct PcapOptions {
  std::uint16_t source = 0;   // Packet::source
  std::uint32_t blocks = 32;  // of the pool; each lends out up to 512 packets
  bool libpcap_only = false;  // do not walk classic records here
};

// `path` "-" is the standard input. Waits for the first bytes of a pipe.
Result<std::unique_ptr<Source>> open_pcap(const std::string& path, const PcapOptions& options);

}  // namespace evenkeel::source
