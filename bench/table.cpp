// The connection table against rte_hash, absl, Boost and tsl: lookups with a counter update in batches of 32,
// memory, and the slowest insert. All contenders are built in one process and asked in turn, round by round;
// a cell is the median of its rounds.
//
//   bench_table [--full] [--huge] [--connections N]… [--rounds N]
//
// The bar (docs/decisions/connection-table.md): by geometric mean over the cells at most 0.75 times the best
// peer of each cell, no cell above 0.9, at most 96 bytes a connection, at most 64 entries moved by an insert.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "bench/table_contenders.h"

namespace evenkeel::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kMeanRatioMax = 0.75;
constexpr double kCellRatioMax = 0.9;
constexpr double kBytesMax = 96;
constexpr int kMovedMax = 64;
constexpr std::uint32_t kManyTables = 1'024;

// A turn of a contender: lookups that bring its memory back into the caches, then those that count.
constexpr std::size_t kWarming = 1 << 17;
constexpr std::size_t kTimed = 1 << 18;
constexpr std::size_t kQueries = 1 << 21;

struct Options {
  std::vector<std::uint32_t> connections{100'000, 1'000'000};
  int rounds = 15;
};

// What is known of one contender at one number of connections.
struct Built {
  std::unique_ptr<Contender> contender;
  double slowest_insert_us = 0;
  int moved_max = -1;
};

struct Verdict {
  std::vector<double> ratios_one_table;
  std::vector<double> ratios_many_tables;
  std::array<double, 2> bytes_max{};  // one table, many tables
  int moved_max = 0;
};

double nanoseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

double geometric_mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += std::log(value);
  return std::exp(sum / static_cast<double>(values.size()));
}

Built build(std::unique_ptr<Contender> contender, std::uint32_t connections) {
  Built built{std::move(contender)};
  for (std::uint32_t i = 0; i < connections; ++i) {
    const Key key = key_of(i);
    const auto start = Clock::now();
    built.contender->insert(key);
    built.slowest_insert_us = std::max(built.slowest_insert_us, nanoseconds_since(start) / 1'000);
    built.moved_max = std::max(built.moved_max, built.contender->moved());
  }
  return built;
}

// The first two are ours; the others are the peers that this program was built with.
std::vector<Built> build_all(std::uint32_t connections) {
  std::vector<Built> all;
  all.push_back(build(std::make_unique<Evenkeel>(connections, 1, page_size), connections));
  all.push_back(build(std::make_unique<Evenkeel>(connections, kManyTables, page_size), connections));
#ifdef EVENKEEL_HAVE_DPDK
  all.push_back(build(std::make_unique<Dpdk>(connections), connections));
#endif
#ifdef EVENKEEL_HAVE_ABSL
  all.push_back(build(std::make_unique<Absl>(), connections));
#endif
#ifdef EVENKEEL_HAVE_BOOST
  all.push_back(build(std::make_unique<Boost>(), connections));
#endif
#ifdef EVENKEEL_HAVE_TSL
  all.push_back(build(std::make_unique<Tsl>(), connections));
#endif
  return all;
}

// Time that this thread had a CPU: on a busy machine other programs' turns do not count.
double cpu_nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

double time_turn(Contender& contender, std::span<const Key> queries) {
  CHECK(contender.look_up(queries.first(kWarming)) == kWarming);
  const double start = cpu_nanoseconds();
  CHECK(contender.look_up(queries.subspan(kWarming, kTimed)) == kTimed);
  return (cpu_nanoseconds() - start) / kTimed;
}

// Nanoseconds a lookup of each contender: the median over rounds, in each of which all of them take a turn.
std::vector<double> measure(std::vector<Built>& all, std::span<const Key> queries, int rounds) {
  constexpr std::size_t kTurn = kWarming + kTimed;
  std::vector<std::vector<double>> times(all.size());
  for (int round = 0; round < rounds; ++round) {
    const std::size_t from = static_cast<std::size_t>(round) * kTurn % (kQueries - kTurn);
    for (std::size_t i = 0; i < all.size(); ++i) {
      times[i].push_back(time_turn(*all[i].contender, queries.subspan(from, kTurn)));
    }
  }
  std::vector<double> medians(all.size());
  std::transform(times.begin(), times.end(), medians.begin(), median);
  return medians;
}

void run_size(std::uint32_t connections, const Options& options, Verdict& verdict) {
  std::vector<Built> all = build_all(connections);
  const auto uniform = measure(all, make_queries(connections, kQueries, Access::kUniform, 1), options.rounds);
  const auto zipf = measure(all, make_queries(connections, kQueries, Access::kZipf, 2), options.rounds);
  std::printf("%u connections\n  %-27s %10s %10s %12s %18s %8s\n", connections, "", "uniform ns", "Zipf ns",
              "bytes each", "slowest insert us", "moved");
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::printf("  %-27s %10.1f %10.1f %12.1f %18.1f %8s\n", all[i].contender->name().c_str(), uniform[i],
                zipf[i], all[i].contender->bytes() / connections, all[i].slowest_insert_us,
                all[i].moved_max < 0 ? "-" : std::to_string(all[i].moved_max).c_str());
  }
  for (std::size_t i = 0; i < 2; ++i) {
    verdict.bytes_max[i] = std::max(verdict.bytes_max[i], all[i].contender->bytes() / connections);
    verdict.moved_max = std::max(verdict.moved_max, all[i].moved_max);
  }
  if (all.size() == 2) return;
  for (const bool is_zipf : {false, true}) {
    const std::vector<double>& cell = is_zipf ? zipf : uniform;
    const double best_peer = *std::min_element(cell.begin() + 2, cell.end());
    verdict.ratios_one_table.push_back(cell[0] / best_peer);
    verdict.ratios_many_tables.push_back(cell[1] / best_peer);
    std::printf("  of the best peer, %s: one table %.2f, %u tables %.2f\n", is_zipf ? "Zipf" : "uniform",
                cell[0] / best_peer, kManyTables, cell[1] / best_peer);
  }
  std::fflush(stdout);
}

const char* met(bool good) { return good ? "met" : "MISSED"; }

void print_ratios(const char* what, const std::vector<double>& ratios) {
  const double mean = geometric_mean(ratios);
  const double worst = *std::max_element(ratios.begin(), ratios.end());
  std::printf("%s: geometric mean %.2f of the best peer (bar %.2f: %s), worst cell %.2f (bar %.1f: %s)\n",
              what, mean, kMeanRatioMax, met(mean <= kMeanRatioMax), worst, kCellRatioMax,
              met(worst <= kCellRatioMax));
}

void print_verdict(const Verdict& verdict) {
  if (verdict.ratios_one_table.empty()) {
    std::printf("no peer is installed: ./dev setup bench\n");
  } else {
    print_ratios("one table", verdict.ratios_one_table);
    print_ratios("1,024 tables", verdict.ratios_many_tables);
  }
  std::printf("bytes a connection: at most %.1f in one table (bar %.0f: %s), %.1f in %u tables\n",
              verdict.bytes_max[0], kBytesMax, met(verdict.bytes_max[0] <= kBytesMax), verdict.bytes_max[1],
              kManyTables);
  std::printf("entries moved by an insert: at most %d (bar %d: %s)\n", verdict.moved_max, kMovedMax,
              met(verdict.moved_max <= kMovedMax));
}

int run(int argc, char** argv) {
  CLI::App app{"Connection table against its peers"};
  Options options;
  bool full = false, huge = false;
  app.add_flag("--full", full, "10 million connections too, 31 rounds: some 6 GB of memory, several minutes");
  app.add_flag("--huge", huge, "transparent huge pages for all contenders (default: ordinary pages)");
  app.add_option("--connections", options.connections, "numbers of connections to measure");
  app.add_option("--rounds", options.rounds, "rounds of each cell")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  if (full) options = {{100'000, 1'000'000, 10'000'000}, 31};
  if (huge) page_size = base::PageSize::kHuge;
#ifdef EVENKEEL_HAVE_DPDK
  if (!start_dpdk()) {
    std::fprintf(stderr, "bench_table: DPDK does not start\n");
    return 1;
  }
#endif
  std::printf("lookup with counter update, batches of %zu, 16-byte keys, 64-byte values, %s pages\n", kBatch,
              huge ? "huge" : "ordinary");
  Verdict verdict;
  for (const std::uint32_t connections : options.connections) run_size(connections, options, verdict);
  print_verdict(verdict);
  return 0;
}

}  // namespace
}  // namespace evenkeel::bench

int main(int argc, char** argv) { return evenkeel::bench::run(argc, argv); }
