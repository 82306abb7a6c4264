// The classic capture format (draft-ietf-opsawg-pcap): a header of 24 bytes, then records, each of a header
// of 16 bytes and the captured bytes, in the byte order of the machine that wrote it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "base/units.h"

namespace evenkeel::source {

inline constexpr std::size_t kClassicHeaderBytes = 24;
inline constexpr std::size_t kClassicRecordHeaderBytes = 16;
// libpcap's bound (MAXIMUM_SNAPLEN) for a sane captured length: a longer one is damage.
inline constexpr std::uint32_t kCapturedLengthMax = 262'144;

struct ClassicFormat {
  bool swapped = false;              // not in this machine's byte order
  std::int64_t fraction_ns = 1'000;  // unit of the second part of a time
};

// What the magic number says, or nothing where the capture is of another format, which includes classic ones
// with a modified record header.
inline std::optional<ClassicFormat> classic_format(std::span<const std::uint8_t> head) {
  constexpr std::uint32_t kMicroseconds = 0xa1b2c3d4;
  constexpr std::uint32_t kNanoseconds = 0xa1b23c4d;
  std::uint32_t magic;
  if (head.size() < sizeof(magic)) return std::nullopt;
  std::memcpy(&magic, head.data(), sizeof(magic));
  const bool swapped = magic != kMicroseconds && magic != kNanoseconds;
  if (swapped) magic = __builtin_bswap32(magic);
  if (magic == kMicroseconds) return ClassicFormat{swapped, 1'000};
  if (magic == kNanoseconds) return ClassicFormat{swapped, 1};
  return std::nullopt;
}

struct ClassicRecord {
  std::int64_t time_ns = 0;
  std::uint32_t captured_length = 0;
  std::uint32_t wire_length = 0;
};

// `header` points to kClassicRecordHeaderBytes bytes. The parts of a time are taken as libpcap takes them: as
// signed in this machine's byte order (so before 1970 from 2038 on), as unsigned in the other.
template <bool kSwapped>
inline ClassicRecord decode_record(const std::uint8_t* header, std::int64_t fraction_ns) {
  std::uint32_t fields[4];
  static_assert(sizeof(fields) == kClassicRecordHeaderBytes);
  std::memcpy(fields, header, sizeof(fields));
  std::int64_t seconds = static_cast<std::int32_t>(fields[0]);
  std::int64_t fraction = static_cast<std::int32_t>(fields[1]);
  if constexpr (kSwapped) {
    for (auto& field : fields) field = __builtin_bswap32(field);
    seconds = fields[0];
    fraction = fields[1];
  }
  return {seconds * base::kNanosecondsPerSecond + fraction * fraction_ns, fields[2], fields[3]};
}

}  // namespace evenkeel::source
