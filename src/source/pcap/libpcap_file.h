// libpcap over a ByteInput: opens and validates captures, and reads the formats that the block reader leaves.
//
// Thread: one at a time.
#pragma once

#include <pcap/pcap.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "evenkeel/packet.h"
#include "evenkeel/result.h"
#include "source/pcap/byte_input.h"

namespace evenkeel::source {

struct PcapCloser {
  void operator()(pcap_t* handle) const { pcap_close(handle); }
};
using PcapHandle = std::unique_ptr<pcap_t, PcapCloser>;

// The link types that are supported, by libpcap's number; nothing for others.
std::optional<LinkType> link_type_of(int pcap_link_type);

// Opens a capture of which `header` is all that libpcap gets to see: enough to have a classic header
// validated. `name` is for messages.
Result<PcapHandle> validate_classic_header(std::span<const std::uint8_t> header, const std::string& name);

// "x.pcap: link type IEEE802_11 (105) is not supported; ..." where the link type is not supported.
Result<LinkType> supported_link_type(pcap_t* handle, const std::string& name);

// A capture that libpcap reads, packet times in nanoseconds.
class LibpcapFile {
 public:
  static Result<std::unique_ptr<LibpcapFile>> open(ByteInput input);

  pcap_t* handle() { return handle_.get(); }
  const ByteInput& input() const { return input_; }

  // False when the next packet would have to be waited for. True says less: the rest of a packet may be on
  // its way.
  bool ready() const;

 private:
  explicit LibpcapFile(ByteInput input);
  static ssize_t read_cookie(void* self, char* to, size_t bytes);

  ByteInput input_;
  FILE* stream_ = nullptr;  // of handle_, over input_
  PcapHandle handle_;
};

}  // namespace evenkeel::source
