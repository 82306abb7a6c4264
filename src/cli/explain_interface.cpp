#include "cli/explain_interface.h"

#ifndef EVENKEEL_HAS_BPF

namespace evenkeel::cli {

Result<Looked> look_at_interface(const std::string& name, std::optional<std::int64_t>) {
  return runtime_error(name +
                       " is no capture, and this build leaves out live interfaces: `./dev setup bpf && ./dev "
                       "build` puts them in");
}

}  // namespace evenkeel::cli

#else

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>

#include "actuator/network_interface.h"
#include "actuator/nic_table/card.h"
#include "actuator/observer.h"
#include "actuator/xdp_owner.h"
#include "base/parse_text.h"
#include "bpf/constants.h"
#include "control/steer_state.h"
#include "meter/cpu_time.h"

namespace evenkeel::cli {
namespace {

constexpr std::uint32_t kBuckets = 1'024;

double share_of(std::uint64_t part, std::uint64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

void describe_card(const actuator::Card& card, control::InterfaceFacts& facts) {
  facts.queues = card.queues;
  facts.queues_max = card.queues_max;
  facts.queues_word = card.queues_word;
  facts.key_symmetric = actuator::is_symmetric(card.key);
  facts.udp_ports_hashed = (card.ports & kCardPortsUdp4) != 0 && (card.ports & kCardPortsUdp6) != 0;
  facts.hash_fields_known = card.fields_known;
  if (card.table.empty()) return;
  facts.table_share.assign(card.queues, 0);
  for (const std::uint32_t queue : card.table) {
    if (queue < card.queues) facts.table_share[queue] += 1.0 / static_cast<double>(card.table.size());
  }
}

void describe_placement(control::InterfaceFacts& facts) {
  for (const std::uint32_t interrupt : actuator::interrupts_of(facts.name)) {
    auto list = meter::read_file(fmt::format("/proc/irq/{}/smp_affinity_list", interrupt));
    if (list) facts.interrupt_cpus.push_back(list->substr(0, list->find('\n')));
  }
  const auto queues = actuator::receive_queues(facts.name);
  if (facts.queues == 0) facts.queues = static_cast<std::uint32_t>(queues.size());
  facts.rps = std::any_of(queues.begin(), queues.end(),
                          [](const auto& queue) { return !actuator::mask_is_empty(queue.rps_cpus); });
  facts.irqbalance = actuator::process_runs("irqbalance");
}

void describe_traffic(const actuator::Observed& observed, Looked& looked) {
  const std::uint64_t ip =
      std::accumulate(observed.packets.begin(), observed.packets.end(), std::uint64_t{0});
  control::TrafficFacts& traffic = looked.traffic;
  traffic.packets = ip + observed.unclassified + observed.malformed;
  traffic.fragment_share = share_of(observed.fragments, traffic.packets);
  traffic.not_ip_share = share_of(observed.unclassified, traffic.packets);
  traffic.udp_share = share_of(observed.udp, ip);
  traffic.tunnel_share = share_of(observed.tunnelled, traffic.packets);
  const auto largest = std::max_element(observed.packets.begin(), observed.packets.end());
  traffic.largest_share = share_of(*largest, traffic.packets);
  traffic.connections_told_apart = false;
  traffic.largest_name = fmt::format("One of {} buckets of connections", observed.packets.size());
  for (const std::uint32_t cpu : looked.interface.cpus) {
    looked.interface.receive_share.push_back(share_of(observed.packets_of_cpu[cpu], ip));
  }
}

}  // namespace

Result<Looked> look_at_interface(const std::string& name, std::optional<std::int64_t> duration_ns) {
  const auto found = actuator::find_interface(name);
  if (!found) return found.error();
  Looked looked;
  looked.interface.name = name;
  looked.interface.driver = found->driver;
  looked.interface.xdp_program = found->xdp_program != 0;
  looked.interface.xdp_program_is_linked = actuator::is_held_by_link(*found);
  const auto state = control::SteerStateStore().load(name);
  if (state && *state && control::is_alive(**state)) looked.interface.steered_by = (*state)->process;
  const auto online = meter::read_file("/sys/devices/system/cpu/online");
  auto cpus = base::parse_cpu_list(online ? online->substr(0, online->find('\n')) : "0");
  if (!cpus) return cpus.error();
  looked.interface.cpus = *cpus;
  describe_card(actuator::read_card(name), looked.interface);
  describe_placement(looked.interface);
  if (!duration_ns) return looked;
  const auto observer = actuator::Observer::open(
      {.interface_index = found->index, .buckets = kBuckets, .inner_tunnel = false, .card = std::nullopt});
  if (!observer) return observer.error();
  std::this_thread::sleep_for(std::chrono::nanoseconds(*duration_ns));
  const auto observed = observer->read();
  if (!observed) return observed.error();
  describe_traffic(*observed, looked);
  return looked;
}

}  // namespace evenkeel::cli

#endif
