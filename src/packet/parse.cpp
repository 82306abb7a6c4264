#include "packet/parse.h"

#include <utility>

#include "packet/datagram.h"
#include "packet/link.h"
#include "packet/plain.h"
#include "packet/tunnel.h"

namespace evenkeel::packet {
namespace {

struct ReasonText {
  Verdict verdict;
  std::string_view name;
  std::string_view text;
};

constexpr ReasonText kReasonTexts[] = {
#define EVENKEEL_X(enumerator, verdict, name, text) {Verdict::verdict, name, text},
    EVENKEEL_PARSE_REASONS(EVENKEEL_X)
#undef EVENKEEL_X
};

// Compares two endpoints: address first, then port, as bytes.
bool in_order(const std::uint8_t* source, const std::uint8_t* destination, std::size_t address_size,
              std::uint32_t ports) {
  const int order = std::memcmp(source, destination, address_size);
  if (order != 0) return order < 0;
  std::uint8_t port[4];
  std::memcpy(port, &ports, sizeof port);
  return std::memcmp(port, port + 2, 2) <= 0;
}

void fill_key(const Datagram& datagram, Packet& packet) {
  const std::size_t size = datagram.ip_version == 4 ? 4 : 16;
  const std::uint8_t* source = datagram.source_address();
  const std::uint8_t* destination = source + size;
  const bool forward = in_order(source, destination, size, datagram.ports);
  ConnectionKey& key = packet.key;
  key = ConnectionKey{};
  std::memcpy(key.low_address.data(), forward ? source : destination, size);
  std::memcpy(key.high_address.data(), forward ? destination : source, size);
  std::uint8_t port[4];
  std::memcpy(port, &datagram.ports, sizeof port);
  std::memcpy(key.low_port.data(), forward ? port : port + 2, 2);
  std::memcpy(key.high_port.data(), forward ? port + 2 : port, 2);
  key.protocol = datagram.protocol;
  key.ip_version = datagram.ip_version;
  if (!forward) packet.flags |= Packet::kReversed;
}

void fill(const Datagram& datagram, Packet& packet) {
  packet.flags = 0;
  if (datagram.tcp_header) packet.flags |= Packet::kTcpHeader;
  if (datagram.later_fragment) packet.flags |= Packet::kLaterFragment;
  packet.tcp_flags = datagram.tcp_flags;
  packet.ip_octets = datagram.ip_octets;
  packet.network_offset = static_cast<std::uint16_t>(datagram.network_offset);
  packet.transport_offset = static_cast<std::uint16_t>(datagram.transport_offset);
  packet.payload_offset = static_cast<std::uint16_t>(datagram.payload_offset);
  fill_key(datagram, packet);
}

void note_fragment(const Datagram& datagram, ParseResult& result) {
  if (!datagram.fragment) return;
  result.fragments[result.fragments_count++] = {
      .identification = datagram.identification,
      .network_offset = static_cast<std::uint16_t>(datagram.network_offset),
      .protocol = datagram.fragment_protocol,
      .ip_version = datagram.ip_version};
}

// Follows tunnels inwards as far as they can be read.
void enter_tunnels(Datagram& datagram, ParseResult& result) {
  Datagram inner;
  for (std::size_t depth = 0; depth < kTunnelsMax && read_inner(datagram, inner); ++depth) {
    datagram = inner;
    note_fragment(datagram, result);
  }
}

}  // namespace

Verdict verdict_of(Reason reason) { return kReasonTexts[static_cast<std::size_t>(reason)].verdict; }
std::string_view name_of(Reason reason) { return kReasonTexts[static_cast<std::size_t>(reason)].name; }
std::string_view text_of(Reason reason) { return kReasonTexts[static_cast<std::size_t>(reason)].text; }

ParseResult parse(Packet& packet, const ParseOptions& options) {
  return parse_plain(packet, options) ? ParseResult() : parse_carefully(packet, options);
}

ParseResult parse_carefully(Packet& packet, const ParseOptions& options) {
  const Frame frame{packet.data, packet.captured_length, packet.wire_length};
  const Network network = find_network(frame, packet.link);
  if (network.reason != Reason::kNone) return ParseResult(network.reason);
  Datagram datagram;
  if (const Reason reason = read_datagram(frame, network, datagram); reason != Reason::kNone) {
    return ParseResult(reason);
  }
  ParseResult result;
  note_fragment(datagram, result);
  if (options.inner_tunnel) enter_tunnels(datagram, result);
  fill(datagram, packet);
  if (result.fragments_count != 0) packet.flags |= Packet::kFragment;
  return result;
}

}  // namespace evenkeel::packet
