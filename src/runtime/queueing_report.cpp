#include "runtime/queueing_report.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <string>

#include "base/clock.h"
#include "flow/address_text.h"

namespace evenkeel::runtime {

namespace {

constexpr double kNanosecondsPerSecond = 1e9;

std::string protocol_text(std::uint8_t protocol) {
  switch (protocol) {
    case IPPROTO_TCP:
      return "tcp";
    case IPPROTO_UDP:
      return "udp";
    case IPPROTO_ICMP:
      return "icmp";
    default:
      return fmt::format("protocol {}", protocol);
  }
}

std::string end_text(const ConnectionKey& key, const flow::AddressBytes& address,
                     const std::array<std::uint8_t, 2>& port_bytes) {
  char text[flow::kIpv6TextMax];
  const int port = port_bytes[0] << 8 | port_bytes[1];
  if (key.ip_version == 4) {
    const char* end = flow::append_ipv4(text, address);
    return fmt::format("{}:{}", std::string_view(text, static_cast<std::size_t>(end - text)), port);
  }
  const char* end = flow::append_ipv6(text, address);
  return fmt::format("[{}]:{}", std::string_view(text, static_cast<std::size_t>(end - text)), port);
}

std::string connection_text(const ConnectionKey& key) {
  return fmt::format("{} {} {}", protocol_text(key.protocol), end_text(key, key.low_address, key.low_port),
                     end_text(key, key.high_address, key.high_port));
}

struct Merged {
  engine::Elephant sum;
  std::uint32_t worker = 0;
};

void add(std::vector<Merged>& list, const engine::Elephant& elephant, std::uint32_t worker) {
  const auto same =
      std::find_if(list.begin(), list.end(), [&](const Merged& m) { return m.sum.key == elephant.key; });
  if (same == list.end()) {
    list.push_back({elephant, worker});
    return;
  }
  engine::Elephant& sum = same->sum;
  if (elephant.share_max > sum.share_max) same->worker = worker;
  sum.packets += elephant.packets;
  sum.bytes += elephant.bytes;
  sum.first_ns = std::min(sum.first_ns, elephant.first_ns);
  sum.last_ns = std::max(sum.last_ns, elephant.last_ns);
  sum.share_max = std::max(sum.share_max, elephant.share_max);
  sum.shed += elephant.shed;
  sum.bypassed += elephant.bypassed;
}

observe::ElephantReport to_report(const Merged& merged) {
  const engine::Elephant& sum = merged.sum;
  const double seconds =
      static_cast<double>(std::max<std::int64_t>(sum.last_ns - sum.first_ns, 1)) / kNanosecondsPerSecond;
  return {.connection = connection_text(sum.key),
          .worker = merged.worker,
          .packets = sum.packets,
          .bytes = sum.bytes,
          .bytes_per_second = static_cast<double>(sum.bytes) / seconds,
          .worker_share = sum.share_max,
          .shed = sum.shed,
          .bypassed = sum.bypassed};
}

}  // namespace

observe::QueueingReport queueing_report(const engine::QueueingOptions& options,
                                        std::span<const meter::QueueMeters> workers) {
  observe::QueueingReport report;
  report.discipline = engine::kDisciplineNames[static_cast<std::size_t>(options.discipline)];
  report.quantum_ns = options.quantum_ns;
  meter::DelaySummary delays;
  for (const meter::QueueMeters& meters : workers) {
    report.packets += meters.packets.read();
    report.shed_by_limit += meters.shed_by_limit.read();
    report.shed_by_delay += meters.shed_by_delay.read();
    report.waiting_packets_max = std::max(report.waiting_packets_max, meters.waiting_packets_max.read());
    report.connections_max = std::max(report.connections_max, meters.connections_max.read());
    delays.add(meters.delay);
  }
  const double ticks_per_second = base::CycleClock::ticks_per_nanosecond() * kNanosecondsPerSecond;
  report.delay_p50_seconds = static_cast<double>(delays.quantile(0.5)) / ticks_per_second;
  report.delay_p99_seconds = static_cast<double>(delays.quantile(0.99)) / ticks_per_second;
  return report;
}

std::vector<observe::ElephantReport> elephant_report(
    std::span<const std::vector<engine::Elephant>> by_worker) {
  std::vector<Merged> merged;
  for (std::size_t worker = 0; worker < by_worker.size(); ++worker)
    for (const engine::Elephant& elephant : by_worker[worker])
      add(merged, elephant, static_cast<std::uint32_t>(worker));
  std::sort(merged.begin(), merged.end(),
            [](const Merged& a, const Merged& b) { return a.sum.bytes > b.sum.bytes; });
  std::vector<observe::ElephantReport> report;
  for (const Merged& each : merged) report.push_back(to_report(each));
  return report;
}

}  // namespace evenkeel::runtime
