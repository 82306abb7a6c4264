// The handler of an author's program, as the engine sees it: the state is a slot of one of a few sizes, and
// every call goes through a table of functions (evenkeel/handler.h). So the engine is compiled once for each
// size, in the library, and not in every program that uses it (docs/decisions/library.md).
//
// A slot: 8 bytes that witness order, a deadline for each of the handler's timers, the author's state.
//
// Timers. The engine looks at a connection at the earliest of its deadlines, or a little later. What makes
// timers fire at the same places whenever it looks: those that are due are fired before the next packet, and
// before the end, each with its own deadline as the present.
//
// Thread: [worker].
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/units.h"
#include "engine/connection.h"
#include "engine/handler.h"
#include "evenkeel/handler.h"
#include "meter/counter.h"

namespace evenkeel::library {

// Written by one worker's handler.
struct alignas(base::kCacheLine) HandlerMeters {
  meter::Counter order_violations;  // packets of a connection out of the order given at the source: always 0
};

struct SlotHead {
  std::uint32_t last_sequence;  // at the source, modulo 2^32
  std::uint16_t last_source;
};

constexpr std::size_t slot_bytes(const detail::HandlerCalls& calls) {
  return 8 + calls.timers * sizeof(std::int64_t) + calls.state_bytes;
}

template <std::size_t kBytes>
class SlotHandler {
 public:
  struct State {
    State() {}  // every part is written by open(), or by the author's constructor
    alignas(8) std::byte bytes[kBytes];
  };
  static_assert(sizeof(SlotHead) <= 8);
  using Connection = engine::Connection<State>;

  // slot_bytes(calls) is at most kBytes. `handler` and `meters` outlive this.
  SlotHandler(const detail::HandlerCalls& calls, void* handler, HandlerMeters& meters)
      : calls_(calls), handler_(handler), meters_(&meters) {}

  void open(Connection& connection, const Packet& packet) {
    head(connection) = {static_cast<std::uint32_t>(packet.sequence), packet.source};
    std::ranges::fill(deadlines(connection), kNoDeadline);
    detail::ConnectionView view = view_of(packet.key, connection, packet.now_ns);
    calls_.open(handler_, view, packet);
    connection.bypassed = view.bypassed;
  }

  void packet(Connection& connection, const Packet& packet) {
    witness_order(connection, packet);
    if (calls_.timers != 0) fire_until(packet.now_ns, packet.key, connection);
    detail::ConnectionView view = view_of(packet.key, connection, packet.now_ns);
    calls_.packet(handler_, view, packet);
    connection.bypassed = view.bypassed;
    deadline_came_nearer_ |= view.deadline_came_nearer;
  }

  std::int64_t deadline_ns(const Connection& connection) const {
    const std::int64_t* first = deadlines_of(const_cast<Connection&>(connection));
    std::int64_t earliest_ns = kNoDeadline;
    for (std::uint32_t i = 0; i < calls_.timers; ++i) earliest_ns = std::min(earliest_ns, first[i]);
    return earliest_ns;
  }

  bool deadline_came_nearer() {
    const bool came_nearer = deadline_came_nearer_;
    deadline_came_nearer_ = false;
    return came_nearer;
  }

  void due(const ConnectionKey& key, Connection& connection, std::int64_t now_ns) {
    fire_until(now_ns, key, connection);
  }

  void close(const ConnectionKey& key, Connection& connection, CloseReason reason, std::int64_t now_ns) {
    const std::int64_t end_ns = std::min(now_ns, connection.expires_ns);
    // Who is evicted ends before its time.
    if (reason != CloseReason::kEvicted) fire_until(end_ns, key, connection);
    detail::ConnectionView view = view_of(key, connection, end_ns);
    view.timers = 0;
    calls_.close(handler_, view, reason);
  }

  void idle() {
    if (calls_.idle != nullptr) calls_.idle(handler_);
  }

  std::int64_t cost_ns(const Packet& packet) const {
    return calls_.cost_ns == nullptr ? 0 : std::max<std::int64_t>(0, calls_.cost_ns(handler_, packet));
  }

 private:
  static SlotHead& head(Connection& connection) {
    return *reinterpret_cast<SlotHead*>(connection.state.bytes);
  }
  static std::int64_t* deadlines_of(Connection& connection) {
    return reinterpret_cast<std::int64_t*>(connection.state.bytes + 8);
  }
  std::span<std::int64_t> deadlines(Connection& connection) const {
    return {deadlines_of(connection), calls_.timers};
  }

  detail::ConnectionView view_of(const ConnectionKey& key, Connection& connection,
                                 std::int64_t now_ns) const {
    std::int64_t* const deadlines = deadlines_of(connection);
    return {.state = deadlines + calls_.timers,
            .key = &key,
            .now_ns = now_ns,
            .deadlines = deadlines,
            .timers = calls_.timers,
            .forward_reversed = connection.forward_reversed,
            .elephant = connection.elephant,
            .bypassed = connection.bypassed,
            .deadline_came_nearer = false};
  }

  void witness_order(Connection& connection, const Packet& packet) {
    SlotHead& last = head(connection);
    const auto sequence = static_cast<std::uint32_t>(packet.sequence);
    // Signed difference: right also when the low 32 bits wrap around.
    if (packet.source == last.last_source && static_cast<std::int32_t>(sequence - last.last_sequence) < 0)
      meters_->order_violations.increment();
    last = {sequence, packet.source};
  }

  // Fires the connection's timers that are due by `until_ns`, which is not the end of time; earliest first.
  // It ends, as each start is at least kTimerDelayMin later than the timer that started it.
  void fire_until(std::int64_t until_ns, const ConnectionKey& key, Connection& connection) {
    while (true) {
      const std::span<std::int64_t> times = deadlines(connection);
      const auto earliest = std::ranges::min_element(times);
      if (earliest == times.end() || *earliest > until_ns) return;
      detail::ConnectionView view = view_of(key, connection, *earliest);
      *earliest = kNoDeadline;
      calls_.timer(handler_, view, static_cast<std::uint32_t>(earliest - times.begin()));
      connection.bypassed = view.bypassed;
      deadline_came_nearer_ |= view.deadline_came_nearer;
    }
  }

  detail::HandlerCalls calls_;
  void* handler_;
  HandlerMeters* meters_;
  bool deadline_came_nearer_ = false;  // since it was asked
};

static_assert(engine::Handler<SlotHandler<32>> && engine::MovesDeadlines<SlotHandler<32>> &&
              engine::DeclaresCost<SlotHandler<32>>);

}  // namespace evenkeel::library
