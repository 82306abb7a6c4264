// The bytes of a file, a pipe or the standard input, read with read(2): no mapping, so a file that shrinks
// while it is read ends the input and does not kill the process.
//
// Thread: one at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "evenkeel/result.h"

namespace evenkeel::source {

class ByteInput {
 public:
  // `path` "-" is the standard input.
  static Result<ByteInput> open(const std::string& path);

  ByteInput(ByteInput&& other) noexcept;
  ByteInput& operator=(ByteInput&&) = delete;
  ~ByteInput();

  // Reads until `head` is full or the input ends, waiting for a slow pipe, and keeps the bytes to be read
  // again. Once, before the first read().
  static constexpr std::size_t kHeadBytesMax = 24;
  Result<std::span<const std::uint8_t>> peek_head(std::size_t bytes);

  // True when read() will not wait: there are bytes, or the end.
  bool ready() const;

  // As read(2): the number of bytes, 0 at the end, or -1 with errno. May wait when not ready().
  std::ptrdiff_t read(void* to, std::size_t bytes);

  std::uint64_t bytes_read() const { return bytes_read_; }
  std::optional<std::uint64_t> bytes_total() const { return bytes_total_; }
  const std::string& name() const { return name_; }

 private:
  ByteInput(int descriptor, std::string name);

  int descriptor_;
  std::string name_;  // for people
  bool regular_ = false;
  std::array<std::uint8_t, kHeadBytesMax> head_{};
  std::size_t head_begin_ = 0;
  std::size_t head_end_ = 0;
  std::uint64_t bytes_read_ = 0;
  std::optional<std::uint64_t> bytes_total_;
};

}  // namespace evenkeel::source
