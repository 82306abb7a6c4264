#include "source/generator/conversation.h"

#include <algorithm>

namespace evenkeel::source {
namespace {

constexpr std::uint8_t kFin = 0x01;
constexpr std::uint8_t kSyn = 0x02;
constexpr std::uint8_t kPush = 0x08;
constexpr std::uint8_t kAck = 0x10;

// A full Ethernet frame of 1514 bytes without TCP options.
constexpr std::uint32_t kSegmentBytesIpv4 = 1'460;
constexpr std::uint32_t kSegmentBytesIpv6 = 1'440;
// QUIC's datagrams (RFC 9000, section 14: at least 1200 bytes without path discovery).
constexpr std::uint32_t kDatagramBytes = 1'200;
constexpr std::uint32_t kUdpAckBytes = 35;
constexpr std::uint8_t kTcpAckEvery = 2;  // RFC 9293, 3.8.6.3: at least every second full segment
constexpr std::uint8_t kUdpAckEvery = 8;

Utterance say(Conversation& c, bool from_server, std::uint8_t flags, std::uint32_t payload_bytes) {
  std::uint32_t& own = from_server ? c.server_sequence : c.client_sequence;
  const std::uint32_t other = from_server ? c.client_sequence : c.server_sequence;
  const Utterance utterance{from_server, flags, payload_bytes, own,
                            (flags & kAck) != 0 ? other : std::uint32_t{0}};
  own += payload_bytes + ((flags & (kSyn | kFin)) != 0 ? 1 : 0);
  return utterance;
}

// A part of what `left` bytes remain of.
Utterance say_data(Conversation& c, bool from_server, std::uint32_t& left) {
  const bool udp = c.is(Conversation::kUdp);
  const std::uint32_t most =
      udp ? kDatagramBytes : (c.is(Conversation::kIpv6) ? kSegmentBytesIpv6 : kSegmentBytesIpv4);
  const std::uint32_t bytes = std::min(left, most);
  left -= bytes;
  ++c.unacknowledged;
  return say(c, from_server, left == 0 ? kAck | kPush : kAck, bytes);
}

bool acknowledgement_due(const Conversation& c) {
  return c.unacknowledged >= (c.is(Conversation::kUdp) ? kUdpAckEvery : kTcpAckEvery);
}

Utterance acknowledge(Conversation& c, bool from_server) {
  c.unacknowledged = 0;
  return say(c, from_server, kAck, c.is(Conversation::kUdp) ? kUdpAckBytes : 0);
}

Utterance advance_request(Conversation& c) {
  if (acknowledgement_due(c)) return acknowledge(c, true);
  const Utterance utterance = say_data(c, false, c.request_bytes);
  if (c.request_bytes == 0) {
    c.phase = Phase::kResponse;
    c.unacknowledged = 0;  // the response acknowledges it
  }
  return utterance;
}

Utterance advance_response(Conversation& c) {
  const bool udp = c.is(Conversation::kUdp);
  if (acknowledgement_due(c)) {
    const Utterance utterance = acknowledge(c, false);
    if (c.response_bytes == 0) c.phase = udp ? Phase::kDone : Phase::kServerFin;
    return utterance;
  }
  const Utterance utterance = say_data(c, true, c.response_bytes);
  if (c.response_bytes == 0) {
    // What is left to acknowledge, the client's FIN acknowledges.
    c.phase = udp ? Phase::kDone : Phase::kServerFin;
  }
  return utterance;
}

}  // namespace

Utterance advance(Conversation& c) {
  switch (c.phase) {
    case Phase::kSyn:
      c.phase = Phase::kSynAck;
      return say(c, false, kSyn, 0);
    case Phase::kSynAck:
      c.phase = c.is(Conversation::kHalfOpen) ? Phase::kDone : Phase::kHandshakeAck;
      return say(c, true, kSyn | kAck, 0);
    case Phase::kHandshakeAck:
      c.phase = Phase::kRequest;
      return say(c, false, kAck, 0);
    case Phase::kRequest:
      return advance_request(c);
    case Phase::kResponse:
      return advance_response(c);
    case Phase::kServerFin:
      c.phase = Phase::kClientFin;
      return say(c, true, kFin | kAck, 0);
    case Phase::kClientFin:
      c.phase = Phase::kLastAck;
      return say(c, false, kFin | kAck, 0);
    case Phase::kLastAck:
    case Phase::kDone:
      break;
  }
  c.phase = Phase::kDone;
  return say(c, true, kAck, 0);
}

}  // namespace evenkeel::source
