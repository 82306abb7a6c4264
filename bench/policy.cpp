// How level, with how many moves, in how much time: every policy on the same loads, against the published
// rows.
//
// usage: bench_policy [--loads DIR] [--svg DIR]
// DIR holds static/*.csv, drift/*.csv, exact_instances.csv and the peers' rows; default ../shared/loads.
// Without it, generated loads only. Times are medians of interleaved plans; compare their ratios.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "base/random.h"
#include "bench/policy_plot.h"
#include "evenkeel/policy.h"
#include "policy/drift.h"

namespace evenkeel::bench {
namespace {

constexpr double kStaticUsage = 0.6;
constexpr std::uint32_t kProcessorCounts[] = {2, 4, 8, 16, 32, 64};

struct Contender {
  const char* label;
  const char* policy;
  PolicyOptions options;
  bool estimates = false;  // plans on what the load estimator makes of a round, under drift
};

const std::vector<Contender>& contenders() {
  static const std::vector<Contender> all = {{"index", "index", PolicyOptions::running(), true},
                                             {"index-quality", "index", PolicyOptions::quality(), true},
                                             {"rsspp", "rsspp", {}},
                                             {"lpt", "lpt", {}}};
  return all;
}

struct Input {
  std::string name;
  std::vector<double> loads;
};

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> cells;
  std::stringstream stream(line);
  for (std::string cell; std::getline(stream, cell, ',');) cells.push_back(cell);
  return cells;
}

std::vector<std::vector<std::string>> read_csv(const std::string& path) {
  std::vector<std::vector<std::string>> rows;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) rows.push_back(split(line));
  return rows;
}

std::vector<Input> read_static(const std::string& folder) {
  std::vector<Input> inputs;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder + "/static", error)) {
    Input input{entry.path().stem().string(), {}};
    for (const auto& row : read_csv(entry.path().string())) input.loads.push_back(std::stod(row.at(0)));
    inputs.push_back(std::move(input));
  }
  std::sort(inputs.begin(), inputs.end(), [](const Input& a, const Input& b) { return a.name < b.name; });
  return inputs;
}

// Other distributions, sizes and seeds than those of the files: what nothing was tuned on.
std::vector<Input> generate_unseen() {
  using Draw = std::function<double(base::Random&, std::size_t)>;
  const std::vector<std::pair<const char*, Draw>> draws = {
      {"exponential", [](base::Random& r, std::size_t) { return r.exponential(1); }},
      {"lognormal1.5", [](base::Random& r, std::size_t) { return std::exp(1.5 * r.normal()); }},
      {"pareto1.2", [](base::Random& r, std::size_t) { return std::pow(1 - r.uniform(), -1 / 1.2); }},
      {"zipf1.0", [](base::Random& r, std::size_t n) { return 1.0 / static_cast<double>(1 + r.below(n)); }},
      {"two-sizes", [](base::Random& r, std::size_t) { return r.below(8) == 0 ? 10.0 : 1.0; }},
      {"half-silent", [](base::Random& r, std::size_t) { return r.below(2) == 0 ? 0.0 : r.exponential(1); }}};
  std::vector<Input> inputs;
  for (const auto& [name, draw] : draws)
    for (const std::size_t buckets : {128, 256, 512, 2048})
      for (const std::uint64_t seed : {11, 12}) {
        base::Random random(seed);
        Input input{fmt::format("{}_N{}_s{}", name, buckets, seed), {}};
        for (std::size_t j = 0; j < buckets; ++j) input.loads.push_back(draw(random, buckets));
        inputs.push_back(std::move(input));
      }
  return inputs;
}

// The static protocol: bucket j starts on processor j % C, mean usage is given, the true loads are known.
struct Start {
  Start(const std::vector<double>& loads, std::uint32_t processors)
      : load(loads), usage(processors), capacity(processors, 1) {
    const double total = std::accumulate(loads.begin(), loads.end(), 0.0);
    for (std::uint32_t j = 0; j < load.size(); ++j) {
      load[j] *= kStaticUsage * processors / total;
      owner.push_back(ProcessorId(j % processors));
      usage[j % processors] += load[j];
    }
  }
  Snapshot snapshot() const {
    return {.bucket_load = load,
            .owner = owner,
            .usage = usage,
            .backlog = {},
            .capacity = capacity,
            .pinned = {}};
  }
  std::vector<double> load, usage, capacity;
  std::vector<ProcessorId> owner;
};

struct Cell {
  double excess = 0, max_over_mean = 0;
  std::size_t moves = 0;
};

Cell measure(const Contender& contender, const Start& start) {
  auto policy = make_policy(contender.policy, contender.options);
  Plan plan;
  if (auto result = (*policy)->plan(start.snapshot(), plan); !result) {
    fmt::print(stderr, "bench_policy: {}\n", result.error().message);
    std::exit(1);
  }
  return {plan.max_over_mean_after / plan.lower_bound - 1, plan.max_over_mean_after, plan.moves.size()};
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) /
         std::max<double>(1, static_cast<double>(values.size()));
}

double quantile(std::vector<double> values, double part) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
}

// Of one set of inputs: a row a contender, and the mean excess by number of processors for the plot.
std::vector<Series> static_table(const char* title, const std::vector<Input>& inputs) {
  std::vector<std::vector<Cell>> cells(contenders().size());
  for (const Input& input : inputs)
    for (const std::uint32_t processors : kProcessorCounts) {
      const Start start(input.loads, processors);
      for (std::size_t c = 0; c < contenders().size(); ++c)
        cells[c].push_back(measure(contenders()[c], start));
    }
  fmt::print("\n{}: {} plans each; excess over the lower bound, %\n", title, cells[0].size());
  fmt::print(
      "policy            mean     p95   worst    moves  over lpt  moves where rsspp is as level (rsspp's)\n");
  constexpr std::size_t kRsspp = 2, kLpt = 3;
  std::vector<Series> series;
  for (std::size_t c = 0; c < contenders().size(); ++c) {
    std::vector<double> excess;
    std::vector<double> by_count(std::size(kProcessorCounts));
    std::size_t moves = 0, moves_same = 0, rsspp_same = 0;
    double over_lpt = -1;
    for (std::size_t k = 0; k < cells[c].size(); ++k) {
      const Cell& cell = cells[c][k];
      excess.push_back(100 * cell.excess);
      by_count[k % by_count.size()] += 100 * cell.excess / static_cast<double>(inputs.size());
      moves += cell.moves;
      over_lpt = std::max(over_lpt, 100 * (cell.max_over_mean / cells[kLpt][k].max_over_mean - 1));
      if (cells[kRsspp][k].excess > cell.excess + 1e-4) continue;
      moves_same += cell.moves;
      rsspp_same += cells[kRsspp][k].moves;
    }
    fmt::print("{:14} {:7.3f} {:7.3f} {:7.2f} {:8} {:9.2f}  {} ({})\n", contenders()[c].label,
               mean_of(excess), quantile(excess, 0.95), quantile(excess, 1), moves, over_lpt, moves_same,
               rsspp_same);
    series.push_back({contenders()[c].label, by_count});
  }
  return series;
}

void print_published(const std::string& folder) {
  std::map<std::string, std::vector<double>> excess;
  for (const auto& row : read_csv(folder + "/peers_static.csv"))
    if (row.size() > 9 && row[0] != "dist")
      excess[row[4]].push_back(100 * (std::stod(row[7]) / std::stod(row[6]) - 1));
  for (const auto& [name, values] : excess)
    fmt::print("published {:14} mean {:7.3f}  p95 {:7.3f}  worst {:7.2f}\n", name, mean_of(values),
               quantile(values, 0.95), quantile(values, 1));
}

// The least possible maximum, by branch and bound: for the smallest instances only.
class Exact {
 public:
  Exact(std::vector<double> loads, std::uint32_t processors)
      : loads_(std::move(loads)), level_(processors, 0), best_(1e300) {
    std::sort(loads_.rbegin(), loads_.rend());
    floor_ = std::accumulate(loads_.begin(), loads_.end(), 0.0) / processors;
    place(0, 0);
  }
  double best() const { return best_; }

 private:
  void place(std::size_t k, double worst) {
    if (worst >= best_ - 1e-12 || best_ <= floor_ * (1 + 1e-9)) return;
    if (k == loads_.size()) {
      best_ = worst;
      return;
    }
    for (std::size_t i = 0; i < level_.size(); ++i) {
      if (std::find(level_.begin(), level_.begin() + static_cast<std::ptrdiff_t>(i), level_[i]) !=
          level_.begin() + static_cast<std::ptrdiff_t>(i))
        continue;  // as good as one tried before
      const double before = level_[i];
      level_[i] += loads_[k];
      place(k + 1, std::max(worst, level_[i]));
      level_[i] = before;
    }
  }
  std::vector<double> loads_, level_;
  double best_, floor_;
};

void exact_table(const std::string& folder) {
  std::vector<std::vector<double>> ratios(contenders().size());
  for (const auto& row : read_csv(folder + "/exact_instances.csv")) {
    if (row.size() < 5 || row[0] == "dist" || row[0] == "distribution") continue;
    const auto processors = static_cast<std::uint32_t>(std::stoul(row[2]));
    std::vector<double> loads;
    for (std::size_t k = 4; k < row.size() && loads.size() < std::stoul(row[1]); ++k)
      loads.push_back(std::stod(row[k]));
    const Start start(loads, processors);
    const double optimum = Exact(start.load, processors).best() / kStaticUsage;
    for (std::size_t c = 0; c < contenders().size(); ++c)
      ratios[c].push_back(measure(contenders()[c], start).max_over_mean / optimum);
  }
  fmt::print("\nsmall instances against the exact optimum: {} each\npolicy            mean   worst\n",
             ratios[0].size());
  for (std::size_t c = 0; c < contenders().size(); ++c)
    fmt::print("{:14} {:7.4f} {:7.4f}\n", contenders()[c].label, mean_of(ratios[c]), quantile(ratios[c], 1));
}

std::vector<std::vector<double>> read_rounds(const std::string& path) {
  std::vector<std::vector<double>> rounds;
  for (const auto& row : read_csv(path)) {
    rounds.emplace_back();
    for (const std::string& cell : row) rounds.back().push_back(std::stod(cell));
  }
  return rounds;
}

std::string published_row(const std::string& folder, const std::string& kind, std::uint32_t processors) {
  for (const auto& row : read_csv(folder + "/peers_drift.csv"))
    if (row.size() > 11 && row[0] == kind && row[2] == std::to_string(processors) && row[3] == "0.85" &&
        row[4] == "0" && row[5] == "rsspp")
      return fmt::format("{:9}{:9}{:9}{:7}", row[6], row[7], row[10], row[11]);
  return "-";
}

void print_drift_row(const std::string& kind, std::uint32_t processors, const char* label,
                     const policy::DriftResult& r) {
  fmt::print("{:18} {:3}  {:16} {:7.4f}  {:7.4f}  {:7.5f} {:7.2f} {:8.4f} {:8.1f}\n", kind, processors, label,
             r.mean_max_over_mean, r.p95_max_over_mean, r.drop_fraction, r.moves_per_round,
             r.load_moved_per_round, r.plan_nanoseconds_mean / 1000);
}

struct Variant {
  const char* label;
  Contender contender;
  policy::LoadEstimatorOptions estimator;
  bool estimates;
};

std::vector<Variant> drift_variants() {
  const Contender index = contenders()[0], rsspp = contenders()[2];
  return {{"index", index, {}, true},
          {"index, raw", index, {}, false},
          {"index, smoothed", index, {.newest_weight = 0.5}, true},
          {"index, trend", index, {.newest_weight = 0.8, .trend_weight = 0.1}, true},
          {"rsspp", rsspp, {}, false}};
}

policy::DriftResult drift_of(const Variant& variant, const std::vector<std::vector<double>>& rounds,
                             std::uint32_t processors) {
  auto policy = make_policy(variant.contender.policy, variant.contender.options);
  policy::LoadEstimator estimator(variant.estimator);
  const std::vector<double> capacity(processors, 1);
  std::vector<ProcessorId> owner(rounds[0].size());
  if (!assign_by_capacity(capacity, owner)) std::exit(1);
  auto result =
      policy::run_drift(rounds, capacity, owner, {}, **policy, variant.estimates ? &estimator : nullptr);
  if (!result) {
    fmt::print(stderr, "bench_policy: {}\n", result.error().message);
    std::exit(1);
  }
  return *result;
}

// Between two rounds, the mean of both: what a period of half the length would have seen.
std::vector<std::vector<double>> twice_as_often(const std::vector<std::vector<double>>& rounds) {
  std::vector<std::vector<double>> out;
  for (std::size_t r = 0; r < rounds.size(); ++r) {
    out.push_back(rounds[r]);
    if (r + 1 == rounds.size()) break;
    std::vector<double> between(rounds[r].size());
    for (std::size_t j = 0; j < between.size(); ++j) between[j] = 0.5 * (rounds[r][j] + rounds[r + 1][j]);
    out.push_back(std::move(between));
  }
  return out;
}

void drift_table(const std::string& folder, const std::string& svg) {
  fmt::print(
      "\ndrift, usage 0.85, 512 buckets\nkind                 C  policy           "
      "max/mean     p95    drops   moves     load  plan us\n");
  std::vector<std::string> groups;
  std::vector<Series> moves = {{"index", {}}, {"rsspp", {}}}, levels = {{"index", {}}, {"rsspp", {}}};
  for (const char* kind : {"rw_lognormal", "rw_lognormal_fast", "rw_zipf1.1", "hop_elephant", "flows"}) {
    const auto rounds = read_rounds(fmt::format("{}/drift/{}_N512.csv", folder, kind));
    if (rounds.empty()) continue;
    for (const std::uint32_t processors : {8u, 32u}) {
      groups.push_back(fmt::format("{} {}", kind, processors));
      for (const Variant& variant : drift_variants()) {
        const auto result = drift_of(variant, rounds, processors);
        print_drift_row(kind, processors, variant.label, result);
        const bool index = std::strcmp(variant.label, "index") == 0;
        if (!index && std::strcmp(variant.label, "rsspp") != 0) continue;
        moves[index ? 0 : 1].values.push_back(result.moves_per_round);
        levels[index ? 0 : 1].values.push_back(100 *
                                               (result.mean_max_over_mean / result.mean_lower_bound - 1));
      }
      print_drift_row(kind, processors, "index, 2x as often",
                      drift_of(drift_variants()[0], twice_as_often(rounds), processors));
      fmt::print("{:18} {:3}  {:16} {}\n", kind, processors, "rsspp published",
                 published_row(folder, kind, processors));
    }
  }
  if (svg.empty() || groups.empty()) return;
  write_file(svg + "/policy-drift-moves.svg", bars("Moves a round under drift", "moves", groups, moves));
  write_file(svg + "/policy-drift-level.svg",
             bars("Busiest processor above the lower bound under drift", "%", groups, levels));
}

double plan_microseconds(Policy& policy, const Start& start, Plan& plan) {
  policy.forget();
  const auto begin = std::chrono::steady_clock::now();
  if (!policy.plan(start.snapshot(), plan)) std::exit(1);
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
}

void time_table() {
  fmt::print("\ntime to plan, us, medians of 101 interleaved plans (ratio to rsspp)\n");
  struct Size {
    std::size_t buckets;
    std::uint32_t processors;
  };
  for (const Size size : {Size{512, 8}, Size{4096, 64}})
    for (const double spread : {1.0, 2.0}) {
      base::Random random(1);
      std::vector<double> loads(size.buckets);
      for (double& load : loads) load = std::exp(spread * random.normal());
      const Start start(loads, size.processors);
      std::vector<std::unique_ptr<Policy>> policies;
      std::vector<std::vector<double>> times(contenders().size());
      Plan plan;
      for (const Contender& c : contenders()) policies.push_back(make_policy(c.policy, c.options).value());
      for (int k = 0; k < 101; ++k)
        for (std::size_t c = 0; c < policies.size(); ++c)
          times[c].push_back(plan_microseconds(*policies[c], start, plan));
      fmt::print("N={} C={} lognormal {:.0f}:", size.buckets, size.processors, spread);
      const double rsspp = quantile(times[2], 0.5);
      for (std::size_t c = 0; c < policies.size(); ++c)
        fmt::print("  {} {:.1f} ({:.2f})", contenders()[c].label, quantile(times[c], 0.5),
                   quantile(times[c], 0.5) / rsspp);
      fmt::print("\n");
    }
}

int run(const std::string& folder, const std::string& svg) {
  const auto inputs = read_static(folder);
  if (inputs.empty()) fmt::print("{}: no loads there; generated loads only\n", folder);
  if (!inputs.empty()) {
    const auto series = static_table("static loads of the files", inputs);
    print_published(folder);
    exact_table(folder);
    if (!svg.empty()) {
      std::vector<std::string> groups;
      for (const std::uint32_t processors : kProcessorCounts)
        groups.push_back(fmt::format("C={}", processors));
      write_file(svg + "/policy-static.svg",
                 bars("Busiest processor above the lower bound, one plan", "%", groups, series));
    }
  }
  static_table("static loads, generated and unseen", generate_unseen());
  drift_table(folder, svg);
  time_table();
  return 0;
}

}  // namespace
}  // namespace evenkeel::bench

int main(int argc, char** argv) {
  std::string loads = "../shared/loads", svg;
  for (int k = 1; k + 1 < argc; k += 2) {
    if (std::strcmp(argv[k], "--loads") == 0) loads = argv[k + 1];
    if (std::strcmp(argv[k], "--svg") == 0) svg = argv[k + 1];
  }
  return evenkeel::bench::run(loads, svg);
}
