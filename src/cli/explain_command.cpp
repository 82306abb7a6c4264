// `evenkeel explain`: gathers the facts of an interface and of traffic, and prints what control/explain says
// of them.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cli/commands.h"
#include "cli/explain_interface.h"
#include "cli/option_values.h"
#include "cli/standard_output.h"
#include "control/explain.h"
#include "flow/address_text.h"
#include "packet/parse.h"
#include "source/make_source.h"

namespace evenkeel::cli {
namespace {

constexpr std::uint64_t kExplainedCpusMax = 4'096;

struct ExplainArguments {
  std::string subject;
  std::string capture;
  std::string duration = "1s";
  std::optional<std::size_t> cpus;
  bool json = false;
};

constexpr std::uint8_t kTcp = 6, kUdp = 17, kGre = 47, kEsp = 50, kAh = 51, kSctp = 132;

std::string endpoint(const std::array<std::uint8_t, 16>& address, const std::array<std::uint8_t, 2>& port,
                     const ConnectionKey& key) {
  const bool six = key.ip_version == 6;
  char text[64];
  char* const end = six ? flow::append_ipv6(text, address) : flow::append_ipv4(text, address);
  const std::string host(text, end);
  if (key.protocol != kTcp && key.protocol != kUdp && key.protocol != kSctp) return host;  // has no ports
  const int number = port[0] << 8 | port[1];
  return six ? fmt::format("[{}]:{}", host, number) : fmt::format("{}:{}", host, number);
}

std::string protocol_name(std::uint8_t protocol) {
  switch (protocol) {
    case kTcp:
      return "TCP";
    case kUdp:
      return "UDP";
    case kGre:
      return "GRE";
    case kEsp:
      return "ESP";
    case kAh:
      return "AH";
    case kSctp:
      return "SCTP";
    default:
      return fmt::format("protocol {}", protocol);
  }
}

std::string connection_name(const ConnectionKey& key) {
  return fmt::format("{} between {} and {}", protocol_name(key.protocol),
                     endpoint(key.low_address, key.low_port, key),
                     endpoint(key.high_address, key.high_port, key));
}

// Counts a capture's packets by connection.
class TrafficCounter {
 public:
  void count(Packet& packet) {
    ++packets_;
    const packet::ParseResult result = packet::parse(packet, {});
    if (result.verdict() == packet::Verdict::kUnclassified) ++not_ip_;
    if (!result.connection()) return;
    ++ip_;
    if (packet.key.protocol == kUdp) ++udp_;
    if ((packet.flags & Packet::kFragment) != 0) ++fragments_;
    const std::uint16_t outer_at = packet.network_offset;
    Connection& connection = connections_[packet.key];
    connection.directions |= packet.reversed() ? 2 : 1;
    bool fragment = (packet.flags & Packet::kFragment) != 0;
    ConnectionKey innermost = packet.key;
    if (packet::parse(packet, {.inner_tunnel = true}).connection() && packet.network_offset != outer_at) {
      ++tunnelled_;
      ++connection.tunnelled;
      fragment = (packet.flags & Packet::kFragment) != 0;
      innermost = packet.key;
    }
    if (!fragment) ++packets_of_[innermost];
  }

  control::TrafficFacts facts() const {
    control::TrafficFacts facts;
    facts.packets = packets_;
    facts.udp_share = share(udp_, ip_);
    facts.fragment_share = share(fragments_, packets_);
    facts.not_ip_share = share(not_ip_, packets_);
    facts.tunnel_share = share(tunnelled_, packets_);
    std::uint64_t one_way = 0;
    for (const auto& [key, connection] : connections_) {
      one_way += connection.directions != 3 ? 1 : 0;
      facts.largest_tunnel_share =
          std::max(facts.largest_tunnel_share, share(connection.tunnelled, packets_));
    }
    for (const auto& [key, packets] : packets_of_) {
      if (share(packets, packets_) <= facts.largest_share) continue;
      facts.largest_share = share(packets, packets_);
      facts.largest_name = connection_name(key);
      facts.largest_is_encrypted = key.protocol == kEsp;
    }
    facts.one_way_share = share(one_way, connections_.size());
    return facts;
  }

 private:
  struct Connection {
    std::uint64_t tunnelled = 0;
    int directions = 0;
  };
  struct KeyHash {
    std::size_t operator()(const ConnectionKey& key) const {
      return std::hash<std::string_view>()({reinterpret_cast<const char*>(&key), sizeof key});
    }
  };
  static double share(std::uint64_t part, std::uint64_t whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
  }

  std::unordered_map<ConnectionKey, Connection, KeyHash> connections_;    // by outer addresses
  std::unordered_map<ConnectionKey, std::uint64_t, KeyHash> packets_of_;  // innermost; no fragments
  std::uint64_t packets_ = 0, ip_ = 0, udp_ = 0, fragments_ = 0, not_ip_ = 0, tunnelled_ = 0;
};

// What could be read of a capture, and why no more.
struct ReadCapture {
  control::TrafficFacts traffic;
  std::optional<Error> error;
};

Result<ReadCapture> read_capture(const std::string& path) {
  auto source = source::make_source(path, {});
  if (!source) return source.error();
  TrafficCounter counter;
  std::vector<Packet*> batch(64);
  for (auto status = ReceiveStatus::kMore;
       status == ReceiveStatus::kMore || status == ReceiveStatus::kIdle;) {
    std::size_t count = 0;
    status = (*source)->receive(batch, count);
    for (std::size_t i = 0; i < count; ++i) {
      counter.count(*batch[i]);
      batch[i]->block->release(1);
    }
    if (status == ReceiveStatus::kError) return ReadCapture{counter.facts(), (*source)->error()};
  }
  return ReadCapture{counter.facts(), std::nullopt};
}

// What the facts were judged by, and what was found.
struct Explanation {
  std::string subject;
  const control::TrafficFacts& traffic;
  std::optional<std::size_t> cpus_assumed;  // of a capture alone
  std::vector<control::Finding> findings;

  bool has_enough_packets() const { return traffic.packets >= control::kPacketsThatTell; }
};

void print_text(const Explanation& explanation) {
  print("{}: {} packets looked at\n", explanation.subject, explanation.traffic.packets);
  if (!explanation.has_enough_packets()) {
    print("too few to tell anything about the traffic: {} are needed\n", control::kPacketsThatTell);
  } else if (explanation.findings.empty()) {
    print("nothing was found that would make receive work uneven{}\n",
          explanation.cpus_assumed
              ? fmt::format(" on {} CPUs (--cpus N: on others)", *explanation.cpus_assumed)
              : "");
  }
  int number = 0;
  for (const control::Finding& finding : explanation.findings) {
    print("\n{}. {}\n", ++number, finding.text);
    if (!finding.remedy.empty()) print("   {}\n", finding.remedy);
  }
}

void print_json(const Explanation& explanation) {
  nlohmann::json list = nlohmann::json::array();
  for (const control::Finding& finding : explanation.findings) {
    list.push_back({{"name", finding.name},
                    {"weight", finding.weight},
                    {"text", finding.text},
                    {"remedy", finding.remedy}});
  }
  const nlohmann::json object = {{"subject", explanation.subject},
                                 {"packets", explanation.traffic.packets},
                                 {"enough_packets", explanation.has_enough_packets()},
                                 {"findings", list}};
  print("{}\n", object.dump(1, ' ', false, nlohmann::json::error_handler_t::replace));
}

// An option that would have no effect is no option.
Result<void> check(const ExplainArguments& arguments, bool is_file) {
  if (is_file && !arguments.capture.empty())
    return usage_error(fmt::format(
        "--capture gives an interface its traffic; {} is a capture itself: give one", arguments.subject));
  if (!is_file && arguments.cpus)
    return usage_error("--cpus is for captures: an interface is explained for the CPUs of this machine");
  return {};
}

Result<void> explain(const ExplainArguments& arguments) {
  std::optional<control::InterfaceFacts> interface;
  control::TrafficFacts traffic;
  std::optional<Error> broken;  // a capture, in its middle
  const bool is_file = std::filesystem::is_regular_file(arguments.subject);
  if (auto checked = check(arguments, is_file); !checked) return checked;
  if (!is_file) {
    const auto look =
        arguments.capture.empty() ? std::optional(duration_ns(arguments.duration)) : std::nullopt;
    auto looked = look_at_interface(arguments.subject, look);
    if (!looked) return looked.error();
    interface = looked->interface;
    traffic = looked->traffic;
  }
  if (is_file || !arguments.capture.empty()) {
    auto read = read_capture(is_file ? arguments.subject : arguments.capture);
    if (!read) return read.error();
    if (read->error && read->traffic.packets == 0) return *read->error;
    traffic = read->traffic;
    broken = read->error;
  }
  const std::size_t cpus = arguments.cpus.value_or(control::kCpusAssumed);
  const Explanation explanation{.subject = arguments.subject,
                                .traffic = traffic,
                                .cpus_assumed = is_file ? std::optional(cpus) : std::nullopt,
                                .findings = control::explain(interface, traffic, cpus)};
  arguments.json ? print_json(explanation) : print_text(explanation);
  if (broken) return *broken;
  return {};
}

}  // namespace

void add_explain(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<ExplainArguments>();
  CLI::App* command =
      app.add_subcommand("explain", "why is the receive work of an interface, or of a capture, uneven?");
  command->add_option("subject", arguments->subject, "a network interface, or a capture")
      ->required()
      ->type_name("IF|FILE");
  command
      ->add_option("--capture", arguments->capture, "with an interface: its traffic, instead of a look at it")
      ->type_name("FILE");
  command->add_option("--duration", arguments->duration, "how long to look at an interface")
      ->capture_default_str()
      ->check(duration())
      ->type_name("DURATION");
  command->add_option("--cpus", arguments->cpus, "of a capture: on how many CPUs the work shall be even (2)")
      ->transform(whole_number(2, kExplainedCpusMax))
      ->type_name("N");
  command->add_flag("--json", arguments->json, "as JSON");
  command->callback([arguments, &exit_code] {
    if (const auto done = explain(*arguments); !done) exit_code = report_error(done.error());
  });
}

}  // namespace evenkeel::cli
