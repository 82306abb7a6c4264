// What the engine keeps of a connection, beside the handler's own state.
#pragma once

#include <cstdint>

#include "base/units.h"
#include "engine/timer_state.h"
#include "evenkeel/connection.h"
#include "evenkeel/packet.h"

namespace evenkeel::engine {

// When connections end. All times are packet time.
struct Lifetimes {
  std::int64_t idle_ns = 60 * base::kNanosecondsPerSecond;
  std::int64_t linger_ns = 5 * base::kNanosecondsPerSecond;  // after RST, or FIN in both directions
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
  bool forward_reversed = false;  // the first packet went from the key's high endpoint to its low one
  std::uint8_t fins = 0;          // directions that have sent a FIN: 1 forward, 2 reverse
  bool ended = false;             // by TCP: RST, or FIN in both directions
  bool elephant = false;          // set by the worker: far above all other connections (elephants.h)
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

  // Moves the end of life on after a packet. Returns true when TCP has ended the connection with it: only
  // then does the end come nearer.
  bool advance(const Packet& packet, const Lifetimes& lifetimes) {
    return !ended && advance_open(packet, lifetimes);
  }
  // The same for one that TCP has not ended.
  bool advance_open(const Packet& packet, const Lifetimes& lifetimes) {
    if ((packet.tcp_flags & (tcp::kFin | tcp::kRst)) != 0) [[unlikely]]
      return advance_to_end(packet, lifetimes);
    expires_ns = packet.now_ns + lifetimes.idle_ns;
    return false;
  }

 private:
  bool advance_to_end(const Packet& packet, const Lifetimes& lifetimes) {
    const int direction = forward(packet) ? 1 : 2;
    if ((packet.tcp_flags & tcp::kFin) != 0) fins = static_cast<std::uint8_t>(fins | direction);
    ended = (packet.tcp_flags & tcp::kRst) != 0 || fins == 3;
    expires_ns = packet.now_ns + (ended ? lifetimes.linger_ns : lifetimes.idle_ns);
    return ended;
  }
};

}  // namespace evenkeel::engine
