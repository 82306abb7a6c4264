#include "control/steer_claim.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace evenkeel::control {
namespace {

Error claim_error(const std::string& path) {
  const int error = errno;
  const char* const remedy = error == EACCES || error == EPERM ? "; steering needs root" : "";
  return runtime_error(
      fmt::format("cannot lock {}: {}; nothing was changed{}", path, std::strerror(error), remedy));
}

// Whether the name still leads to this file: its last holder may have removed it meanwhile.
bool is_file_at(int file, const std::string& path) {
  struct stat opened {};
  struct stat named {};
  return fstat(file, &opened) == 0 && stat(path.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

}  // namespace

Result<std::optional<SteerClaim>> SteerClaim::take(const std::string& path) {
  while (true) {
    base::FileDescriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.valid()) return claim_error(path);
    if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return std::optional<SteerClaim>();
      return claim_error(path);
    }
    if (is_file_at(file.get(), path)) return std::optional(SteerClaim(path, std::move(file)));
  }
}

// Removed while it is locked: who opens it now gets a file of its own, or sees above that this one is gone.
SteerClaim::~SteerClaim() {
  if (file_.valid()) unlink(path_.c_str());
}

}  // namespace evenkeel::control
