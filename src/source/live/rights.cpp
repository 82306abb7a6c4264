#include "source/live/rights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

namespace evenkeel::source {
namespace {

constexpr int kSysAdmin = 21;

// Those in effect, as bits; all of them where the kernel does not tell.
std::uint64_t capabilities_in_effect() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) return ~std::uint64_t{0};
  return data[0].effective | std::uint64_t{data[1].effective} << 32;
}

std::string_view name_of(Capability capability) {
  switch (capability) {
    case Capability::kNetAdmin:
      return "cap_net_admin";
    case Capability::kNetRaw:
      return "cap_net_raw";
    case Capability::kIpcLock:
      return "cap_ipc_lock";
    case Capability::kPerfmon:
      return "cap_perfmon";
    case Capability::kBpf:
      return "cap_bpf";
  }
  return "";
}

std::string own_path() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "evenkeel" : path.string();
}

}  // namespace

Result<void> check_rights(std::span<const Capability> needed, const std::string& what_for) {
  const std::uint64_t held = capabilities_in_effect();
  const auto holds = [&](int bit) { return (held >> bit & 1) != 0; };
  std::vector<std::string_view> names, missing;
  for (const Capability one : needed) {
    names.push_back(name_of(one));
    // The old right to everything includes the newer ones to load programs.
    const bool newer = one == Capability::kBpf || one == Capability::kPerfmon;
    const bool held_otherwise = newer && holds(kSysAdmin);
    if (!holds(static_cast<int>(one)) && !held_otherwise) missing.push_back(name_of(one));
  }
  if (missing.empty()) return {};
  return runtime_error(fmt::format(
      "{} needs {}, and {} missing: run as root, or `sudo setcap {}+ep {}`", what_for, fmt::join(names, ", "),
      fmt::format("{} {}", fmt::join(missing, ", "), missing.size() == 1 ? "is" : "are"),
      fmt::join(names, ","), own_path()));
}

}  // namespace evenkeel::source
