// A file to write to, or standard output, through a buffer. Nothing written is lost without a word: the first
// error stays, all later writes are refused, and close() tells it.
//
// Thread: one at a time. Cost: write() is a copy; one system call for each kBufferBytes.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "evenkeel/result.h"

namespace evenkeel::base {

class OutputFile {
 public:
  static constexpr std::size_t kBufferBytes = 256 * 1024;

  // Creates or truncates `path`; "-" is standard output. Fails where that cannot be opened for writing.
  static Result<OutputFile> open(const std::string& path);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  // Closes; what close() would have told is lost. Call close().
  ~OutputFile();

  // False once an error has happened.
  bool write(std::string_view bytes);

  // Room for `bytes` (at most kBufferBytes) to format into; commit() says where it ends. Null once an error
  // has happened.
  char* reserve(std::size_t bytes);
  void commit(char* end);

  // Hands what is buffered to the system, so that a reader of a pipe sees it.
  bool flush();

  // Flushes and closes, and tells the first error of all.
  Result<void> close();

 private:
  OutputFile(std::string name, int descriptor, bool owned);
  bool write_out(const char* bytes, std::size_t count);
  bool fail(int error_number);

  std::string name_;
  int descriptor_;
  bool owned_;
  std::size_t used_ = 0;
  std::unique_ptr<char[]> buffer_;
  std::optional<Error> error_;
};

// Whether write_file() could begin to write there, without changing what is there: to be asked before long
// work. Files and folders only; of anything else it cannot be known without doing it.
Result<void> check_writable(const std::string& path);

// Writes `text` as the whole of `path` ("-": standard output).
Result<void> write_file(const std::string& path, std::string_view text);

}  // namespace evenkeel::base
