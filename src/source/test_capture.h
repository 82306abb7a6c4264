// For tests: captures written byte by byte, and a way to drain a source.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "evenkeel/source.h"

namespace evenkeel::source {

// A file that lives as long as this.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content) {
    char path[] = "/tmp/evenkeel-test-XXXXXX";
    const int descriptor = ::mkstemp(path);
    if (descriptor >= 0) ::close(descriptor);
    path_ = path;
    std::ofstream(path_, std::ios::binary) << content;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::remove(path_.c_str()); }

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Writes the classic format as any machine might have.
class CaptureWriter {
 public:
  struct Format {
    bool swapped = false;
    bool nanoseconds = false;
    std::uint32_t link = 1;
    std::uint32_t snapshot_length = 262'144;
    std::uint16_t version_minor = 4;
  };

  CaptureWriter() : CaptureWriter(Format{}) {}
  explicit CaptureWriter(const Format& format) : format_(format) {
    put32(format.nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4);
    put16(2);
    put16(format.version_minor);
    put32(0);
    put32(0);
    put32(format.snapshot_length);
    put32(format.link);
  }

  CaptureWriter& record(std::uint32_t seconds, std::uint32_t fraction, const std::string& bytes,
                        std::uint32_t wire_length) {
    record_header(seconds, fraction, static_cast<std::uint32_t>(bytes.size()), wire_length);
    content_ += bytes;
    return *this;
  }
  CaptureWriter& record_header(std::uint32_t seconds, std::uint32_t fraction, std::uint32_t captured_length,
                               std::uint32_t wire_length) {
    for (const std::uint32_t field : {seconds, fraction, captured_length, wire_length}) put32(field);
    return *this;
  }

  const std::string& content() const { return content_; }

 private:
  void put16(std::uint16_t value) {
    if (format_.swapped) value = __builtin_bswap16(value);
    content_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void put32(std::uint32_t value) {
    if (format_.swapped) value = __builtin_bswap32(value);
    content_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }

  Format format_;
  std::string content_;
};

// What a source gave of one packet.
struct SeenPacket {
  std::int64_t time_ns = 0;
  std::uint32_t captured_length = 0;
  std::uint32_t wire_length = 0;
  std::uint64_t sequence = 0;
  std::uint16_t source = 0;
  LinkType link = LinkType::kEthernet;
  std::string bytes;

  friend bool operator==(const SeenPacket&, const SeenPacket&) = default;
};

inline SeenPacket see(const Packet& packet) {
  return {packet.time_ns,
          packet.captured_length,
          packet.wire_length,
          packet.sequence,
          packet.source,
          packet.link,
          std::string(reinterpret_cast<const char*>(packet.data), packet.captured_length)};
}

struct Drained {
  std::vector<SeenPacket> packets;
  std::string error;  // empty: none
};

// Reads a source to its end, `batch` packets at a time, each released at once.
inline Drained drain(Source& source, std::size_t batch = 32) {
  Drained drained;
  std::vector<Packet*> out(batch);
  for (;;) {
    std::size_t count = 0;
    const ReceiveStatus status = source.receive(out, count);
    for (std::size_t i = 0; i < count; ++i) {
      drained.packets.push_back(see(*out[i]));
      out[i]->block->release(1);
    }
    if (status == ReceiveStatus::kEnd || status == ReceiveStatus::kError) break;
  }
  if (const auto error = source.error()) drained.error = error->message;
  return drained;
}

}  // namespace evenkeel::source
