#include "source/pcap/byte_input.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace evenkeel::source {
namespace {

Error cannot(const char* action, const std::string& name, int reason) {
  return runtime_error(fmt::format("cannot {} {}: {}", action, name, std::strerror(reason)));
}

std::ptrdiff_t read_whole_call(int descriptor, void* to, std::size_t bytes) {
  std::ptrdiff_t got;
  do {
    got = ::read(descriptor, to, bytes);
  } while (got < 0 && errno == EINTR);
  return got;
}

}  // namespace

Result<ByteInput> ByteInput::open(const std::string& path) {
  const bool standard = path == "-";
  std::string name = standard ? "standard input" : path;
  const int descriptor = standard ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return cannot("open", name, errno);
  ByteInput input(descriptor, std::move(name));
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return cannot("read", input.name_, errno);
  if (S_ISDIR(status.st_mode)) return cannot("read", input.name_, EISDIR);
  input.regular_ = S_ISREG(status.st_mode);
  if (input.regular_) {
    input.bytes_total_ = static_cast<std::uint64_t>(status.st_size);
    ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);  // a hint: reads further ahead
  }
  return input;
}

ByteInput::ByteInput(int descriptor, std::string name) : descriptor_(descriptor), name_(std::move(name)) {}

ByteInput::ByteInput(ByteInput&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      name_(std::move(other.name_)),
      regular_(other.regular_),
      head_(other.head_),
      head_begin_(other.head_begin_),
      head_end_(other.head_end_),
      bytes_read_(other.bytes_read_),
      bytes_total_(other.bytes_total_) {}

ByteInput::~ByteInput() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<std::span<const std::uint8_t>> ByteInput::peek_head(std::size_t bytes) {
  CHECK(bytes <= kHeadBytesMax && bytes_read_ == 0);
  while (head_end_ < bytes) {
    // Not called again after a signal: nothing has been read yet that would have to be brought to an end.
    const std::ptrdiff_t got = ::read(descriptor_, head_.data() + head_end_, bytes - head_end_);
    if (got < 0 && errno == EINTR) return runtime_error(name_ + ": interrupted before its first packet");
    if (got < 0) return cannot("read", name_, errno);
    if (got == 0) break;
    head_end_ += static_cast<std::size_t>(got);
  }
  return std::span<const std::uint8_t>(head_.data(), head_end_);
}

bool ByteInput::ready() const {
  if (regular_ || head_begin_ < head_end_) return true;
  pollfd poll{descriptor_, POLLIN, 0};
  return ::poll(&poll, 1, 0) != 0;  // an error is for read() to report
}

std::ptrdiff_t ByteInput::read(void* to, std::size_t bytes) {
  std::ptrdiff_t got;
  if (head_begin_ < head_end_) {
    const std::size_t copied = std::min(bytes, head_end_ - head_begin_);
    std::memcpy(to, head_.data() + head_begin_, copied);
    head_begin_ += copied;
    got = static_cast<std::ptrdiff_t>(copied);
  } else {
    got = read_whole_call(descriptor_, to, bytes);
  }
  if (got > 0) bytes_read_ += static_cast<std::uint64_t>(got);
  return got;
}

}  // namespace evenkeel::source
