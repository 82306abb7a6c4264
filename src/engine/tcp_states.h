// The states of a TCP connection's two ends (RFC 9293, 3.3.2), as they look from in between: a segment that
// passes is taken as sent and received. What it cannot see it concludes: who sends a plain ACK has seen the
// handshake, and so a connection that was under way before, or shows one direction only, is established.
//
// A pure function of the connection's own packets in their order.
#pragma once

#include <cstdint>

#include "packet/tcp_segment.h"

namespace evenkeel::engine {

namespace tcp = packet::tcp;

// In an order that says how far an end is: up to kSynReceived it is half-open, from kFinWait1 on it has sent
// its FIN.
enum class TcpState : std::uint8_t {
  kEstablished,  // 0: nothing to watch; also what is not TCP
  kListen,       // has not been heard of
  kSynSent,
  kSynReceived,
  kCloseWait,
  kFinWait1,
  kFinWait2,
  kClosing,
  kLastAck,
  kTimeWait,
  kClosed,
};

// Which of the two ends: the one that sent the connection's first packet, or the other.
enum class TcpEnd : std::uint8_t { kForward, kReverse };

// Both ends' states in a byte.
class TcpStates {
 public:
  TcpState of(TcpEnd end) const { return static_cast<TcpState>(bits_ >> shift(end) & 0xf); }

  bool both_established() const { return bits_ == 0; }
  // The handshake is not complete.
  bool half_open() const { return is_half_open(of(TcpEnd::kForward)) || is_half_open(of(TcpEnd::kReverse)); }
  // Each end has sent its FIN, or one a RST.
  bool ended() const {
    return of(TcpEnd::kForward) >= TcpState::kFinWait1 && of(TcpEnd::kReverse) >= TcpState::kFinWait1;
  }

  // The first segment of a connection, from its forward end.
  void begin(std::uint8_t flags) {
    if ((flags & (tcp::kSyn | tcp::kRst)) == tcp::kSyn) set(TcpState::kListen, TcpState::kListen);
  }

  // A segment with these flags. acknowledges_fin: it acknowledges all that the other end sent, if that
  // includes a FIN.
  void pass(TcpEnd sender, std::uint8_t flags, bool acknowledges_fin) {
    if ((flags & tcp::kRst) != 0) return set(TcpState::kClosed, TcpState::kClosed);
    const TcpEnd receiver = sender == TcpEnd::kForward ? TcpEnd::kReverse : TcpEnd::kForward;
    if ((flags & tcp::kSyn) != 0) return pass_syn(sender, receiver, (flags & tcp::kAck) != 0);
    if (half_open()) set(TcpState::kEstablished, TcpState::kEstablished);
    if (acknowledges_fin) pass_fin_acknowledgment(sender, receiver);
    if ((flags & tcp::kFin) != 0) pass_fin(sender);
  }

 private:
  static int shift(TcpEnd end) { return end == TcpEnd::kForward ? 0 : 4; }
  static bool is_half_open(TcpState state) {
    return state != TcpState::kEstablished && state <= TcpState::kSynReceived;
  }
  void set(TcpState forward, TcpState reverse) {
    bits_ = static_cast<std::uint8_t>(static_cast<int>(forward) | static_cast<int>(reverse) << 4);
  }
  void set(TcpEnd end, TcpState state) {
    bits_ = static_cast<std::uint8_t>((bits_ & ~(0xf << shift(end))) | static_cast<int>(state) << shift(end));
  }

  // Beyond the handshake a SYN changes nothing (RFC 9293, 3.10.7.4).
  void pass_syn(TcpEnd sender, TcpEnd receiver, bool acknowledges) {
    if (!half_open()) return;
    if (!acknowledges) {
      if (of(sender) == TcpState::kListen) set(sender, TcpState::kSynSent);
      return;
    }
    set(sender, TcpState::kSynReceived);
    // Both ends opened it at once; or its first SYN was not seen.
    if (of(receiver) == TcpState::kSynReceived) set(receiver, TcpState::kEstablished);
    if (of(receiver) == TcpState::kListen) set(receiver, TcpState::kSynSent);
  }

  void pass_fin_acknowledgment(TcpEnd sender, TcpEnd receiver) {
    switch (of(receiver)) {
      case TcpState::kFinWait1:
        set(receiver, TcpState::kFinWait2);
        break;
      case TcpState::kClosing:
        set(receiver, TcpState::kTimeWait);
        break;
      case TcpState::kLastAck:
        set(receiver, TcpState::kClosed);
        break;
      default:
        break;
    }
    switch (of(sender)) {
      case TcpState::kEstablished:
        return set(sender, TcpState::kCloseWait);
      case TcpState::kFinWait1:
        return set(sender, TcpState::kClosing);
      case TcpState::kFinWait2:
        return set(sender, TcpState::kTimeWait);
      default:
        return;
    }
  }

  void pass_fin(TcpEnd sender) {
    if (of(sender) == TcpState::kEstablished) set(sender, TcpState::kFinWait1);
    if (of(sender) == TcpState::kCloseWait) set(sender, TcpState::kLastAck);
  }

  std::uint8_t bits_ = 0;
};
static_assert(sizeof(TcpStates) == 1);

}  // namespace evenkeel::engine
