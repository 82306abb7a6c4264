#include "flow/meter.h"

#include "base/check.h"
#include "engine/handler.h"

namespace evenkeel::flow {

static_assert(engine::Handler<FlowMeter>);

namespace {

std::uint16_t port(const std::array<std::uint8_t, 2>& bytes) {
  return static_cast<std::uint16_t>(bytes[0] << 8 | bytes[1]);
}

EndReason end_reason(const FlowMeter::Connection& connection, engine::CloseReason reason,
                     std::int64_t now_ns) {
  // An active timeout that fell due before the connection's own end ended the record, whether or not it was
  // noticed then.
  const std::int64_t deadline_ns = connection.state.active_deadline_ns;
  switch (reason) {
    case engine::CloseReason::kEnded:
      return EndReason::kEndOfFlow;
    case engine::CloseReason::kEvicted:
      return EndReason::kLackOfResources;
    case engine::CloseReason::kIdle:
      return deadline_ns <= connection.expires_ns ? EndReason::kActiveTimeout : EndReason::kIdleTimeout;
    case engine::CloseReason::kShutdown:
      return deadline_ns <= now_ns ? EndReason::kActiveTimeout : EndReason::kForcedEnd;
  }
  return EndReason::kForcedEnd;
}

}  // namespace

void FlowMeter::open(Connection& connection, const Packet& packet) {
  connection.state.last_sequence = static_cast<std::uint32_t>(packet.sequence);
  connection.state.last_source = packet.source;
  begin_record(connection.state, packet);
}

void FlowMeter::begin_record(State& state, const Packet& packet) {
  state.start_ns = packet.time_ns;
  state.end_ns = packet.time_ns;
  state.active_deadline_ns = packet.now_ns + options_.active_ns;
  state.packets = state.octets = state.reverse_packets = state.reverse_octets = 0;
  state.tcp_control_bits = state.reverse_tcp_control_bits = 0;
}

// The record ends now; the next packet begins another, as active_deadline_ns has passed.
void FlowMeter::due(const ConnectionKey& key, Connection& connection, std::int64_t) {
  end_record(key, connection, EndReason::kActiveTimeout);
  connection.state.packets = connection.state.reverse_packets = 0;
}

void FlowMeter::close(const ConnectionKey& key, Connection& connection, engine::CloseReason reason,
                      std::int64_t now_ns) {
  end_record(key, connection, end_reason(connection, reason, now_ns));
}

void FlowMeter::end_record(const ConnectionKey& key, const Connection& connection, EndReason reason) {
  const State& state = connection.state;
  if (state.packets + state.reverse_packets == 0) return;
  counters_->records.increment();
  if (sink_ == nullptr) return;
  FlowRecord record;
  record.start_ns = state.start_ns;
  record.end_ns = state.end_ns;
  const bool reversed = connection.forward_reversed != 0;
  record.source_address = reversed ? key.high_address : key.low_address;
  record.destination_address = reversed ? key.low_address : key.high_address;
  record.source_port = port(reversed ? key.high_port : key.low_port);
  record.destination_port = port(reversed ? key.low_port : key.high_port);
  record.protocol = key.protocol;
  record.ip_version = key.ip_version;
  record.tcp_control_bits = state.tcp_control_bits;
  record.reverse_tcp_control_bits = state.reverse_tcp_control_bits;
  record.end_reason = reason;
  record.packets = state.packets;
  record.octets = state.octets;
  record.reverse_packets = state.reverse_packets;
  record.reverse_octets = state.reverse_octets;
  record.tcp_state = connection.tcp_states.of(engine::TcpEnd::kForward);
  record.reverse_tcp_state = connection.tcp_states.of(engine::TcpEnd::kReverse);
  record.round_trip = state.round_trip.times();
  sink_->write(record);
}

}  // namespace evenkeel::flow
