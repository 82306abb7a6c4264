// Runs of the flow meter on captures made to order, of one connection between a client and a server.
//
// Every capture runs with one worker and then with three under random moves: the records must be the same.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/units.h"
#include "flow/address_text.h"
#include "packet_builder.h"
#include "run_support.h"

namespace evenkeel::tests {

using flow::EndReason;
using flow::FlowRecord;

inline constexpr std::int64_t kSecond = base::kNanosecondsPerSecond;
inline constexpr std::int64_t kStart = 1'700'000'000 * kSecond;
inline constexpr const char* kClient = "10.0.0.1";
inline constexpr const char* kServer = "10.0.0.2";
inline constexpr std::uint16_t kClientPort = 40'000;
inline constexpr std::uint16_t kServerPort = 80;
inline constexpr std::uint8_t kSynAck = kTcpSyn | kTcpAck;
inline constexpr std::uint8_t kFinAck = kTcpFin | kTcpAck;
inline constexpr std::size_t kTcpOctets = 40;  // IPv4 and TCP header
inline constexpr std::size_t kUdpOctets = 28;

inline std::int64_t at_seconds(double seconds) {
  return kStart + static_cast<std::int64_t>(seconds * static_cast<double>(kSecond));
}

inline TestPacket from_client(double seconds, std::uint8_t flags, std::size_t payload = 0) {
  return PacketBuilder()
      .ipv4(kClient, kServer)
      .tcp(kClientPort, kServerPort, flags)
      .payload(payload)
      .time_ns(at_seconds(seconds))
      .build();
}

inline TestPacket from_server(double seconds, std::uint8_t flags, std::size_t payload = 0) {
  return PacketBuilder()
      .ipv4(kServer, kClient)
      .tcp(kServerPort, kClientPort, flags)
      .payload(payload)
      .time_ns(at_seconds(seconds))
      .build();
}

inline TestPacket datagram(double seconds, const char* from, const char* to, std::uint16_t port = 5'000,
                           std::size_t payload = 10) {
  return PacketBuilder().ipv4(from, to).udp(port, port).payload(payload).time_ns(at_seconds(seconds)).build();
}

// Another connection, that only moves packet time on: its records are left out by without_ticks().
inline constexpr const char* kTickSource = "192.0.2.1";
inline constexpr const char* kTickDestination = "192.0.2.2";
inline TestPacket tick(double seconds) { return datagram(seconds, kTickSource, kTickDestination, 9); }

inline std::string source_text(const FlowRecord& record) {
  char text[flow::kIpv6TextMax];
  char* const end = record.ip_version == 4 ? flow::append_ipv4(text, record.source_address)
                                           : flow::append_ipv6(text, record.source_address);
  return {text, end};
}

class FlowMeterRuns : public testing::Test {
 protected:
  RunSetting setting;

  // The records of one worker; and three workers with random moves must have the same.
  RunOutcome meter_files(const std::vector<Bytes>& files) {
    setting.inputs.clear();
    for (std::size_t i = 0; i < files.size(); ++i) {
      const auto path = folder_ / ("capture" + std::to_string(i) + ".pcap");
      write_file(path, files[i]);
      setting.inputs.push_back(path);
    }
    setting.workers = 1;
    setting.policy = "static";
    RunOutcome reference = run(setting);
    expect_laws(reference, setting.name());
    for (const char* policy : {"static", "random"}) {
      setting.workers = 3;
      setting.policy = policy;
      const RunOutcome outcome = run(setting);
      expect_laws(outcome, setting.name());
      if (reference.evicted == 0) expect_same_records(reference, outcome, setting.name());
    }
    return reference;
  }
  RunOutcome meter_all(const std::vector<TestPacket>& packets) {
    return meter_files({pcap_file(packets, {.nanoseconds = true})});
  }
  std::vector<FlowRecord> meter(const std::vector<TestPacket>& packets) {
    std::vector<FlowRecord> records = meter_all(packets).records;
    std::erase_if(records, [](const FlowRecord& record) { return source_text(record) == kTickSource; });
    return records;
  }

 private:
  ScratchFolder folder_;
};

inline void expect_span(const FlowRecord& record, double start_seconds, double end_seconds) {
  EXPECT_EQ(record.start_ns, at_seconds(start_seconds));
  EXPECT_EQ(record.end_ns, at_seconds(end_seconds));
}

}  // namespace evenkeel::tests
