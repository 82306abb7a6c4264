#include "base/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace evenkeel::base {

namespace {

Error cannot(std::string_view verb, const std::string& name, int error_number) {
  return runtime_error(fmt::format("cannot {} {}: {}", verb, name, std::strerror(error_number)));
}

}  // namespace

Result<OutputFile> OutputFile::open(const std::string& path) {
  if (path == "-") return OutputFile("standard output", STDOUT_FILENO, false);
  if (path.empty()) return usage_error("an output file has no name: give a path, or - for standard output");
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) return cannot("write", path, errno);
  return OutputFile(path, descriptor, true);
}

OutputFile::OutputFile(std::string name, int descriptor, bool owned)
    : name_(std::move(name)),
      descriptor_(descriptor),
      owned_(owned),
      buffer_(std::make_unique_for_overwrite<char[]>(kBufferBytes)) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : name_(std::move(other.name_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      owned_(other.owned_),
      used_(std::exchange(other.used_, 0)),
      buffer_(std::move(other.buffer_)),
      error_(std::move(other.error_)) {}

OutputFile::~OutputFile() { static_cast<void>(close()); }

bool OutputFile::fail(int error_number) {
  if (!error_) error_ = cannot("write to", name_, error_number);
  used_ = 0;
  return false;
}

bool OutputFile::write_out(const char* bytes, std::size_t count) {
  while (count > 0) {
    const ssize_t written = ::write(descriptor_, bytes, count);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(errno);
    bytes += written;
    count -= static_cast<std::size_t>(written);
  }
  return true;
}

bool OutputFile::flush() {
  if (error_) return false;
  return write_out(buffer_.get(), std::exchange(used_, 0));
}

bool OutputFile::write(std::string_view bytes) {
  if (error_) return false;
  if (bytes.size() > kBufferBytes - used_ && !flush()) return false;
  if (bytes.size() > kBufferBytes) return write_out(bytes.data(), bytes.size());
  std::memcpy(buffer_.get() + used_, bytes.data(), bytes.size());
  used_ += bytes.size();
  return true;
}

char* OutputFile::reserve(std::size_t bytes) {
  CHECK(bytes <= kBufferBytes);
  if (error_ || (bytes > kBufferBytes - used_ && !flush())) return nullptr;
  return buffer_.get() + used_;
}

void OutputFile::commit(char* end) {
  used_ = static_cast<std::size_t>(end - buffer_.get());
  CHECK(used_ <= kBufferBytes);
}

Result<void> OutputFile::close() {
  if (descriptor_ >= 0) {
    flush();
    // A delayed write may fail only here (a full disk behind NFS).
    if (owned_ && ::close(descriptor_) != 0) fail(errno);
    descriptor_ = -1;
  }
  if (error_) return *error_;
  return {};
}

Result<void> check_writable(const std::string& path) {
  if (path == "-") return {};
  struct stat status {};
  const bool existed = ::stat(path.c_str(), &status) == 0;
  // To open a pipe may block, and to close it tells its reader that all was written.
  if (existed && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return {};
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0) return cannot("write", path, errno);
  ::close(descriptor);
  if (!existed) ::unlink(path.c_str());
  return {};
}

Result<void> write_file(const std::string& path, std::string_view text) {
  Result<OutputFile> file = OutputFile::open(path);
  if (!file) return file.error();
  file->write(text);
  return file->close();
}

}  // namespace evenkeel::base
