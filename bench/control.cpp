// What a round of control costs as processors and buckets grow: measuring, planning, publishing and handing
// over, each with the product's own classes. Medians of rounds whose loads drift, and for planning, which is
// quick in most rounds and long in a few, the longest too; the slope is the exponent of the number of buckets
// (or processors) between the first and the last row.
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "actuator/in_process/table_actuator.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "control/load_meter.h"
#include "engine/engine.h"
#include "evenkeel/policy.h"
#include "policy/load_estimator.h"

namespace {

using namespace evenkeel;

constexpr int kRounds = 31;
constexpr std::uint64_t kInterval_ns = 100'000'000;

struct Nothing {
  struct State {};
  using Connection = engine::Connection<State>;
  void open(Connection&, const Packet&) {}
  void packet(Connection&, const Packet&) {}
  std::int64_t deadline_ns(const Connection&) const { return engine::kNoDeadline; }
  void due(const ConnectionKey&, Connection&, std::int64_t) {}
  void close(const ConnectionKey&, Connection&, engine::CloseReason, std::int64_t) {}
  void idle() {}
};

class Silence final : public Source {
 public:
  ReceiveStatus receive(std::span<Packet*>, std::size_t& count) override {
    count = 0;
    return ReceiveStatus::kIdle;
  }
  bool can_wait() const override { return true; }
  SourceStatistics statistics() const override { return {}; }
  std::string name() const override { return "silence"; }
};

using SilentEngine = engine::Engine<Nothing, base::CycleClock>;

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double longest(const std::vector<double>& values) { return *std::max_element(values.begin(), values.end()); }

// One size: all phases, round by round.
class Sized {
 public:
  Sized(std::uint32_t processors, std::uint32_t buckets) : processors_(processors), buckets_(buckets) {
    engine::EngineOptions options;
    options.workers = processors;
    options.buckets = buckets;
    options.connections_max = 10'000;
    auto engine = SilentEngine::make(
        options, {&source_}, std::move(*packet::Hasher::make("toeplitz", "")),
        [](ProcessorId) { return Nothing{}; }, [](ProcessorId) { return base::CycleClock{}; });
    CHECK(engine.ok());
    engine_ = std::move(*engine);
    actuator_ = std::make_unique<actuator::TableActuator>(engine_->board());
    for (std::uint32_t j = 0; j < buckets; ++j) load_.push_back(std::exp(random_.normal()));
  }

  struct Times {
    double measure_us, index_us, index_longest_us, rsspp_us, rsspp_longest_us, publish_us, adopt_us, move_ns,
        moves;
  };

  Times run() {
    meters_ = std::vector<meter::WorkerMeters>(processors_);
    bucket_meters_ = std::vector<meter::BucketMeters>(buckets_);
    control::LoadMeter meter(meters_, bucket_meters_, std::vector<double>(processors_, 1.0), 0);
    auto index = make_policy("index"), rsspp = make_policy("rsspp");
    policy::LoadEstimator estimator;
    std::vector<std::uint64_t> waiting(processors_);
    std::vector<double> measure, plan, plan_rsspp, publish, adopt, move, moves;
    for (int round = 1; round <= kRounds; ++round) {
      work();
      const std::uint64_t now_ns = static_cast<std::uint64_t>(round) * kInterval_ns;
      Snapshot snapshot;
      measure.push_back(time_us([&] {
        meter.measure({.time_ns = static_cast<std::int64_t>(now_ns), .ticks = now_ns, .waiting = waiting},
                      actuator_->owners());
        snapshot = meter.snapshot(actuator_->owners());
      }));
      Plan other, planned;
      plan_rsspp.push_back(cpu_us([&] { CHECK((*rsspp)->plan(snapshot, other).ok()); }));
      plan.push_back(cpu_us([&] { CHECK((*index)->plan(estimator.observe(snapshot), planned).ok()); }));
      if (planned.moves.empty()) continue;
      publish.push_back(time_us([&] { CHECK(actuator_->apply(planned.moves).ok()); }));
      adopt.push_back(time_us([&] { engine_->dispatchers()[0]->step(); }));
      const double handover_us = time_us([&] { settle(); });
      move.push_back(1e3 * handover_us / static_cast<double>(planned.moves.size()));
      moves.push_back(static_cast<double>(planned.moves.size()));
    }
    return {median(measure), median(plan),  longest(plan), median(plan_rsspp), longest(plan_rsspp),
            median(publish), median(adopt), median(move),  median(moves)};
  }

 private:
  template <typename Work>
  static double time_us(Work&& work) {
    const std::int64_t begin = base::monotonic_nanoseconds();
    work();
    return static_cast<double>(base::monotonic_nanoseconds() - begin) / 1e3;
  }

  // Of this thread alone: the longest of many is not that of an interruption.
  template <typename Work>
  static double cpu_us(Work&& work) {
    const double begin_us = thread_cpu_us();
    work();
    return thread_cpu_us() - begin_us;
  }
  static double thread_cpu_us() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
  }

  // An interval's counters: loads that wander, 60 % of what the processors can do.
  void work() {
    double total = 0;
    for (double& load : load_) total += load *= std::exp(0.2 * random_.normal());
    const double ticks = 0.6 * processors_ * static_cast<double>(kInterval_ns) / total;
    for (std::uint32_t j = 0; j < buckets_; ++j) {
      const auto busy = static_cast<std::uint64_t>(load_[j] * ticks);
      bucket_meters_[j].cost_ticks.add(busy);
      bucket_meters_[j].packets.add(busy / 1000);
      meter::WorkerMeters& worker = meters_[actuator_->owners()[j].value()];
      worker.busy_ticks.add(busy);
      worker.processed.add(busy / 1000);
    }
  }

  // Donors first: each worker that has marks steps until its part is done. One thread does the work of all.
  void settle() {
    const auto& moves = engine_->board().newest().reassignments;
    while (!engine_->board().settled()) {
      engine_->dispatchers()[0]->step();
      for (const auto& one : moves) engine_->workers()[one.from.value()]->step();
      for (const auto& one : moves) engine_->workers()[one.to.value()]->step();
    }
  }

  const std::uint32_t processors_, buckets_;
  Silence source_;
  std::unique_ptr<SilentEngine> engine_;
  std::unique_ptr<actuator::TableActuator> actuator_;
  base::Random random_{7};
  std::vector<double> load_;
  std::vector<meter::WorkerMeters> meters_;
  std::vector<meter::BucketMeters> bucket_meters_;
};

struct Row {
  std::uint32_t processors, buckets;
  Sized::Times times;
};

Row measure(std::uint32_t processors, std::uint32_t buckets) {
  const Row row{processors, buckets, Sized(processors, buckets).run()};
  const Sized::Times& t = row.times;
  fmt::print("| {} | {} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.1f} | {:.0f} | {:.0f} | {:.0f} |\n",
             processors, buckets, t.measure_us, t.index_us, t.index_longest_us, t.rsspp_us,
             t.rsspp_longest_us, t.publish_us, t.adopt_us, t.moves, t.move_ns);
  return row;
}

double slope(double first, double last, double ratio) { return std::log(last / first) / std::log(ratio); }

void print_slopes(const Row& first, const Row& last, double ratio) {
  const Sized::Times &a = first.times, &b = last.times;
  const double slopes[] = {slope(a.measure_us, b.measure_us, ratio),
                           slope(a.index_us, b.index_us, ratio),
                           slope(a.index_longest_us, b.index_longest_us, ratio),
                           slope(a.rsspp_us, b.rsspp_us, ratio),
                           slope(a.rsspp_longest_us, b.rsspp_longest_us, ratio),
                           slope(a.publish_us, b.publish_us, ratio),
                           slope(a.adopt_us, b.adopt_us, ratio),
                           slope(a.moves, b.moves, ratio),
                           slope(a.move_ns, b.move_ns, ratio)};
  fmt::print("| slope | | {:.2f} |\n", fmt::join(slopes, " | "));
}

void table(const std::string& title, const std::vector<std::pair<std::uint32_t, std::uint32_t>>& sizes,
           bool by_buckets) {
  fmt::print(
      "\n{}\n\n| processors | buckets | measure us | index us | longest | rsspp us | longest | publish us | "
      "adopt us "
      "| moves | ns a move |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
      title);
  std::vector<Row> rows;
  for (const auto& [processors, buckets] : sizes) rows.push_back(measure(processors, buckets));
  const double ratio = by_buckets ? static_cast<double>(rows.back().buckets) / rows.front().buckets
                                  : static_cast<double>(rows.back().processors) / rows.front().processors;
  print_slopes(rows.front(), rows.back(), ratio);
}

}  // namespace

int main() {
  table("64 buckets a processor", {{16, 1024}, {64, 4096}, {256, 16'384}, {1024, 65'536}}, true);
  table("64 processors, more buckets", {{64, 1024}, {64, 4096}, {64, 16'384}, {64, 65'536}}, true);
  table("65,536 buckets, more processors", {{16, 65'536}, {64, 65'536}, {256, 65'536}, {1024, 65'536}},
        false);
}
