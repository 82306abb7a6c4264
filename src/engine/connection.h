// What the engine keeps of a connection, beside the handler's own state.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/units.h"
#include "engine/tcp_states.h"
#include "engine/timer_state.h"
#include "evenkeel/connection.h"
#include "evenkeel/packet.h"
#include "packet/tcp_segment.h"

namespace evenkeel::engine {

// When connections end. All times are packet time.
struct Lifetimes {
  std::int64_t idle_ns = 60 * base::kNanosecondsPerSecond;
  std::int64_t half_open_ns = 30 * base::kNanosecondsPerSecond;  // instead, until TCP's handshake is complete
  std::int64_t linger_ns = 5 * base::kNanosecondsPerSecond;      // after RST, or FIN in both directions
};

using evenkeel::CloseReason;
using evenkeel::kNoDeadline;

// One connection in its bucket's table. Thread: the worker that owns the bucket.
//
// It lives until expires_ns, which each packet pushes on, until TCP has ended it: then the linger runs.
// Whether it has expired is decided by packet time alone, either by a timer or when its next packet comes,
// whichever is first; both find the same, so the records of a capture do not depend on when timers run.
template <typename State>
struct Connection {
  std::int64_t expires_ns = 0;
  TimerState timer;  // looks at expires_ns and at the handler's deadline, and goes on to whichever is next
  // By sender, forward first: behind the last byte that TCP's end sent. The engine sets it by SYN and FIN,
  // which suffices it; a handler that reads every segment may keep it up to date.
  std::array<std::uint32_t, 2> sequence_end{};
  bool forward_reversed = false;  // the first packet went from the key's high endpoint to its low one
  TcpStates tcp_states;
  bool ended = false;     // by TCP: RST, or FIN in both directions
  bool elephant = false;  // set by the worker: far above all other connections (elephants.h)
  // Set by the handler: from now on the packets are counted, as dropped for this reason, and not shown to it.
  bool bypassed = false;
  State state{};

  bool forward(const Packet& packet) const { return packet.reversed() == forward_reversed; }

  // True when this connection is over and `packet` belongs to the next one of the same endpoints.
  bool over_before(const Packet& packet) const {
    if (packet.now_ns >= expires_ns) return true;
    // A new handshake on an ended connection: the port pair is used again.
    return ended && (packet.tcp_flags & (tcp::kSyn | tcp::kAck | tcp::kRst)) == tcp::kSyn;
  }

  // The connection's first packet, before it is shown to the handler.
  void begin(const Packet& packet) {
    forward_reversed = packet.reversed();
    tcp_states.begin(packet.tcp_flags);
  }

  // Moves the end of life on after a packet. Returns true when TCP has ended the connection with it: only
  // then does the end come nearer.
  bool advance(const Packet& packet, const Lifetimes& lifetimes) {
    constexpr std::uint8_t kWatched = tcp::kFin | tcp::kSyn | tcp::kRst;
    if ((packet.tcp_flags & kWatched) != 0 || !tcp_states.both_established()) [[unlikely]]
      return advance_states(packet, lifetimes);
    expires_ns = packet.now_ns + lifetimes.idle_ns;
    return false;
  }

 private:
  bool advance_states(const Packet& packet, const Lifetimes& lifetimes) {
    const TcpEnd sender = forward(packet) ? TcpEnd::kForward : TcpEnd::kReverse;
    const TcpEnd receiver = forward(packet) ? TcpEnd::kReverse : TcpEnd::kForward;
    bool acknowledges_fin = false;
    if ((packet.flags & Packet::kTcpHeader) != 0) {
      const packet::TcpSegment segment = packet::tcp_segment(packet);
      const bool opens = (packet.tcp_flags & tcp::kSyn) != 0 && tcp_states.half_open();
      if (opens || (packet.tcp_flags & tcp::kFin) != 0)
        sequence_end[static_cast<std::size_t>(sender)] = segment.end();
      acknowledges_fin =
          tcp_states.of(receiver) >= TcpState::kFinWait1 && (packet.tcp_flags & tcp::kAck) != 0 &&
          !packet::comes_after(sequence_end[static_cast<std::size_t>(receiver)], segment.acknowledgment);
    }
    tcp_states.pass(sender, packet.tcp_flags, acknowledges_fin);
    if (ended) return false;
    ended = tcp_states.ended();
    const std::int64_t idle_ns =
        tcp_states.half_open() ? std::min(lifetimes.half_open_ns, lifetimes.idle_ns) : lifetimes.idle_ns;
    expires_ns = packet.now_ns + (ended ? lifetimes.linger_ns : idle_ns);
    return ended;
  }
};

}  // namespace evenkeel::engine
