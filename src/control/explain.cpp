#include "control/explain.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

namespace evenkeel::control {
namespace {

int percent(double share) { return static_cast<int>(share * 100 + 0.5); }

class Explainer {
 public:
  Explainer(const std::optional<InterfaceFacts>& interface, const TrafficFacts& traffic, std::size_t cpus)
      : interface_(interface), traffic_(traffic), cpus_(interface ? interface->cpus.size() : cpus) {}

  std::vector<Finding> run() {
    if (interface_) explain_interface();
    if (traffic_.packets >= kPacketsThatTell) explain_traffic();
    std::stable_sort(findings_.begin(), findings_.end(),
                     [](const Finding& a, const Finding& b) { return a.weight > b.weight; });
    return std::move(findings_);
  }

 private:
  void add(double weight, const char* name, std::string text, std::string remedy) {
    findings_.push_back(
        {.weight = weight, .name = name, .text = std::move(text), .remedy = std::move(remedy)});
  }
  const std::string& name() const { return interface_->name; }
  // What is steered already is not told to be.
  std::string steer(const char* options = "") const {
    if (interface_ && interface_->steered_by != 0) return "";
    return fmt::format("evenkeel steer {}{}", interface_ ? name() : "IF", options);
  }

  std::string with_steer(const std::string& command) const {
    return steer().empty() ? command : command + " && " + steer();
  }

  void explain_interface() {
    find_uneven_receive();
    find_few_queues();
    find_interrupts_together();
    find_hash_fields();
    find_uneven_table();
    find_asymmetric_key();
    find_other_balancers();
  }

  void explain_traffic() {
    find_elephant();
    find_tunnel();
    find_fragments();
    find_not_ip();
  }

  void find_uneven_receive() {
    const auto& shares = interface_->receive_share;
    if (traffic_.packets < kPacketsThatTell || shares.size() < 2) return;
    const auto busiest = std::max_element(shares.begin(), shares.end());
    const double fair = 1.0 / static_cast<double>(shares.size());
    if (*busiest < 1.25 * fair) return;
    const std::uint32_t cpu = interface_->cpus[static_cast<std::size_t>(busiest - shares.begin())];
    add(100 * (*busiest - fair) / (1 - fair), "uneven_receive",
        fmt::format("CPU {} receives {} % of the packets; even would be {} % on each of {} CPUs.", cpu,
                    percent(*busiest), percent(fair), shares.size()),
        steer());
  }

  // CPUs that get a share worth the name.
  std::size_t receiving_cpus() const {
    constexpr double kShareMin = 0.02;
    if (traffic_.packets < kPacketsThatTell) return 0;
    const auto& shares = interface_->receive_share;
    return static_cast<std::size_t>(
        std::count_if(shares.begin(), shares.end(), [](double share) { return share >= kShareMin; }));
  }

  void find_few_queues() {
    const std::size_t cpus = interface_->cpus.size();
    const std::uint32_t queues = interface_->queues;
    if (queues == 0 || queues >= cpus) return;
    // The others get work all the same: of a veth, whoever sends also receives.
    if (interface_->rps || interface_->steered_by != 0 || receiving_cpus() > queues) return;
    const std::string text =
        fmt::format("{} has {} receive queue{} for {} CPUs: the others get no receive work.", name(), queues,
                    queues == 1 ? "" : "s", cpus);
    if (interface_->queues_max > queues) {
      return add(60, "fewer_queues_than_cpus", text,
                 fmt::format("ethtool -L {} {} {}", name(), interface_->queues_word,
                             std::min<std::size_t>(cpus, interface_->queues_max)));
    }
    add(60, "fewer_queues_than_cpus", text, steer(" --actuator xdp_cpumap"));
  }

  void find_interrupts_together() {
    const auto& lists = interface_->interrupt_cpus;
    const std::set<std::string> places(lists.begin(), lists.end());
    if (lists.size() < 2 || places.size() != 1 || interface_->queues < 2) return;
    if (places.begin()->find_first_of(",-") != std::string::npos) return;  // each may run on several
    add(80, "interrupts_together",
        fmt::format("All {} interrupts of {} go to CPU {}, whatever queue a packet is in.", lists.size(),
                    name(), *places.begin()),
        "systemctl start irqbalance, or echo a CPU of its own into each /proc/irq/N/smp_affinity_list");
  }

  void find_hash_fields() {
    if (!interface_->hash_fields_known || interface_->udp_ports_hashed || interface_->queues < 2) return;
    add(20 + 60 * traffic_.udp_share, "udp_hashed_by_addresses_alone",
        fmt::format(
            "The card hashes UDP by addresses alone: all UDP between two hosts ({} % of the packets are UDP) "
            "comes to one queue.",
            percent(traffic_.udp_share)),
        fmt::format("ethtool -N {0} rx-flow-hash udp4 sdfn && ethtool -N {0} rx-flow-hash udp6 sdfn",
                    name()));
  }

  void find_uneven_table() {
    const auto& shares = interface_->table_share;
    if (shares.size() < 2) return;
    const auto [least, most] = std::minmax_element(shares.begin(), shares.end());
    if (*least * 1.5 >= *most) return;
    add(40, "uneven_table",
        fmt::format("The indirection table gives {} % of its slots to one queue and {} % to another.",
                    percent(*most), percent(*least)),
        fmt::format("ethtool -X {} equal {}", name(), shares.size()));
  }

  void find_asymmetric_key() {
    if (interface_->table_share.empty() || interface_->key_symmetric || interface_->queues < 2) return;
    std::string key = "6d:5a";
    for (int i = 1; i < 20; ++i) key += ":6d:5a";
    add(5, "asymmetric_hash",
        "The two directions of a connection are hashed to different queues. That is no imbalance; it matters "
        "to "
        "what looks at both directions (a firewall, an inspection, a flow meter).",
        fmt::format("ethtool -X {} hkey {}", name(), key));
  }

  void find_other_balancers() {
    if (interface_->rps) {
      add(10, "rps", fmt::format("RPS spreads packets of {} again, by hash and not by load.", name()),
          with_steer(fmt::format("echo 0 | tee /sys/class/net/{}/queues/rx-*/rps_cpus", name())));
    }
    if (interface_->irqbalance && !interface_->interrupt_cpus.empty()) {
      add(8, "irqbalance", "irqbalance moves the interrupts by itself; it would fight a steering program.",
          "systemctl stop irqbalance");
    }
    if (interface_->steered_by != 0) {
      add(8, "steered",
          fmt::format("{} is steered by evenkeel (process {}): what is uneven here is so in spite of that.",
                      name(), interface_->steered_by),
          "");
    } else if (interface_->xdp_program_is_linked) {
      add(8, "xdp_program",
          fmt::format("An XDP program is attached to {} and held by the program that put it there: steering "
                      "starts only when that has ended.",
                      name()),
          "bpftool link show");
    } else if (interface_->xdp_program) {
      add(8, "xdp_program",
          fmt::format("An XDP program is attached to {}; steering starts only if it may set that aside.",
                      name()),
          steer(" --take-over"));
    }
  }

  // What one connection has more than a CPU's fair share of cannot be levelled by moving connections.
  void find_elephant() {
    const double fair = 1 / static_cast<double>(std::max<std::size_t>(2, cpus_));
    if (traffic_.largest_share < std::max(0.1, fair)) return;
    // A bucket that fragments or tunnels may fill is theirs to explain.
    const double others = traffic_.fragment_share + traffic_.tunnel_share;
    if (!traffic_.connections_told_apart && others >= traffic_.largest_share / 2) return;
    const bool tunnel = traffic_.largest_is_encrypted;
    add(90 * traffic_.largest_share, tunnel ? "tunnel" : "elephant",
        fmt::format(
            "{} carries {} % of the packets: {}it needs a CPU of its own, and the rest must keep away "
            "from that.",
            traffic_.largest_name, percent(traffic_.largest_share),
            tunnel ? "an encrypted tunnel is one connection, whatever is inside; " : ""),
        steer());
  }

  void find_tunnel() {
    if (traffic_.tunnel_share < 0.2) return;
    const std::string largest =
        traffic_.largest_tunnel_share > 0
            ? fmt::format(", {} % of all in one tunnel", percent(traffic_.largest_tunnel_share))
            : "";
    add(85 * traffic_.tunnel_share, "tunnel",
        fmt::format("{} % of the packets are tunnelled{}: by its outer addresses a tunnel is one connection, "
                    "whatever is "
                    "inside.",
                    percent(traffic_.tunnel_share), largest),
        steer(" --tunnel inner"));
  }

  void find_fragments() {
    if (traffic_.fragment_share < 0.01) return;
    add(30 + 40 * traffic_.fragment_share, "fragments",
        fmt::format("{} % of the packets are fragments: they are placed by addresses alone, apart from the "
                    "whole packets "
                    "of their connection. Look for a wrong MTU on the way.",
                    percent(traffic_.fragment_share)),
        "tracepath -n HOST");
  }

  void find_not_ip() {
    if (traffic_.not_ip_share < 0.05) return;
    add(10 + 50 * traffic_.not_ip_share, "not_ip",
        fmt::format("{} % of the packets are not IP: a card does not hash them, they all come to queue 0.",
                    percent(traffic_.not_ip_share)),
        interface_ ? fmt::format("tcpdump -e -n -c 20 -i {} not ip and not ip6", name())
                   : "tcpdump -e -n -c 20 -r FILE not ip and not ip6");
  }

  const std::optional<InterfaceFacts>& interface_;
  const TrafficFacts& traffic_;
  std::size_t cpus_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> explain(const std::optional<InterfaceFacts>& interface, const TrafficFacts& traffic,
                             std::size_t cpus) {
  return Explainer(interface, traffic, cpus).run();
}

}  // namespace evenkeel::control
