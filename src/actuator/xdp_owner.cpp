#include "actuator/xdp_owner.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/core.h>
#include <linux/if_link.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file_descriptor.h"

namespace evenkeel::actuator {
namespace {

std::uint32_t flags_of(bool generic) { return generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE; }

std::uint32_t attached_program(int interface_index, bool generic) {
  std::uint32_t identity = 0;
  return bpf_xdp_query_id(interface_index, static_cast<int>(flags_of(generic)), &identity) == 0 ? identity
                                                                                                : 0;
}

std::uint32_t identity_of(int program) {
  bpf_prog_info info{};
  std::uint32_t size = sizeof info;
  return bpf_obj_get_info_by_fd(program, &info, &size) == 0 ? info.id : 0;
}

// Whether the link is of this interface's program. (Its interface number alone would not tell: it counts
// within a network namespace.)
bool is_link_of(std::uint32_t link, const NetworkInterface& interface) {
  const base::FileDescriptor descriptor(bpf_link_get_fd_by_id(link));
  bpf_link_info info{};
  std::uint32_t size = sizeof info;
  return descriptor.valid() && bpf_obj_get_info_by_fd(descriptor.get(), &info, &size) == 0 &&
         info.type == BPF_LINK_TYPE_XDP &&
         info.prog_id == static_cast<std::uint32_t>(interface.xdp_program) &&
         info.xdp.ifindex == static_cast<std::uint32_t>(interface.index);
}

}  // namespace

bool is_held_by_link(const NetworkInterface& interface) {
  if (interface.xdp_program == 0) return false;
  for (std::uint32_t link = 0; bpf_link_get_next_id(link, &link) == 0;) {
    if (is_link_of(link, interface)) return true;
  }
  return false;
}

Result<std::string> keep_xdp_program(const NetworkInterface& interface) {
  const base::FileDescriptor program(
      bpf_prog_get_fd_by_id(static_cast<std::uint32_t>(interface.xdp_program)));
  if (!program.valid()) {
    return runtime_error(
        fmt::format("cannot get hold of XDP program {}: {}", interface.xdp_program, std::strerror(errno)));
  }
  const std::string pin = fmt::format("/sys/fs/bpf/evenkeel-{}-{}", interface.name, interface.xdp_program);
  if (bpf_obj_pin(program.get(), pin.c_str()) == 0 || errno == EEXIST) return pin;
  return runtime_error(
      fmt::format("cannot keep XDP program {} at {}: {}; `ip netns exec` hides bpffs: use `nsenter "
                  "--net=/run/netns/NAME` "
                  "instead, or `mount -t bpf bpf /sys/fs/bpf` first",
                  interface.xdp_program, pin, std::strerror(errno)));
}

Result<void> detach_xdp_program(const NetworkInterface& interface) {
  const int error = bpf_xdp_detach(interface.index, flags_of(interface.xdp_generic), nullptr);
  if (error == 0) return {};
  return runtime_error(
      fmt::format("XDP program {} is held by its owner and cannot be set aside ({}): end that program",
                  interface.xdp_program, std::strerror(-error)));
}

void forget_xdp_program(const std::string& pin) { unlink(pin.c_str()); }

Result<void> put_xdp_program_back(int interface_index, const std::string& pin, bool generic) {
  libbpf_set_print(nullptr);  // what fails is returned
  const base::FileDescriptor program(bpf_obj_get(pin.c_str()));
  if (!program.valid()) return runtime_error(fmt::format("cannot open {}: {}", pin, std::strerror(errno)));
  const std::uint32_t flags = flags_of(generic) | XDP_FLAGS_UPDATE_IF_NOEXIST;
  const int error = bpf_xdp_attach(interface_index, program.get(), flags, nullptr);
  const std::uint32_t attached = attached_program(interface_index, generic);
  if (error != 0 && (attached == 0 || attached != identity_of(program.get()))) {
    return runtime_error(fmt::format("cannot attach {} again: {}", pin, std::strerror(-error)));
  }
  unlink(pin.c_str());
  return {};
}

}  // namespace evenkeel::actuator
