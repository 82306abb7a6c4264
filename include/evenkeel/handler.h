// Handlers: what is done with packets. A handler is a class of the author's own; the engine makes one object
// of it for each worker, calls it on that worker's thread alone, and it shares nothing with the others.
//
//   struct Handler {
//     struct State { ... };                                    what is kept for each connection
//     static constexpr std::uint32_t kTimers = 2;              timers of each connection: 0 to kTimersMax.
//                                                              If left out: 1 where there is an on_timer()
//     void on_open(Connection<State>&, const Packet&);         a new connection, by its first packet
//     void on_packet(Connection<State>&, const Packet&);       each packet, the first one too
//     void on_timer(Connection<State>&, std::uint32_t timer);  a timer of the connection has fired
//     void on_close(Connection<State>&, CloseReason);          its end; the state is gone after the call
//     void on_idle();                                          nothing to do now: a chance to flush
//     std::int64_t cost_ns(const Packet&) const;               what serving it will take; 0: not known
//   };
//
// Only State and on_packet() must be there. cost_ns() is asked when packets wait; the queueing model then
// takes it for its estimate, in place of what it learnt (what it charges is measured all the same).
//
// A connection's calls come in this order: open, packets in the order of their arrival, with timers between
// them, close. They come from one worker at a time; which one may change between two calls, and the state
// goes along, so the state needs no lock. What a handler object itself holds stays with its worker.
//
// A packet is readable during the call only. A handler may not throw: an exception ends the process, as one
// that leaves any thread does. Every moment in a call is a moment in which its worker serves nobody else; and
// where the source can wait (a file), a handler that blocks will hold up the others too, once its ring is
// full. A handler may call stop() and report() of its engine, but neither wait for it (that is refused, as a
// usage error) nor destroy it.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "evenkeel/connection.h"
#include "evenkeel/packet.h"

namespace evenkeel {

template <typename H>
concept PacketHandler = requires(H& handler, Connection<typename H::State>& connection,
                                 const Packet& packet) {
  handler.on_packet(connection, packet);
};

namespace detail {

// A handler, across the library's boundary. open() constructs the state before it calls on_open(); close()
// destroys it afterwards. What may be null is said.
struct HandlerCalls {
  std::uint32_t state_bytes;
  std::uint32_t timers;
  void (*open)(void* handler, ConnectionView& view, const Packet& packet);
  void (*packet)(void* handler, ConnectionView& view, const Packet& packet);
  void (*timer)(void* handler, ConnectionView& view, std::uint32_t timer);  // null where timers is 0
  void (*close)(void* handler, ConnectionView& view, CloseReason reason);
  void (*idle)(void* handler);                                         // may be null
  std::int64_t (*cost_ns)(const void* handler, const Packet& packet);  // may be null
};

// Called by what the engine has, so that templates and overloads count; and by name, so that one with other
// parameters is an error and not left out.
template <typename H>
concept HasOnOpen = requires {
  &H::on_open;
}
|| requires(H& h, Connection<typename H::State>& c, const Packet& p) { h.on_open(c, p); };
template <typename H>
concept HasOnTimer = requires {
  &H::on_timer;
}
|| requires(H& h, Connection<typename H::State>& c) { h.on_timer(c, std::uint32_t{0}); };
template <typename H>
concept HasOnClose = requires {
  &H::on_close;
}
|| requires(H& h, Connection<typename H::State>& c, CloseReason r) { h.on_close(c, r); };
template <typename H>
concept HasOnIdle = requires {
  &H::on_idle;
}
|| requires(H& h) { h.on_idle(); };
template <typename H>
concept HasCost = requires {
  &H::cost_ns;
}
|| requires(const H& h, const Packet& p) { h.cost_ns(p); };

template <typename H>
constexpr std::uint32_t timers_of() {
  if constexpr (requires { H::kTimers; }) {
    return H::kTimers;
  } else {
    return HasOnTimer<H> ? 1 : 0;
  }
}

template <typename H>
struct Calls {
  using State = typename H::State;
  using Handle = Connection<State>;

  static_assert(sizeof(State) <= kStateBytesMax, "keep a pointer to more than kStateBytesMax bytes");
  static_assert(alignof(State) <= 8, "a connection's state is aligned to 8 bytes");
  static_assert(std::is_default_constructible_v<State>, "a connection's state begins by State()");
  static_assert(timers_of<H>() <= kTimersMax, "a connection has at most kTimersMax timers");

  static void open(void* handler, ConnectionView& view, const Packet& packet) {
    std::construct_at(static_cast<State*>(view.state));
    if constexpr (HasOnOpen<H>) {
      Handle connection(view);
      static_cast<H*>(handler)->on_open(connection, packet);
    }
  }
  static void packet(void* handler, ConnectionView& view, const Packet& packet) {
    Handle connection(view);
    static_cast<H*>(handler)->on_packet(connection, packet);
  }
  static void timer(void* handler, ConnectionView& view, [[maybe_unused]] std::uint32_t timer) {
    if constexpr (HasOnTimer<H>) {
      Handle connection(view);
      static_cast<H*>(handler)->on_timer(connection, timer);
    }
  }
  static void close(void* handler, ConnectionView& view, [[maybe_unused]] CloseReason reason) {
    if constexpr (HasOnClose<H>) {
      Handle connection(view);
      static_cast<H*>(handler)->on_close(connection, reason);
    }
    std::destroy_at(static_cast<State*>(view.state));
  }
  static void idle(void* handler) {
    if constexpr (HasOnIdle<H>) static_cast<H*>(handler)->on_idle();
  }
  static std::int64_t cost_ns(const void* handler, const Packet& packet) {
    if constexpr (HasCost<H>) {
      return static_cast<const H*>(handler)->cost_ns(packet);
    } else {
      return 0;
    }
  }

  static constexpr HandlerCalls kTable = {.state_bytes = sizeof(State),
                                          .timers = timers_of<H>(),
                                          .open = open,
                                          .packet = packet,
                                          .timer = timer,
                                          .close = close,
                                          .idle = HasOnIdle<H> ? idle : nullptr,
                                          .cost_ns = HasCost<H> ? cost_ns : nullptr};
};

}  // namespace detail

}  // namespace evenkeel
