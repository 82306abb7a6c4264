#include "cli/steer_preflight.h"

#include <fmt/format.h>

#include "actuator/nic_table/card.h"
#include "actuator/nic_table/nic_table.h"
#include "actuator/xdp_owner.h"
#include "control/steer_choice.h"

namespace evenkeel::cli {
namespace {

using actuator::NetworkInterface;
using actuator::XdpMode;

// Drivers whose native mode is known to take redirection into a CPU map. Others are tried by --xdp-mode
// native.
bool is_known_native(const std::string& driver) {
  for (const char* const known :
       {"veth", "ixgbe", "i40e", "ice", "igb", "igc", "mlx5_core", "mlx4_en", "bnxt_en", "ena", "virtio_net",
        "gve", "nfp", "sfc", "qede", "tg3", "hv_netvsc", "mvneta"}) {
    if (driver == known) return true;
  }
  return false;
}

std::string command_on_peer(const actuator::VethPeer& peer) {
  const std::string command = fmt::format("ethtool -K {} tx off", peer.name);
  if (peer.network_namespace.empty()) return command;
  return fmt::format("nsenter --net={}{} {}", peer.network_namespace.starts_with("/") ? "" : "/run/netns/",
                     peer.network_namespace, command);
}

// Native XDP redirects a packet before the kernel would compute the checksum that its sender left out.
Result<XdpMode> choose_mode(const SteerOptions& options, const NetworkInterface& interface,
                            std::vector<std::string>& notes) {
  if (options.xdp_mode == SteerXdpMode::kGeneric) return XdpMode::kGeneric;
  const auto peer = actuator::find_veth_peer(interface);
  if (peer && peer->checksum_offload) {
    const std::string remedy = command_on_peer(*peer);
    if (options.xdp_mode == SteerXdpMode::kNative) {
      return runtime_error(
          fmt::format("native XDP would break {}'s packets: its veth peer {} leaves checksums to hardware "
                      "that is not there; "
                      "`{}`, or --xdp-mode generic",
                      interface.name, peer->name, remedy));
    }
    notes.push_back(fmt::format(
        "generic XDP, because the veth peer {} leaves checksums out; for native: `{}`", peer->name, remedy));
    return XdpMode::kGeneric;
  }
  if (options.xdp_mode == SteerXdpMode::kNative || is_known_native(interface.driver)) return XdpMode::kNative;
  notes.push_back(interface.driver.empty()
                      ? fmt::format("generic XDP, because {} has no driver", interface.name)
                      : fmt::format("generic XDP, because driver '{}' is not known to redirect natively",
                                    interface.driver));
  return XdpMode::kGeneric;
}

// Who else places this interface's packets on CPUs.
std::vector<std::string> find_other_owners(const NetworkInterface& interface) {
  std::vector<std::string> owners;
  if (interface.xdp_program != 0) {
    owners.push_back(
        fmt::format("XDP program {} is attached (`ip link show {}`)", interface.xdp_program, interface.name));
  }
  for (const auto& queue : actuator::receive_queues(interface.name)) {
    if (actuator::mask_is_empty(queue.rps_cpus)) continue;
    owners.push_back(
        fmt::format("RPS spreads its queue {} (`echo 0 > /sys/class/net/{}/queues/rx-{}/rps_cpus`)",
                    queue.number, interface.name, queue.number));
    break;
  }
  if (!actuator::interrupts_of(interface.name).empty() && actuator::process_runs("irqbalance")) {
    owners.push_back("irqbalance moves its interrupts (`systemctl stop irqbalance`)");
  }
  return owners;
}

// auto: the card's own table where it does all that is wished for, since it costs nothing for each packet.
bool chooses_table(const SteerOptions& options, std::vector<std::string>& notes) {
  if (options.actuator != SteerActuator::kAuto) return options.actuator == SteerActuator::kNicTable;
  const actuator::Card card = actuator::read_card(options.interface);
  const auto why_not =
      control::why_not_table(card, {.cpus = options.cpus.size(),
                                    .chooses_cpus = options.chooses_cpus,
                                    .inner_tunnel = options.inner_tunnel,
                                    .strict_order = options.order == actuator::MoveOrder::kStrict});
  if (why_not && !card.table.empty()) notes.push_back("not by the card's table: " + *why_not);
  return !why_not;
}

// Others may be set aside with --take-over, but not a program that its owner's link holds.
Result<void> check_owners(const SteerOptions& options, SteerGround& ground) {
  const NetworkInterface& interface = ground.interface;
  if (actuator::is_held_by_link(interface)) {
    return runtime_error(
        fmt::format("{} has another owner: XDP program {} is held by the program that attached it (by a BPF "
                    "link: `bpftool link`); end that program",
                    interface.name, interface.xdp_program));
  }
  for (const std::string& owner : find_other_owners(interface)) {
    if (!options.take_over) {
      return runtime_error(
          fmt::format("{} has another owner: {}; end it, or give --take-over", interface.name, owner));
    }
    ground.notes.push_back("in spite of: " + owner);
  }
  return {};
}

}  // namespace

Result<SteerGround> survey_ground(const SteerOptions& options) {
  auto interface = actuator::find_interface(options.interface);
  if (!interface) return interface.error();
  SteerGround ground{.interface = *interface, .notes = {}};
  if (auto checked = check_owners(options, ground); !checked) return checked.error();
  ground.by_table = chooses_table(options, ground.notes);
  if (ground.by_table) {
    if (auto card = actuator::find_usable_card(options.interface); !card) return card.error();
    return ground;
  }
  const auto mode = choose_mode(options, *interface, ground.notes);
  if (!mode) return mode.error();
  ground.mode = *mode;
  return ground;
}

}  // namespace evenkeel::cli
