// The flow record: what the flow meter says of one connection between two points in time. Field by field in
// docs/flow-records.md, with their IPFIX names.
#pragma once

#include <array>
#include <cstdint>

#include "engine/tcp_states.h"
#include "flow/round_trip.h"

namespace evenkeel::flow {

// flowEndReason, by its IPFIX numbers (information element 136).
enum class EndReason : std::uint8_t {
  kIdleTimeout = 1,
  kActiveTimeout = 2,
  kEndOfFlow = 3,        // TCP: RST, or FIN in both directions
  kForcedEnd = 4,        // the meter itself ended
  kLackOfResources = 5,  // evicted
};

struct FlowRecord {
  std::int64_t start_ns = 0;  // time of the first packet, since 1970
  std::int64_t end_ns = 0;    // time of the last packet
  std::array<std::uint8_t, 16>
      source_address{};  // of the forward direction: that of the connection's first packet
  std::array<std::uint8_t, 16> destination_address{};
  std::uint16_t source_port = 0;  // host byte order
  std::uint16_t destination_port = 0;
  std::uint8_t protocol = 0;
  std::uint8_t ip_version = 0;  // 4 or 6
  std::uint8_t tcp_control_bits = 0;
  std::uint8_t reverse_tcp_control_bits = 0;
  EndReason end_reason = EndReason::kForcedEnd;
  std::uint64_t packets = 0;
  std::uint64_t octets = 0;  // IP total length, headers included
  std::uint64_t reverse_packets = 0;
  std::uint64_t reverse_octets = 0;
  engine::TcpState tcp_state = engine::TcpState::kEstablished;  // of the source, after its last packet
  engine::TcpState reverse_tcp_state = engine::TcpState::kEstablished;
  RoundTripTimes round_trip;

  // Whether anything was seen of TCP's state.
  bool has_tcp_flags() const { return protocol == 6 && (tcp_control_bits | reverse_tcp_control_bits) != 0; }
};

}  // namespace evenkeel::flow
