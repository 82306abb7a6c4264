// One steering process at a time for each interface: a locked file, which the kernel unlocks however its
// process ends. A file that only root may open, so that nobody else can keep steering away.
//
// Invariant: who holds a claim holds the lock of the file that has the name; the file goes with the claim.
// Thread: [control].
#pragma once

#include <optional>
#include <string>

#include "base/file_descriptor.h"
#include "evenkeel/result.h"

namespace evenkeel::control {

class SteerClaim {
 public:
  // Nothing: another process has it. The file's folder must be there.
  static Result<std::optional<SteerClaim>> take(const std::string& path);

  SteerClaim(SteerClaim&&) noexcept = default;
  SteerClaim& operator=(SteerClaim&&) = delete;
  ~SteerClaim();

 private:
  SteerClaim(std::string path, base::FileDescriptor file) : path_(std::move(path)), file_(std::move(file)) {}

  std::string path_;
  base::FileDescriptor file_;
};

}  // namespace evenkeel::control
