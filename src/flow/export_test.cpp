#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "flow/export_csv.h"
#include "flow/export_jsonl.h"
#include "flow/record_fields.h"
#include "flow/record_writer.h"

namespace evenkeel::flow {
namespace {

FlowRecord ipv4_record() {
  FlowRecord record;
  record.start_ns = 1'700'000'000'123'999'999;
  record.end_ns = 1'700'000'001'000'000'000;
  record.source_address = {192, 0, 2, 1};
  record.destination_address = {198, 51, 100, 255};
  record.source_port = 49152;
  record.destination_port = 443;
  record.protocol = 6;
  record.ip_version = 4;
  record.tcp_control_bits = 0x1b;
  record.reverse_tcp_control_bits = 0x12;
  record.end_reason = EndReason::kEndOfFlow;
  record.packets = 12;
  record.octets = 3456;
  record.reverse_packets = 7;
  record.reverse_octets = 890;
  record.tcp_state = engine::TcpState::kTimeWait;
  record.reverse_tcp_state = engine::TcpState::kClosed;
  record.round_trip = {.smoothed = {11'842, 402}, .retransmission_timeout = 15'310};
  return record;
}

FlowRecord longest_record() {
  FlowRecord record;
  record.start_ns = record.end_ns = std::numeric_limits<std::int64_t>::max();
  for (std::size_t i = 0; i < 16; ++i) record.source_address[i] = record.destination_address[i] = 0xa1;
  record.source_port = record.destination_port = 65535;
  record.protocol = 6;
  record.tcp_control_bits = record.reverse_tcp_control_bits = 255;
  record.tcp_state = record.reverse_tcp_state = engine::TcpState::kSynReceived;
  constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();
  record.round_trip = {.smoothed = {kMost, kMost}, .retransmission_timeout = kMost};
  record.ip_version = 6;
  record.packets = record.octets = record.reverse_packets = record.reverse_octets =
      std::numeric_limits<std::uint64_t>::max();
  return record;
}

std::string jsonl(const FlowRecord& record) {
  std::string text(kRecordBytesMax, '\0');
  text.resize(static_cast<std::size_t>(append_jsonl(text.data(), record) - text.data()));
  return text;
}

std::string csv(const FlowRecord& record) {
  std::string text(kRecordBytesMax, '\0');
  text.resize(static_cast<std::size_t>(append_csv(text.data(), record) - text.data()));
  return text;
}

std::string csv_header() {
  std::string text(kRecordBytesMax, '\0');
  text.resize(static_cast<std::size_t>(append_csv_header(text.data()) - text.data()));
  return text;
}

std::vector<std::string> columns(std::string line) {
  line.pop_back();
  std::vector<std::string> out(1);
  for (char c : line) {
    if (c == ',') {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Jsonl, IsTheDocumentedLine) {
  EXPECT_EQ(
      jsonl(ipv4_record()),
      R"({"flowStartMilliseconds":1700000000123,"flowEndMilliseconds":1700000001000,)"
      R"("sourceIPv4Address":"192.0.2.1","destinationIPv4Address":"198.51.100.255",)"
      R"("sourceTransportPort":49152,"destinationTransportPort":443,"protocolIdentifier":6,)"
      R"("packetDeltaCount":12,"octetDeltaCount":3456,"reversePacketDeltaCount":7,)"
      R"("reverseOctetDeltaCount":890,"tcpControlBits":27,"reverseTcpControlBits":18,"flowEndReason":3,)"
      R"("tcpState":"TIME-WAIT","reverseTcpState":"CLOSED","smoothedRoundTripMicroseconds":11842,)"
      R"("reverseSmoothedRoundTripMicroseconds":402,"retransmissionTimeoutMicroseconds":15310})"
      "\n");
}

TEST(Jsonl, NamesTheAddressesByTheirVersion) {
  const auto object = nlohmann::json::parse(jsonl(longest_record()));
  EXPECT_EQ(object.at("sourceIPv6Address"), "a1a1:a1a1:a1a1:a1a1:a1a1:a1a1:a1a1:a1a1");
  EXPECT_FALSE(object.contains("sourceIPv4Address"));
  EXPECT_EQ(object.at("reverseOctetDeltaCount"), std::numeric_limits<std::uint64_t>::max());
}

TEST(Jsonl, ATimeBefore1970IsZeroAndNeverWrapsAround) {
  FlowRecord record = ipv4_record();
  record.start_ns = -1'000'000'000;
  EXPECT_EQ(nlohmann::json::parse(jsonl(record))["flowStartMilliseconds"], 0);
}

TEST(Jsonl, LeavesOutStatesOfWhatIsNotTcpAndTimesThatWereNotMeasured) {
  FlowRecord record = ipv4_record();
  record.round_trip = {.smoothed = {std::nullopt, 402}, .retransmission_timeout = 1'206};
  const auto half = nlohmann::json::parse(jsonl(record));
  EXPECT_EQ(half["tcpState"], "TIME-WAIT");
  EXPECT_FALSE(half.contains("smoothedRoundTripMicroseconds"));
  EXPECT_EQ(half["reverseSmoothedRoundTripMicroseconds"], 402);
  record.protocol = 17;
  record.round_trip = {};
  const auto datagrams = nlohmann::json::parse(jsonl(record));
  EXPECT_FALSE(datagrams.contains("tcpState"));
  EXPECT_FALSE(datagrams.contains("reverseTcpState"));
  EXPECT_FALSE(datagrams.contains("retransmissionTimeoutMicroseconds"));
}

TEST(Csv, EveryLineHasTheColumnsOfTheHeader) {
  const auto names = columns(csv_header());
  ASSERT_EQ(names.size(), kRecordFields.size());
  for (std::size_t i = 0; i < names.size(); ++i) EXPECT_EQ(names[i], kRecordFields[i].name);
  EXPECT_EQ(columns(csv(ipv4_record())).size(), names.size());
  EXPECT_EQ(columns(csv(longest_record())).size(), names.size());
}

TEST(Csv, SaysTheSameAsJsonl) {
  FlowRecord datagrams = ipv4_record();
  datagrams.protocol = 17;
  datagrams.round_trip = {};
  for (const FlowRecord& record : {ipv4_record(), longest_record(), datagrams}) {
    const auto object = nlohmann::json::parse(jsonl(record));
    const auto names = columns(csv_header());
    const auto values = columns(csv(record));
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!object.contains(names[i])) {
        EXPECT_EQ(values[i], "") << names[i];
        continue;
      }
      const auto& value = object.at(names[i]);
      EXPECT_EQ(values[i], value.is_string() ? value.get<std::string>() : value.dump()) << names[i];
    }
  }
}

TEST(RecordBytesMax, HoldsTheLongestRecordOfBothFormats) {
  EXPECT_LE(jsonl(longest_record()).size(), kRecordBytesMax);
  EXPECT_LE(csv(longest_record()).size(), kRecordBytesMax);
  EXPECT_LE(csv_header().size(), kRecordBytesMax);
}

RC_GTEST_PROP(AddressText, IsWhatTheSystemWrites, (AddressBytes address)) {
  char expected[INET6_ADDRSTRLEN];
  char text[kIpv6TextMax];
  inet_ntop(AF_INET, address.data(), expected, sizeof expected);
  RC_ASSERT(std::string(text, append_ipv4(text, address)) == expected);
  inet_ntop(AF_INET6, address.data(), expected, sizeof expected);
  RC_ASSERT(std::string(text, append_ipv6(text, address)) == expected);
}

TEST(RecordWriter, WritesEveryRecordOnceInOrder) {
  const std::string path = testing::TempDir() + "record_writer_order.csv";
  constexpr std::uint64_t kRecords = 20'000;  // several buffers
  {
    Result<RecordWriter> writer = RecordWriter::open(path, RecordFormat::kCsv);
    ASSERT_TRUE(writer.ok());
    FlowRecord record = ipv4_record();
    for (record.packets = 0; record.packets < kRecords; ++record.packets) ASSERT_TRUE(writer->write(record));
    EXPECT_EQ(writer->records(), kRecords);
    ASSERT_TRUE(writer->finish().ok());
  }
  std::istringstream lines(read(path));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line + "\n", csv_header());
  for (std::uint64_t i = 0; i < kRecords; ++i) {
    ASSERT_TRUE(std::getline(lines, line));
    ASSERT_EQ(columns(line + "\n")[9], std::to_string(i));
  }
  EXPECT_FALSE(std::getline(lines, line));
  std::filesystem::remove(path);
}

TEST(RecordWriter, AFullDiskIsTold) {
  Result<RecordWriter> writer = RecordWriter::open("/dev/full", RecordFormat::kJsonl);
  ASSERT_TRUE(writer.ok());
  bool written = true;
  for (int i = 0; i < 2'000 && written; ++i) written = writer->write(ipv4_record());
  EXPECT_FALSE(written);
  const Result<void> finished = writer->finish();
  ASSERT_FALSE(finished.ok());
  EXPECT_EQ(finished.error().message, "cannot write to /dev/full: No space left on device");
  EXPECT_EQ(finished.error().kind, ErrorKind::kRuntime);
}

TEST(RecordWriter, AnUnwritablePlaceIsTold) {
  EXPECT_FALSE(RecordWriter::open("/nonexistent/x", RecordFormat::kJsonl).ok());
}

TEST(RecordFormat, AnUnknownNameSaysWhatIsAccepted) {
  const auto format = parse_record_format("xml");
  ASSERT_FALSE(format.ok());
  EXPECT_EQ(format.error().message, "unknown format 'xml': accepted are jsonl and csv");
  EXPECT_EQ(format.error().kind, ErrorKind::kUsage);
}

TEST(Documentation, HasARowForEveryFieldAndNoOther) {
  std::istringstream page(read(EVENKEEL_SOURCE_DIR "/docs/flow-records.md"));
  std::vector<std::string> rows;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("| `")) rows.push_back(line);
  }
  std::vector<std::string> expected;
  for (const RecordField& field : kRecordFields) {
    expected.push_back("| `" + std::string(field.name) + "` | " + std::string(field.element) + " | " +
                       std::string(field.meaning) + " |");
  }
  EXPECT_EQ(rows, expected);
}

}  // namespace
}  // namespace evenkeel::flow
