// Round-trip times of a TCP connection, as they look from in between: from a segment of one end to the
// acknowledgment of the other end, smoothed as RFC 6298 says.
//
// Each end has an estimate of its own, of the way from the meter to the *other* end and back; the two ways
// together are the connection's. One segment is timed at a time, in whichever direction the next new one
// goes: SYN and SYN-ACK give both ways their first sample. By Karn's rule nothing that was sent twice is
// timed: a segment that repeats old data, of the end that is being timed, gives the measurement up.
//
// Exact as long as an acknowledgment comes within 71 minutes; samples above a minute are left out.
//
// Thread: [worker], as the connection. Cost: about 30 instructions a TCP packet; a sample 20 more.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "engine/tcp_states.h"
#include "packet/tcp_segment.h"

namespace evenkeel::flow {

// What there is to say of a connection's round trips, in microseconds.
struct RoundTripTimes {
  std::array<std::optional<std::uint32_t>, 2> smoothed;  // by engine::TcpEnd: from the meter to the other end
  // SRTT + 4 RTTVAR of the whole way, or of the half that was measured. Without RFC 6298's lower bound of a
  // second, which stacks replace by their own.
  std::optional<std::uint32_t> retransmission_timeout;
};

class RoundTripMeter {
 public:
  // A segment of `sender` with these flags, captured at time_ns. `sequence_end`: by sender, behind the last
  // byte seen so far; it is moved on.
  void pass(engine::TcpEnd sender, const packet::TcpSegment& segment, std::uint8_t flags,
            std::int64_t time_ns, std::array<std::uint32_t, 2>& sequence_end) {
    const auto own = static_cast<std::uint32_t>(sender);
    const auto now = static_cast<std::uint32_t>(static_cast<std::uint64_t>(time_ns) >> kUnitShift);
    if (ways_[1 - own].timed && (flags & (packet::tcp::kAck | packet::tcp::kRst)) == packet::tcp::kAck &&
        !packet::comes_after(awaited_, segment.acknowledgment)) {
      ways_[1 - own].timed = 0;
      add_sample(1 - own, now - sent_);
    }
    if (segment.length == 0) return;
    if (ways_[own].heard != 0 && !packet::comes_after(segment.end(), sequence_end[own])) {
      ways_[own].timed = 0;
      return;
    }
    sequence_end[own] = segment.end();
    ways_[own].heard = 1;
    if ((ways_[0].timed | ways_[1].timed) != 0) return;
    ways_[own].timed = 1;
    awaited_ = segment.end();
    sent_ = now;
  }

  RoundTripTimes times() const;

 private:
  // A unit is 1,024 ns.
  static constexpr int kUnitShift = 10;
  static constexpr std::uint32_t kSampleMax = 60'000'000;  // a little more than a minute

  // From the meter to one end and back, as the other end's segments show it.
  struct Way {
    std::uint32_t smoothed : 30 = 0;  // SRTT in eighths of a unit; 0: no sample yet
    std::uint32_t timed : 1 = 0;      // the segment being timed is of this way
    std::uint32_t heard : 1 = 0;      // sequence_end is known
    std::uint32_t variation = 0;      // RTTVAR in quarters of a unit
  };
  static_assert(8ull * kSampleMax < 1 << 30);

  void add_sample(std::uint32_t way, std::uint32_t sample);

  std::uint32_t awaited_ = 0;  // the acknowledgment that ends the measurement, if one is going on
  std::uint32_t sent_ = 0;     // when it began: low bits of units
  std::array<Way, 2> ways_;
};
static_assert(sizeof(RoundTripMeter) == 24);

}  // namespace evenkeel::flow
