// What is done with packets: the seam between the engine and its job. The flow meter is the built-in handler.
#pragma once

#include <concepts>
#include <cstdint>
#include <utility>

#include "engine/connection.h"
#include "evenkeel/packet.h"

namespace evenkeel::engine {

// One handler object serves one worker: it is called by that worker's thread alone and shares nothing. A
// connection's calls come in this order: open, packet (at least the one that opened it), close; from one
// worker at a time, which may change between two calls.
//
//   open(connection, packet)                  a new connection; its State is fresh
//   packet(connection, packet)                each packet of it, in arrival order
//   deadline_ns(connection)                   packet time at which due() is to be called; kNoDeadline: never
//   due(key, connection, now_ns)              that time has come; it may not have a deadline at or before
//                                             now_ns any more
//   close(key, connection, reason, now_ns)    its end, in packet time; the State is gone after the call
//   idle()                                    nothing to do for now: a chance to flush what was gathered
//
// The worker sets connection.elephant where a connection is far above all others; a handler that has seen
// enough of a connection may set connection.bypassed: packet() is then not called for it any more, close()
// is.
template <typename H>
concept Handler = requires(H& handler, Connection<typename H::State>& connection, const Packet& packet,
                           const ConnectionKey& key, CloseReason reason, std::int64_t now_ns) {
  handler.open(connection, packet);
  handler.packet(connection, packet);
  { handler.deadline_ns(std::as_const(connection)) } -> std::same_as<std::int64_t>;
  handler.due(key, connection, now_ns);
  handler.close(key, connection, reason, now_ns);
  handler.idle();
};

// A handler may also say what a packet will cost it. The queueing model then takes that for its estimate, in
// place of what it learnt from the connection's earlier packets; what it charges is measured all the same.
//
//   cost_ns(packet) const                     nanoseconds; 0: not known
template <typename H>
concept DeclaresCost = requires(const H& handler, const Packet& packet) {
  { handler.cost_ns(packet) } -> std::convertible_to<std::int64_t>;
};

// A handler whose packet() or open() may bring a connection's deadline nearer must say so, or it is looked at
// only when its old time comes.
//
//   deadline_came_nearer()                    whether it did since the last time this was asked
template <typename H>
concept MovesDeadlines = requires(H& handler) {
  { handler.deadline_came_nearer() } -> std::same_as<bool>;
};

}  // namespace evenkeel::engine
