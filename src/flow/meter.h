// The flow meter: the built-in handler. It turns the packets of each connection into flow records
// (docs/flow-records.md defines every field and when a record ends).
//
// All decisions are taken by packet time and by the connection's own packets, so that the same capture gives
// the same set of records at any number of workers.
//
// Thread: [worker]; each worker has its own meter and its own sink.
#pragma once

#include <cstdint>

#include "base/units.h"
#include "engine/connection.h"
#include "evenkeel/packet.h"
#include "flow/record.h"
#include "flow/round_trip.h"
#include "meter/counter.h"
#include "packet/tcp_segment.h"

namespace evenkeel::flow {

// Where finished records go. Called by one worker; once for each record, not for each packet.
class RecordSink {
 public:
  virtual ~RecordSink() = default;
  virtual void write(const FlowRecord& record) = 0;
};

struct MeterOptions {
  std::int64_t active_ns =
      300 * base::kNanosecondsPerSecond;  // a longer connection gets a record each active_ns
};

// Written by one worker's meter.
struct alignas(base::kCacheLine) MeterCounters {
  meter::Counter records;
  meter::Counter order_violations;  // packets of a connection out of the order given at the source: always 0
};

class FlowMeter {
 public:
  // What the meter keeps of a connection: 64 bytes, and 24 of which only TCP has use.
  struct State {
    std::int64_t start_ns = 0;  // of the present record
    std::int64_t end_ns = 0;
    std::int64_t active_deadline_ns = 0;  // the present record ends here at the latest
    std::uint64_t packets = 0;
    std::uint64_t octets = 0;
    std::uint64_t reverse_packets = 0;
    std::uint64_t reverse_octets = 0;
    std::uint32_t last_sequence = 0;  // at the source, modulo 2^32: witness of order
    std::uint16_t last_source = 0;
    std::uint8_t tcp_control_bits = 0;
    std::uint8_t reverse_tcp_control_bits = 0;
    RoundTripMeter round_trip;
  };
  static_assert(sizeof(State) == 88);
  using Connection = engine::Connection<State>;

  // sink may be null: records are then counted only.
  FlowMeter(const MeterOptions& options, RecordSink* sink, MeterCounters& counters)
      : options_(options), sink_(sink), counters_(&counters) {}

  void open(Connection& connection, const Packet& packet);
  void packet(Connection& connection, const Packet& packet);
  void close(const ConnectionKey& key, Connection& connection, engine::CloseReason reason,
             std::int64_t now_ns);
  std::int64_t deadline_ns(const Connection& connection) const {
    const State& state = connection.state;
    // Nothing to end: the record begins with the next packet.
    return connection.ended || state.packets + state.reverse_packets == 0 ? engine::kNoDeadline
                                                                          : state.active_deadline_ns;
  }
  void due(const ConnectionKey& key, Connection& connection, std::int64_t now_ns);
  void idle() {}

 private:
  void begin_record(State& state, const Packet& packet);
  void end_record(const ConnectionKey& key, const Connection& connection, EndReason reason);

  MeterOptions options_;
  RecordSink* sink_;
  MeterCounters* counters_;
};

inline void FlowMeter::packet(Connection& connection, const Packet& packet) {
  State& state = connection.state;
  if (packet.now_ns >= state.active_deadline_ns) [[unlikely]] {
    end_record(packet.key, connection, EndReason::kActiveTimeout);
    begin_record(state, packet);
  }
  // Signed difference: right also when the low 32 bits wrap around.
  const auto sequence = static_cast<std::uint32_t>(packet.sequence);
  if (packet.source == state.last_source && static_cast<std::int32_t>(sequence - state.last_sequence) < 0)
    counters_->order_violations.increment();
  state.last_sequence = sequence;
  state.last_source = packet.source;
  // Captures may run back in time: a record spans all of its packets.
  if (packet.time_ns < state.start_ns) state.start_ns = packet.time_ns;
  if (packet.time_ns > state.end_ns) state.end_ns = packet.time_ns;
  const bool forward = connection.forward(packet);
  if ((packet.flags & Packet::kTcpHeader) != 0) {
    state.round_trip.pass(forward ? engine::TcpEnd::kForward : engine::TcpEnd::kReverse,
                          packet::tcp_segment(packet), packet.tcp_flags, packet.time_ns,
                          connection.sequence_end);
  }
  if (forward) {
    ++state.packets;
    state.octets += packet.ip_octets;
    state.tcp_control_bits |= packet.tcp_flags;
  } else {
    ++state.reverse_packets;
    state.reverse_octets += packet.ip_octets;
    state.reverse_tcp_control_bits |= packet.tcp_flags;
  }
}

}  // namespace evenkeel::flow
