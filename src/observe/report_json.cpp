#include "observe/report_json.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <span>

namespace evenkeel::observe {

namespace {

using Json = nlohmann::ordered_json;

double rounded(double value, double steps_per_unit) {
  return std::round(value * steps_per_unit) / steps_per_unit;
}
double fraction(double value) { return rounded(value, 1e6); }
double seconds(double value) { return rounded(value, 1e9); }

Json fractions(std::span<const double> values) {
  Json list = Json::array();
  for (double value : values) list.push_back(fraction(value));
  return list;
}

Json owners(std::span<const ProcessorId> values) {
  Json list = Json::array();
  for (ProcessorId value : values) list.push_back(value.value());
  return list;
}

Json reasons(const std::vector<ReasonCount>& counts) {
  Json object = Json::object();
  for (const ReasonCount& count : counts) {
    if (count.packets > 0) object[count.reason] = count.packets;
  }
  return object;
}

Json options_json(const RunReport::Options& options) {
  return {{"workers", options.workers},
          {"buckets", options.buckets},
          {"hash", options.hash},
          {"hash_key", options.hash_key.empty() ? "symmetric" : options.hash_key},
          {"policy", options.policy},
          {"interval_seconds", seconds(static_cast<double>(options.interval_ns) / 1e9)},
          {"seed", options.seed},
          {"tunnel", options.inner_tunnel ? "inner" : "outer"},
          {"idle_timeout_seconds", seconds(static_cast<double>(options.idle_timeout_ns) / 1e9)},
          {"active_timeout_seconds", seconds(static_cast<double>(options.active_timeout_ns) / 1e9)},
          {"connections_max", options.connections_max},
          {"speed", options.speed ? Json(*options.speed) : Json()}};
}

Json inputs_json(const std::vector<InputReport>& inputs) {
  Json list = Json::array();
  for (const InputReport& input : inputs) {
    list.push_back({{"name", input.name},
                    {"packets", input.packets},
                    {"bytes", input.bytes},
                    {"error", input.error.empty() ? Json() : Json(input.error)},
                    {"note", input.note.empty() ? Json() : Json(input.note)}});
  }
  return list;
}

Json packets_json(const PacketCounts& packets) {
  return {{"received", packets.received},
          {"bytes", packets.bytes},
          {"processed", packets.processed},
          {"malformed", total(packets.malformed)},
          {"malformed_reasons", reasons(packets.malformed)},
          {"unclassified", total(packets.unclassified)},
          {"unclassified_reasons", reasons(packets.unclassified)},
          {"dropped", reasons(packets.dropped)}};
}

Json connections_json(const ConnectionCounts& connections) {
  return {{"opened", connections.opened},
          {"closed", connections.closed},
          {"expired", connections.expired},
          {"evicted", connections.evicted},
          {"live", connections.live}};
}

Json timers_json(const EngineTimers& timers) {
  return {{"started", timers.started},
          {"restarted", timers.restarted},
          {"cancelled", timers.cancelled},
          {"fired", timers.fired},
          {"fired_off_owner", timers.fired_off_owner},
          {"late_p99_microseconds", rounded(timers.late_p99_microseconds, 1000)}};
}

Json workers_json(const std::vector<WorkerReport>& workers) {
  Json list = Json::array();
  for (std::size_t i = 0; i < workers.size(); ++i) {
    const WorkerReport& worker = workers[i];
    list.push_back({{"worker", i},
                    {"cpu", worker.cpu ? Json(*worker.cpu) : Json()},
                    {"capacity", fraction(worker.capacity)},
                    {"busy_fraction", fraction(worker.busy_fraction)},
                    {"packets", worker.packets},
                    {"bytes", worker.bytes},
                    {"buckets", worker.buckets},
                    {"connections", worker.connections},
                    {"timers", timers_json(worker.timers)}});
  }
  return list;
}

Json history_json(const BalanceHistory& history) {
  Json list = Json::array();
  for (const BalanceSample& sample : history.samples()) {
    list.push_back({{"start_seconds", seconds(sample.start_seconds)},
                    {"end_seconds", seconds(sample.end_seconds)},
                    {"max_over_mean", fraction(sample.max_over_mean)},
                    {"static_max_over_mean", fraction(sample.static_max_over_mean)},
                    {"moves", sample.moves},
                    {"busy_fraction", fractions(sample.busy_fraction)},
                    {"static_busy_fraction", fractions(sample.static_busy_fraction)}});
  }
  return list;
}

Json balance_json(const BalanceReport& balance) {
  Json loads = Json::array();
  for (double load : balance.bucket_loads) loads.push_back(seconds(load));
  return {{"max_over_mean", fraction(balance.max_over_mean)},
          {"static_max_over_mean", fraction(balance.static_max_over_mean)},
          {"rebalances", balance.rebalances},
          {"moves", balance.moves},
          {"history", history_json(balance.history)},
          {"bucket_loads", std::move(loads)},
          {"bucket_owners", owners(balance.bucket_owners)},
          {"initial_owners", owners(balance.initial_owners)}};
}

Json queueing_json(const QueueingReport& queueing) {
  const auto delay = [&](double value) { return queueing.packets == 0 ? Json() : Json(seconds(value)); };
  return {{"discipline", queueing.discipline},
          {"quantum_seconds", seconds(static_cast<double>(queueing.quantum_ns) / 1e9)},
          {"packets", queueing.packets},
          {"shed_by_limit", queueing.shed_by_limit},
          {"shed_by_delay", queueing.shed_by_delay},
          {"waiting_packets_max", queueing.waiting_packets_max},
          {"connections_max", queueing.connections_max},
          {"delay_p50_seconds", delay(queueing.delay_p50_seconds)},
          {"delay_p99_seconds", delay(queueing.delay_p99_seconds)}};
}

Json elephants_json(const std::vector<ElephantReport>& elephants) {
  Json list = Json::array();
  for (const ElephantReport& elephant : elephants) {
    list.push_back({{"connection", elephant.connection},
                    {"worker", elephant.worker},
                    {"packets", elephant.packets},
                    {"bytes", elephant.bytes},
                    {"bytes_per_second", rounded(elephant.bytes_per_second, 10)},
                    {"worker_share", fraction(elephant.worker_share)},
                    {"shed", elephant.shed},
                    {"bypassed", elephant.bypassed}});
  }
  return list;
}

// On one line. Names of files may hold any bytes; JSON may not.
std::string line(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

void print(const Json& json, const std::string& indent, std::string& out);

void print_object(const Json& object, const std::string& indent, std::string& out) {
  out += '{';
  const char* separator = "\n";
  for (const auto& [name, value] : object.items()) {
    out += separator + indent + "  \"" + name + "\": ";
    print(value, indent + "  ", out);
    separator = ",\n";
  }
  out += "\n" + indent + "}";
}

void print_rows(const Json& rows, const std::string& indent, std::string& out) {
  out += '[';
  const char* separator = "\n";
  for (const Json& row : rows) {
    out += separator + indent + "  " + line(row);
    separator = ",\n";
  }
  out += "\n" + indent + "]";
}

void print(const Json& json, const std::string& indent, std::string& out) {
  if (json.is_object() && !json.empty()) return print_object(json, indent, out);
  if (json.is_array() && !json.empty() && json[0].is_object()) return print_rows(json, indent, out);
  out += line(json);
}

}  // namespace

std::string report_json(const RunReport& report) {
  const Json json = {{"version", report.version},
                     {"started_at", report.started_at},
                     {"options", options_json(report.options)},
                     {"inputs", inputs_json(report.inputs)},
                     {"elapsed_seconds", seconds(report.elapsed_seconds)},
                     {"packets_per_second", rounded(report.packets_per_second, 10)},
                     {"interrupted", report.interrupted},
                     {"packets", packets_json(report.packets)},
                     {"connections", connections_json(report.connections)},
                     {"records", report.records},
                     {"workers", workers_json(report.workers)},
                     {"balance", balance_json(report.balance)},
                     {"queueing", queueing_json(report.queueing)},
                     {"timers", timers_json(report.timers)},
                     {"elephants", elephants_json(report.elephants)},
                     {"order_violations", report.order_violations},
                     {"ownership_violations", report.ownership_violations}};
  std::string text;
  print(json, "", text);
  return text + "\n";
}

}  // namespace evenkeel::observe
