#include "cli/steer_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <numeric>

#include "cli/standard_output.h"

namespace evenkeel::cli {
namespace {

using nlohmann::json;

// Names of peers and network namespaces may hold any bytes.
void print_json(const json& object) {
  print("{}\n", object.dump(-1, ' ', false, json::error_handler_t::replace));
  (void)flush_standard_output();
}

std::string time_of_day() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return fmt::format("{:02}:{:02}:{:02}", local.tm_hour, local.tm_min, local.tm_sec);
}

// 1234567 as "1.23 M".
std::string short_number(double value) {
  if (value >= 1e6) return fmt::format("{:.2f} M", value / 1e6);
  if (value >= 1e4) return fmt::format("{:.1f} k", value / 1e3);
  return fmt::format("{:.0f}", value);
}

// Busy share of what each processor has to give, as the interval measured it.
std::string usage_text(const actuator::Steering& steering, const actuator::Measurement& measurement) {
  constexpr std::size_t kShown = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(kShown, measurement.usage.size()); ++i) {
    text += fmt::format("  {} {:3.0f} %", steering.processors()[i], measurement.usage[i] * 100);
  }
  return measurement.usage.size() > kShown ? text + " …" : text;
}

bool is_loaded(const Plan& plan) {
  double sum = 0;
  for (const ProcessorDetail& detail : plan.processors) sum += detail.load;
  return sum > 0.01;
}

json totals_json(const actuator::SteeringTotals& totals) {
  return {{"packets", totals.packets},
          {"bytes", totals.bytes},
          {"steered", totals.steered},
          {"arrived", totals.arrived},
          {"drops", totals.drops},
          {"in_flight", totals.in_flight},
          {"passed_by", totals.passed_by},
          {"moves_wanted", totals.moves_wanted},
          {"moves_done", totals.moves_done},
          {"moves_with_packets_in_flight", totals.moves_forced},
          {"moves_withdrawn", totals.moves_withdrawn},
          {"buckets_at_the_end_with_packets_in_flight", totals.end_forced},
          {"packets_at_risk_of_reordering", totals.reorder_risk}};
}

}  // namespace

void SteerOutput::begin(const actuator::Steering& steering, const SteerGround& ground) {
  std::vector<std::string> notes = steering.notes();
  notes.insert(notes.end(), ground.notes.begin(), ground.notes.end());
  if (json_) {
    return print_json(
        {{"event", "begin"},
         {"interface", ground.interface.name},
         {"actuator", steering.name()},
         {"buckets", steering.buckets()},
         {"processors", std::vector<std::string>(steering.processors().begin(), steering.processors().end())},
         {"notes", notes}});
  }
  print("steering {} by {}: {} buckets over {} processors; Ctrl-C ends it\n", ground.interface.name,
        steering.name(), steering.buckets(), steering.processors().size());
  for (const std::string& note : notes) print("  {}\n", note);
  (void)flush_standard_output();
}

void SteerOutput::round(const actuator::Steering& steering, const control::SteerRound& round) {
  const actuator::Measurement& measurement = round.measurement;
  const bool loaded = is_loaded(round.plan);
  if (loaded) {
    if (loaded_rounds_++ == 0) first_max_over_mean_ = round.plan.max_over_mean_before;
    sum_max_over_mean_ += round.plan.max_over_mean_before;
  }
  if (json_) {
    return print_json({{"event", "round"},
                       {"seconds", round.seconds},
                       {"packets", measurement.packets},
                       {"bytes", measurement.bytes},
                       {"drops", measurement.drops},
                       {"usage", measurement.usage},
                       {"capacity", measurement.capacity},
                       {"backlog", measurement.backlog},
                       {"max_over_mean", loaded ? json(round.plan.max_over_mean_before) : json()},
                       {"moves", round.moves},
                       {"pending", round.pending}});
  }
  packets_ += measurement.packets;
  drops_ += measurement.drops;
  moves_ += round.moves;
  if (round.seconds - printed_seconds_ >= 1) print_line(steering, round);
}

void SteerOutput::print_line(const actuator::Steering& steering, const control::SteerRound& round) {
  const double seconds = round.seconds - printed_seconds_;
  const std::string drops =
      drops_ > 0 ? fmt::format("  {} dropped/s", short_number(static_cast<double>(drops_) / seconds)) : "";
  const std::string balance =
      is_loaded(round.plan) ? fmt::format("{:.2f}", round.plan.max_over_mean_before) : "   -";
  print("{}  {:>8} packets/s{}  max/mean {}  {} moves{}\n", time_of_day(),
        short_number(static_cast<double>(packets_) / seconds), usage_text(steering, round.measurement),
        balance, moves_, drops);
  (void)flush_standard_output();
  printed_seconds_ = round.seconds;
  packets_ = drops_ = moves_ = 0;
}

void SteerOutput::end(const SteerEnd& end) {
  if (!json_) return print_end(end);
  json object = totals_json(end.totals);
  object["event"] = "end";
  if (end.totals.table_misfit) object["table_misfit"] = *end.totals.table_misfit;
  object["seconds"] = end.seconds;
  object["rounds"] = end.rounds;
  object["restored"] = end.restored;
  if (end.level) object["level"] = *end.level;
  const bool loaded = loaded_rounds_ > 0;
  object["max_over_mean_first"] = loaded ? json(first_max_over_mean_) : json();
  object["max_over_mean_mean"] = loaded ? json(mean_max_over_mean()) : json();
  print_json(object);
}

void SteerOutput::print_end(const SteerEnd& end) const {
  const actuator::SteeringTotals& totals = end.totals;
  print("\n{:.1f} s, {} rounds: {} packets, of these {} steered and {} passed by; {} dropped in queues\n",
        end.seconds, end.rounds, totals.packets, totals.steered, totals.passed_by, totals.drops);
  const std::string at_the_end =
      totals.end_forced > 0 ? fmt::format(", and {} buckets at the end", totals.end_forced) : "";
  print(
      "moves: {} wanted, {} done, {} withdrawn; {} with packets in flight{}: {} packets could have been "
      "reordered\n",
      totals.moves_wanted, totals.moves_done, totals.moves_withdrawn, totals.moves_forced, at_the_end,
      totals.reorder_risk);
  if (loaded_rounds_ > 0) {
    print("busiest processor over the mean: {:.2f} in the first loaded round, {:.2f} on average\n",
          first_max_over_mean_, mean_max_over_mean());
  }
  if (totals.table_misfit) {
    print("the card follows its table: {:.1f} % of the packets came to other queues\n",
          *totals.table_misfit * 100);
  }
  if (end.level.value_or(false)) print("it was level for a second, as far as its buckets allow\n");
  if (end.restored) print("the interface is as it was found\n");
  (void)flush_standard_output();
}

namespace {

double share(std::uint64_t part, std::uint64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

// Packets of each processor with the buckets where `owner` has them.
std::vector<std::uint64_t> packets_by_owner(const DryRun& result, const std::vector<ProcessorId>& owner) {
  std::vector<std::uint64_t> packets(result.numbers.size());
  for (std::size_t bucket = 0; bucket < owner.size(); ++bucket) {
    packets[owner[bucket].value()] += result.observed.packets[bucket];
  }
  return packets;
}

// A queue's packets now are those of its slots; a CPU's were counted.
json processors_json(const DryRun& result, std::uint64_t all) {
  std::vector<ProcessorId> after = result.owner;
  for (const Move& move : result.plan.moves) after[move.bucket.value()] = move.to;
  const auto at_start = packets_by_owner(result, result.owner);
  const auto planned = packets_by_owner(result, after);
  json processors = json::array();
  for (std::size_t i = 0; i < result.numbers.size(); ++i) {
    const bool by_cpu = result.processor == "cpu";
    const std::uint64_t now = by_cpu ? result.observed.packets_of_cpu[result.numbers[i]] : at_start[i];
    processors.push_back({{result.processor, result.numbers[i]},
                          {"share_now", share(now, all)},
                          {"share_at_start", share(at_start[i], all)},
                          {"share_planned", share(planned[i], all)}});
  }
  return processors;
}

json moves_json(const DryRun& result, std::uint64_t all) {
  json moves = json::array();
  for (const Move& move : result.plan.moves) {
    moves.push_back({{"bucket", move.bucket.value()},
                     {"from", result.numbers[move.from.value()]},
                     {"to", result.numbers[move.to.value()]},
                     {"share", share(result.observed.packets[move.bucket.value()], all)},
                     {"reason", to_string(move.reason)}});
  }
  return moves;
}

void print_dry_run_text(const DryRun& result, std::uint64_t all) {
  print("{}: {} packets in {:.1f} s; nothing was changed\n", result.options.interface, all, result.seconds);
  for (const std::string& note : result.notes) print("  {}\n", note);
  print("\n{:>5}   now  {}  planned\n", result.processor,
        result.processor == "cpu" ? "evenly dealt" : "  by table  ");
  for (const json& processor : processors_json(result, all)) {
    print("{:5}  {:3.0f} %  {:10.0f} %  {:5.0f} %\n", processor[result.processor].get<std::uint32_t>(),
          processor["share_now"].get<double>() * 100, processor["share_at_start"].get<double>() * 100,
          processor["share_planned"].get<double>() * 100);
  }
  const json moves = moves_json(result, all);
  print("\nmoves of buckets after the {}: {}\n", result.processor == "cpu" ? "even deal" : "start",
        moves.size());
  for (const json& move : moves) {
    print("  bucket {:5}  {} {} to {} {}  {:.1f} % of the packets  ({})\n",
          move["bucket"].get<std::uint32_t>(), result.processor, move["from"].get<std::uint32_t>(),
          result.processor, move["to"].get<std::uint32_t>(), move["share"].get<double>() * 100,
          move["reason"].get<std::string>());
  }
}

}  // namespace

void print_dry_run(const DryRun& result) {
  const auto& counts = result.processor == "cpu" ? result.observed.packets_of_cpu : result.observed.packets;
  const std::uint64_t all = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  if (!result.options.json) return print_dry_run_text(result, all);
  print_json({{"event", "dry_run"},
              {"interface", result.options.interface},
              {"actuator", result.actuator},
              {"seconds", result.seconds},
              {"packets", all},
              {"passed_by", result.observed.unclassified + result.observed.malformed},
              {result.processor + "s", processors_json(result, all)},
              {"moves", moves_json(result, all)},
              {"notes", result.notes},
              {"refused", result.refused ? json(*result.refused) : json()}});
}

}  // namespace evenkeel::cli
