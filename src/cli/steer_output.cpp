#include "cli/steer_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

namespace evenkeel::cli {
namespace {

using nlohmann::json;

void print_json(const json& object) {
  fmt::print("{}\n", object.dump());
  std::fflush(stdout);
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
  fmt::print("steering {} by {}: {} buckets over {} processors; Ctrl-C ends it\n", ground.interface.name,
             steering.name(), steering.buckets(), steering.processors().size());
  for (const std::string& note : notes) fmt::print("  {}\n", note);
  std::fflush(stdout);
}

void SteerOutput::round(const actuator::Steering& steering, const control::SteerRound& round) {
  const actuator::Measurement& measurement = round.measurement;
  if (is_loaded(round.plan)) {
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
                       {"max_over_mean", round.plan.max_over_mean_before},
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
  fmt::print("{}  {:>8} packets/s{}  max/mean {:.2f}  {} moves{}\n", time_of_day(),
             short_number(static_cast<double>(packets_) / seconds), usage_text(steering, round.measurement),
             round.plan.max_over_mean_before, moves_, drops);
  std::fflush(stdout);
  printed_seconds_ = round.seconds;
  packets_ = drops_ = moves_ = 0;
}

void SteerOutput::end(const actuator::Steering& steering, const actuator::SteeringTotals& totals,
                      double seconds, std::uint64_t rounds) {
  (void)steering;
  const double mean = loaded_rounds_ > 0 ? sum_max_over_mean_ / static_cast<double>(loaded_rounds_) : 1;
  if (json_) {
    json object = totals_json(totals);
    object["event"] = "end";
    object["seconds"] = seconds;
    object["rounds"] = rounds;
    object["max_over_mean_first"] = first_max_over_mean_;
    object["max_over_mean_mean"] = mean;
    return print_json(object);
  }
  fmt::print(
      "\n{:.1f} s, {} rounds: {} packets, of these {} steered and {} passed by; {} dropped in queues\n",
      seconds, rounds, totals.packets, totals.steered, totals.passed_by, totals.drops);
  fmt::print(
      "moves: {} wanted, {} done, {} withdrawn; {} with packets in flight: {} packets could have been "
      "reordered\n",
      totals.moves_wanted, totals.moves_done, totals.moves_withdrawn, totals.moves_forced,
      totals.reorder_risk);
  if (loaded_rounds_ > 0) {
    fmt::print("busiest processor over the mean: {:.2f} in the first loaded round, {:.2f} on average\n",
               first_max_over_mean_, mean);
  }
  fmt::print("the interface is as it was found\n");
}

}  // namespace evenkeel::cli
