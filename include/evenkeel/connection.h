// A connection as a handler sees it: its state, its addresses, its timers.
//
// Thread: [worker]; a Connection is a handle for the time of one call of a handler, and is not to be kept.
// Cost: nothing here allocates or locks; every call is some instructions.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>

#include "evenkeel/endpoint.h"
#include "evenkeel/packet.h"

namespace evenkeel {

enum class CloseReason : std::uint8_t {
  kIdle,      // no packet for the idle timeout
  kEnded,     // TCP ended it, and the linger is over (or the run ended within it)
  kEvicted,   // the oldest had to go, as there were connections_max
  kShutdown,  // the run ended
};

// A deadline that never comes.
inline constexpr std::int64_t kNoDeadline = std::numeric_limits<std::int64_t>::max();

// What a handler may keep for each connection. For more, keep a pointer, and give it back in on_close().
inline constexpr std::size_t kStateBytesMax = 216;
inline constexpr std::uint32_t kTimersMax = 4;

// Timers are kept in steps of a millisecond; shorter delays count as one.
inline constexpr std::chrono::nanoseconds kTimerDelayMin = std::chrono::milliseconds(1);
inline constexpr std::chrono::nanoseconds kTimerDelayMax = std::chrono::hours(24 * 90);

namespace detail {

// A connection, across the library's boundary.
struct ConnectionView {
  void* state;
  const ConnectionKey* key;
  std::int64_t now_ns;
  std::int64_t* deadlines;  // of its timers; kNoDeadline where one does not run
  std::uint32_t timers;
  bool forward_reversed;
  bool elephant;
  bool bypassed;
  bool deadline_came_nearer;
};

// Whether there is such a timer, and such a delay.
inline bool start_timer(ConnectionView& view, std::uint32_t timer, std::chrono::nanoseconds delay) {
  if (timer >= view.timers || delay < delay.zero() || delay > kTimerDelayMax) return false;
  std::int64_t earliest_ns = kNoDeadline;
  for (std::uint32_t i = 0; i < view.timers; ++i)
    earliest_ns = view.deadlines[i] < earliest_ns ? view.deadlines[i] : earliest_ns;
  // Packet times keep so far from the end of time that this cannot overflow.
  const std::int64_t deadline_ns = view.now_ns + (delay < kTimerDelayMin ? kTimerDelayMin : delay).count();
  // Where an earlier time is looked at already, it is found then that it has moved on.
  view.deadline_came_nearer |= deadline_ns < earliest_ns;
  view.deadlines[timer] = deadline_ns;
  return true;
}

}  // namespace detail

// State: the handler's own type, constructed before on_open() and destroyed after on_close(), at an address
// that does not change. It may have constructors, destructors and members that own memory.
template <typename State>
class Connection {
 public:
  explicit Connection(detail::ConnectionView& view) : view_(view) {}

  State& state() const { return *static_cast<State*>(view_.state); }
  State* operator->() const { return &state(); }

  // Both directions have the same key.
  const ConnectionKey& key() const { return *view_.key; }
  // Who sent the first packet, and to whom.
  Endpoint initiator() const { return view_.forward_reversed ? high_end(key()) : low_end(key()); }
  Endpoint responder() const { return view_.forward_reversed ? low_end(key()) : high_end(key()); }
  // Whether a packet goes the way of the first one.
  bool forward(const Packet& packet) const { return packet.reversed() == view_.forward_reversed; }

  // Packet time of this call, in nanoseconds since 1970: of the packet; of the time that a timer was set for;
  // of the connection's end.
  std::int64_t now_ns() const { return view_.now_ns; }

  // Far above all other connections of its worker: more than a gigabyte in ten seconds, or half of a worker's
  // time; or what Options::elephant_bytes, elephant_window and elephant_share say.
  bool elephant() const { return view_.elephant; }

  // The handler has seen enough: from the next packet on, on_packet() is not called for this connection any
  // more; its packets are counted as dropped, `bypassed`. on_timer() and on_close() are called as ever.
  void bypass() { view_.bypassed = true; }

  // Timers fire once for each start, by packet time, in the order of their times among themselves and with
  // the connection's packets: from a file always at the same places. A timer does not keep its connection
  // from ending, and ends with it. Of a handler with kTimers = n there are timers 0 to n - 1. One that always
  // starts itself anew is called for each of its delays in a gap of packet time, as far as the connection
  // lasts, and all of them in one go: with a short delay and a long idle timeout, that holds its worker up.
  //
  // `delay` from now_ns(), whether the timer runs already or not. False, and nothing is changed, where there
  // is no such timer or delay (negative, or above kTimerDelayMax), and in on_close(), where none runs any
  // more.
  bool start_timer(std::chrono::nanoseconds delay, std::uint32_t timer = 0) {
    return detail::start_timer(view_, timer, delay);
  }
  // The same where it runs; else does nothing and says false.
  bool restart_timer(std::chrono::nanoseconds delay, std::uint32_t timer = 0) {
    return timer_runs(timer) && start_timer(delay, timer);
  }
  // Whether it ran.
  bool cancel_timer(std::uint32_t timer = 0) {
    const bool ran = timer_runs(timer);
    if (ran) view_.deadlines[timer] = kNoDeadline;
    return ran;
  }
  bool timer_runs(std::uint32_t timer = 0) const {
    return timer < view_.timers && view_.deadlines[timer] != kNoDeadline;
  }

 private:
  detail::ConnectionView& view_;
};

}  // namespace evenkeel
