#include "source/pcap/libpcap_file.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace evenkeel::source {
namespace {

constexpr std::size_t kBufferBytes = 65'536;

// Takes `file` over, also when it fails.
Result<PcapHandle> open_stream(FILE* file, const std::string& name) {
  if (file == nullptr) return runtime_error(fmt::format("cannot read {}: {}", name, std::strerror(errno)));
  std::array<char, PCAP_ERRBUF_SIZE> reason{};
  PcapHandle handle(
      pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, reason.data()));
  if (handle) return handle;
  std::fclose(file);
  return runtime_error(fmt::format(
      "{} is not a capture that can be read ({}); a pcap or pcapng file is needed", name, reason.data()));
}

// True when stdio holds bytes that libpcap has not taken. Where the C library does not tell, it may.
bool has_buffered([[maybe_unused]] const FILE* stream) {
#ifdef __GLIBC__
  return stream->_IO_read_ptr < stream->_IO_read_end;
#else
  return true;
#endif
}

}  // namespace

std::optional<LinkType> link_type_of(int pcap_link_type) {
  switch (pcap_link_type) {
    case DLT_EN10MB:
      return LinkType::kEthernet;
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
      return LinkType::kRawIp;
    case DLT_NULL:
    case DLT_LOOP:
      return LinkType::kBsdLoopback;
    case DLT_LINUX_SLL:
      return LinkType::kLinuxCooked;
    case DLT_LINUX_SLL2:
      return LinkType::kLinuxCookedTwo;
    default:
      return std::nullopt;
  }
}

Result<LinkType> supported_link_type(pcap_t* handle, const std::string& name) {
  const int number = pcap_datalink(handle);
  if (const auto link = link_type_of(number)) return *link;
  const char* known = pcap_datalink_val_to_name(number);
  return runtime_error(
      fmt::format("{}: link type {} ({}) is not supported; Ethernet, raw IP, BSD loopback and "
                  "Linux cooked v1 and v2 are",
                  name, known != nullptr ? known : "unknown", number));
}

Result<PcapHandle> validate_classic_header(std::span<const std::uint8_t> header, const std::string& name) {
  // fmemopen() only writes to what was opened for writing.
  return open_stream(::fmemopen(const_cast<std::uint8_t*>(header.data()), header.size(), "rb"), name);
}

LibpcapFile::LibpcapFile(ByteInput input) : input_(std::move(input)) {}

Result<std::unique_ptr<LibpcapFile>> LibpcapFile::open(ByteInput input) {
  std::unique_ptr<LibpcapFile> file(new LibpcapFile(std::move(input)));
  file->stream_ = ::fopencookie(file.get(), "rb", {&read_cookie, nullptr, nullptr, nullptr});
  if (file->stream_ != nullptr) std::setvbuf(file->stream_, nullptr, _IOFBF, kBufferBytes);
  auto handle = open_stream(file->stream_, file->input_.name());
  if (!handle) return handle.error();
  file->handle_ = std::move(*handle);
  return file;
}

bool LibpcapFile::ready() const { return has_buffered(stream_) || input_.ready(); }

ssize_t LibpcapFile::read_cookie(void* self, char* to, size_t bytes) {
  return static_cast<LibpcapFile*>(self)->input_.read(to, bytes);
}

}  // namespace evenkeel::source
