// The one list of a flow record's fields: JSON Lines, CSV and the table in docs/flow-records.md are made from
// it or tested against it. A new field is a line here and a row there.
//
// FIELD(name, element, present, value, meaning)
//   name     IPFIX name: RFC 7011's registry at IANA; "reverse" names as RFC 5103 makes them
//   element  its number there, as private-enterprise-number / element (0: IANA; 29305: reverse); "-": the
//            registry has none
//   present  whether `record` has it (an address has one version); JSON leaves it out, CSV leaves it empty
//   value    a std::uint64_t, std::string_view (nothing in it needs quoting), Ipv4 or Ipv6
//   meaning  the row of the documentation
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/units.h"
#include "flow/address_text.h"
#include "flow/record.h"

namespace evenkeel::flow {

struct Ipv4 {
  const AddressBytes& bytes;
};
struct Ipv6 {
  const AddressBytes& bytes;
};

// Whole milliseconds since 1970, rounded down as collectors expect: a packet at 1.9999 s is in millisecond
// 1999. A time before 1970 (a damaged capture, or seconds beyond 2038 in a file whose times are signed) is 0.
constexpr std::uint64_t milliseconds(std::int64_t time_ns) {
  return time_ns < 0 ? 0 : static_cast<std::uint64_t>(time_ns / base::kNanosecondsPerMillisecond);
}

// As RFC 9293 writes it.
constexpr std::string_view tcp_state_text(engine::TcpState state) {
  constexpr std::string_view kTexts[] = {"ESTABLISHED", "LISTEN",     "SYN-SENT",   "SYN-RECEIVED",
                                         "CLOSE-WAIT",  "FIN-WAIT-1", "FIN-WAIT-2", "CLOSING",
                                         "LAST-ACK",    "TIME-WAIT",  "CLOSED"};
  return kTexts[static_cast<std::size_t>(state)];
}

// clang-format off
#define EVENKEEL_FLOW_FIELDS(FIELD)                                                                                  \
  FIELD(flowStartMilliseconds, "0/152", true, milliseconds(record.start_ns),                                         \
        "earliest time of the record's packets, in either direction: milliseconds since 1970 (UTC), rounded down")       \
  FIELD(flowEndMilliseconds, "0/153", true, milliseconds(record.end_ns),                                             \
        "latest time of the record's packets, in either direction: milliseconds since 1970 (UTC), rounded down")        \
  FIELD(sourceIPv4Address, "0/8", record.ip_version == 4, Ipv4{record.source_address},                               \
        "who sent the connection's first packet (IPv4 only)")                                                        \
  FIELD(sourceIPv6Address, "0/27", record.ip_version == 6, Ipv6{record.source_address},                              \
        "who sent the connection's first packet (IPv6 only)")                                                        \
  FIELD(destinationIPv4Address, "0/12", record.ip_version == 4, Ipv4{record.destination_address},                    \
        "to whom (IPv4 only)")                                                                                       \
  FIELD(destinationIPv6Address, "0/28", record.ip_version == 6, Ipv6{record.destination_address},                    \
        "to whom (IPv6 only)")                                                                                       \
  FIELD(sourceTransportPort, "0/7", true, std::uint64_t{record.source_port},                                         \
        "port of the source; 0 for protocols without ports")                                                         \
  FIELD(destinationTransportPort, "0/11", true, std::uint64_t{record.destination_port},                              \
        "port of the destination; 0 for protocols without ports")                                                    \
  FIELD(protocolIdentifier, "0/4", true, std::uint64_t{record.protocol},                                             \
        "IP protocol number of the transport: 6 TCP, 17 UDP, 1 ICMP, 58 ICMPv6, 132 SCTP")                           \
  FIELD(packetDeltaCount, "0/2", true, record.packets,                                                               \
        "packets from source to destination; each fragment is a packet")                                             \
  FIELD(octetDeltaCount, "0/1", true, record.octets,                                                                 \
        "octets of these: IP total length, IP headers included, link layer left out")                                \
  FIELD(reversePacketDeltaCount, "29305/2", true, record.reverse_packets,                                            \
        "packets from destination to source")                                                                        \
  FIELD(reverseOctetDeltaCount, "29305/1", true, record.reverse_octets,                                              \
        "octets of these")                                                                                           \
  FIELD(tcpControlBits, "0/6", true, std::uint64_t{record.tcp_control_bits},                                         \
        "all TCP flags seen from source to destination, or-ed: 1 FIN, 2 SYN, 4 RST, 8 PSH, 16 ACK, 32 URG, 64 ECE, " \
        "128 CWR; 0 for other protocols")                                                                            \
  FIELD(reverseTcpControlBits, "29305/6", true, std::uint64_t{record.reverse_tcp_control_bits},                      \
        "the same from destination to source")                                                                       \
  FIELD(flowEndReason, "0/136", true, std::uint64_t{static_cast<std::uint8_t>(record.end_reason)},                   \
        "why the record ended: 1 idle timeout, 2 active timeout, 3 end of flow, 4 forced end, 5 lack of resources")  \
  FIELD(tcpState, "-", record.has_tcp_flags(), tcp_state_text(record.tcp_state),                                     \
        "state of the source's end after the last packet, as RFC 9293 names it (TCP only)")                          \
  FIELD(reverseTcpState, "-", record.has_tcp_flags(), tcp_state_text(record.reverse_tcp_state),                      \
        "the same of the destination's end")                                                                         \
  FIELD(smoothedRoundTripMicroseconds, "-", record.round_trip.smoothed[0].has_value(),                               \
        std::uint64_t{*record.round_trip.smoothed[0]},                                                               \
        "smoothed round-trip time (RFC 6298) from the meter to the destination and back (TCP, where measured)")      \
  FIELD(reverseSmoothedRoundTripMicroseconds, "-", record.round_trip.smoothed[1].has_value(),                        \
        std::uint64_t{*record.round_trip.smoothed[1]},                                                               \
        "the same from the meter to the source and back; the whole way is the sum of both")                          \
  FIELD(retransmissionTimeoutMicroseconds, "-", record.round_trip.retransmission_timeout.has_value(),                \
        std::uint64_t{*record.round_trip.retransmission_timeout},                                                    \
        "what RFC 6298 makes of them: SRTT + 4 RTTVAR of what was measured of the whole way, without its minimum of 1 s")
// clang-format on

struct RecordField {
  std::string_view name;
  std::string_view element;
  std::string_view meaning;
};

inline constexpr auto kRecordFields = std::to_array<RecordField>({
#define EVENKEEL_FIELD(name, element, present, value, meaning) {#name, element, meaning},
    EVENKEEL_FLOW_FIELDS(EVENKEEL_FIELD)
#undef EVENKEEL_FIELD
});

// No formatted record is longer: each name, the longest value, quotes and punctuation.
inline constexpr std::size_t kRecordBytesMax = [] {
  std::size_t bytes = 8;
  for (const RecordField& field : kRecordFields) bytes += field.name.size() + kIpv6TextMax + 8;
  return bytes;
}();

}  // namespace evenkeel::flow
