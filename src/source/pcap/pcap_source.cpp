#include "source/pcap/pcap_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <span>
#include <utility>

#include "source/pcap/byte_input.h"
#include "source/pcap/classic_format.h"
#include "source/pcap/classic_source.h"
#include "source/pcap/libpcap_file.h"
#include "source/pcap/libpcap_source.h"

namespace evenkeel::source {
namespace {

Result<std::unique_ptr<Source>> open_with_libpcap(ByteInput input, const PcapOptions& options) {
  auto file = LibpcapFile::open(std::move(input));
  if (!file) return file.error();
  const auto link = supported_link_type((*file)->handle(), (*file)->input().name());
  if (!link) return link.error();
  return std::unique_ptr<Source>(std::make_unique<LibpcapSource>(std::move(*file), *link, options));
}

// The program that unpacks such a file, or nothing.
const char* unpacker_of(std::span<const std::uint8_t> head) {
  const auto begins_with = [head](std::initializer_list<std::uint8_t> magic) {
    return head.size() >= magic.size() && std::equal(magic.begin(), magic.end(), head.begin());
  };
  if (begins_with({0x1f, 0x8b})) return "zcat";
  if (begins_with({0x28, 0xb5, 0x2f, 0xfd})) return "zstdcat";
  if (begins_with({0xfd, '7', 'z', 'X', 'Z'})) return "xzcat";
  return nullptr;
}

Result<void> refuse_what_is_no_capture(std::span<const std::uint8_t> head, const std::string& name) {
  if (head.empty()) return runtime_error(fmt::format("{} is empty; a pcap or pcapng file is needed", name));
  if (const char* unpacker = unpacker_of(head)) {
    return runtime_error(
        fmt::format("{0} is compressed: unpack it, or pipe `{1} {0}` into the input -", name, unpacker));
  }
  return {};
}

// Older versions than 2.4 have lengths in another order or another sense.
bool is_current_version(pcap_t* handle) {
  return pcap_major_version(handle) == 2 && pcap_minor_version(handle) == 4;
}

}  // namespace

Result<std::unique_ptr<Source>> open_pcap(const std::string& path, const PcapOptions& options) {
  auto input = ByteInput::open(path);
  if (!input) return input.error();
  const auto head = input->peek_head(kClassicHeaderBytes);
  if (!head) return head.error();
  if (const auto taken = refuse_what_is_no_capture(*head, input->name()); !taken) return taken.error();
  const auto format = classic_format(*head);
  if (!format || options.libpcap_only) return open_with_libpcap(std::move(*input), options);
  const auto header = validate_classic_header(*head, input->name());
  if (!header) return header.error();
  const auto link = supported_link_type(header->get(), input->name());
  if (!link) return link.error();
  if (!is_current_version(header->get())) return open_with_libpcap(std::move(*input), options);
  const auto snapshot_length = static_cast<std::uint32_t>(pcap_snapshot(header->get()));
  return std::unique_ptr<Source>(std::make_unique<ClassicSource>(
      std::move(*input), ClassicSource::Capture{*format, *link, snapshot_length}, options));
}

}  // namespace evenkeel::source
