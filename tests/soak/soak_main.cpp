// The program behind `./dev soak`: engines with real threads, by the library's interface, under everything at
// once: buckets that move at random (all of them at times), workers that are emptied and filled again, floods
// of connections far above the limit, an elephant, silence, a packet time that jumps an hour ahead and back.
// Beside the engine that runs all the time, others are made, run and destroyed, with other numbers of workers
// and queueing models, that drop what they cannot serve.
//
// Checked: the order of each connection's packets, by the numbers that they carry; that every state is
// destroyed once; the engine's own laws; and that memory stays flat: its greatest size in the last quarter is
// not above that in the second one, but for a fiftieth and 16 MB: one of the other engines more, or less, at
// its largest.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "evenkeel/engine.h"
#include "soak/storm_source.h"

namespace evenkeel::soak {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Arguments {
  double minutes = 10;
  std::uint64_t packets = 0;
  std::uint64_t seed = 1;
  std::size_t leak_bytes = 0;
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryIsOurs = false;  // a sanitizer keeps what was freed
#else
constexpr bool kMemoryIsOurs = true;
#endif

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

// What any engine's handlers found, all together.
struct Findings {
  std::atomic<std::uint64_t> disorder{0}, opened{0}, closed{0}, fired{0};
  std::atomic<std::int64_t> states{0};  // that live
  std::size_t leak_bytes = 0;           // to lose for each connection: shows that the check can fail
};

class Witness {
 public:
  struct State {
    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    std::unique_ptr<std::uint64_t> next;  // memory of its own, so that a lost state is lost memory
  };
  static constexpr std::uint32_t kTimers = 2;

  Witness(Findings& findings, bool may_drop) : findings_(&findings), may_drop_(may_drop) {}

  void on_open(Connection<State>& connection, const Packet& packet) {
    ++findings_->opened;
    ++findings_->states;
    connection->next = std::make_unique<std::uint64_t>(StormSource::number_of(packet));
    if (findings_->leak_bytes != 0) lose();
    connection.start_timer(10s, 1);
  }
  void on_packet(Connection<State>& connection, const Packet& packet) {
    const std::uint64_t number = StormSource::number_of(packet);
    const bool in_order = may_drop_ ? number >= *connection->next : number == *connection->next;
    if (!in_order) ++findings_->disorder;
    *connection->next = number + 1;
    connection.start_timer(5ms, 0);
  }
  void on_timer(Connection<State>& connection, std::uint32_t timer) {
    ++findings_->fired;
    if (timer == 1) connection.start_timer(10s, 1);
  }
  void on_close(Connection<State>&, CloseReason) {
    ++findings_->closed;
    --findings_->states;
  }

 private:
  void lose() {
    auto* const lost = static_cast<volatile char*>(std::malloc(findings_->leak_bytes));
    for (std::size_t i = 0; lost != nullptr && i < findings_->leak_bytes; i += 512) lost[i] = 1;
  }

  Findings* findings_;
  bool may_drop_;
};

// Moves at random, whatever the loads: none, a few, all; empties a worker, and leaves it so for some rounds.
class RestlessPolicy final : public Policy {
 public:
  explicit RestlessPolicy(std::uint64_t seed) : random_(seed) {}
  std::string_view name() const override { return "restless"; }

  Result<void> plan(const Snapshot& snapshot, Plan& plan) override {
    plan.moves.clear();
    const std::size_t workers = snapshot.capacity.size();
    if (workers == 1) return {};
    if (random_.below(16) == 0) out_of_service_ = random_.below(workers + 1);  // workers: none is
    const std::uint64_t kind = random_.below(8);
    const std::uint64_t odds = kind == 0 ? 1 : kind < 6 ? 32 : 0;  // one bucket in so many; 0: none
    for (std::size_t bucket = 0; bucket < snapshot.owner.size(); ++bucket) {
      const ProcessorId from = snapshot.owner[bucket];
      const bool must = from.value() == out_of_service_;
      if (!must && (odds == 0 || random_.below(odds) != 0)) continue;
      auto to = static_cast<std::uint32_t>(random_.below(workers));
      if (to == out_of_service_) to = (to + 1) % static_cast<std::uint32_t>(workers);
      if (to != from.value())
        plan.moves.push_back({BucketId(static_cast<std::uint32_t>(bucket)), from, ProcessorId(to)});
    }
    return {};
  }

 private:
  base::Random random_;
  std::uint64_t out_of_service_ = ~std::uint64_t{0};
};

Result<Engine<Witness>> make_engine(Findings& findings, std::shared_ptr<StormSource> source,
                                    std::uint32_t workers, std::uint64_t seed) {
  const bool may_drop = !source->can_wait();
  const Options options{.sources = {std::move(source)},
                        .workers = workers,
                        .buckets = 256,
                        .connections_max = 10'000,
                        .idle_timeout = 20s,
                        .own_policy = std::make_shared<RestlessPolicy>(seed),
                        .rebalance_interval = 5ms,
                        .queueing = seed % 2 == 0 ? "fair" : "fifo",
                        .pin = std::vector<std::uint32_t>{}};
  return Engine<Witness>::make(options, [&](ProcessorId) { return Witness(findings, may_drop); });
}

std::string broken_law(const Report& report) {
  const PacketCounts& packets = report.packets;
  if (packets.received !=
      packets.processed + total(packets.malformed) + total(packets.unclassified) + total(packets.dropped))
    return "conservation: packets are missing or counted twice";
  if (report.order_violations != 0) return "order: the engine saw packets out of order";
  if (report.ownership_violations != 0) return "ownership: a bucket was touched by another than its worker";
  if (report.timers.fired_off_owner != 0) return "ownership: a timer fired off its owner";
  return "";
}

struct Totals {
  std::uint64_t engines = 0, packets = 0, moves = 0, evicted = 0, dropped = 0;
  std::string broken;  // the first law

  void add(const Result<Report>& report) {
    if (!report) {
      if (broken.empty()) broken = report.error().message;
      return;
    }
    ++engines;
    packets += report->packets.received;
    moves += report->moves;
    evicted += report->connections.evicted;
    dropped += total(report->packets.dropped);
    if (broken.empty()) broken = broken_law(*report);
  }
};

// Engines that come and go, until `ended`.
void run_short_engines(Findings& findings, std::uint64_t seed, const std::atomic<bool>& ended,
                       Totals& totals) {
  base::Random random(seed);
  while (!ended.load(std::memory_order_relaxed) && totals.broken.empty()) {
    auto source = std::make_shared<StormSource>(StormOptions{
        .seed = random.next(), .packets = 20'000 + random.below(80'000), .can_wait = random.below(2) == 0});
    const auto workers = static_cast<std::uint32_t>(1 + random.below(4));
    auto engine = make_engine(findings, std::move(source), workers, random.next());
    if (!engine) return totals.add(engine.error());
    if (random.below(4) == 0) engine->stop();  // before it has begun
    totals.add(engine->run());
  }
}

// The greatest size of memory in each quarter of the run.
class MemoryCurve {
 public:
  void sample(double progress) {
    const auto quarter = static_cast<std::size_t>(std::clamp(progress * 4, 0.0, 3.0));
    largest_[quarter] = std::max(largest_[quarter], resident_bytes());
  }
  std::uint64_t first() const { return largest_[1]; }
  std::uint64_t last() const { return largest_[3]; }
  bool flat() const { return last() <= first() + first() / 50 + (16u << 20); }

 private:
  std::array<std::uint64_t, 4> largest_{};
};

double megabytes(std::uint64_t bytes) { return static_cast<double>(bytes) / 1e6; }

// Watches until the run is done; tells each minute how it stands.
void watch(const Arguments& arguments, const StormSource& source, MemoryCurve& memory) {
  const auto begin = Clock::now();
  int minutes_told = 0;
  for (double progress = 0; progress < 1 && !source.is_closed();) {
    std::this_thread::sleep_for(5ms);
    const std::chrono::duration<double, std::ratio<60>> minutes = Clock::now() - begin;
    progress = arguments.packets != 0
                   ? static_cast<double>(source.handed_out()) / static_cast<double>(arguments.packets)
                   : minutes.count() / arguments.minutes;
    memory.sample(std::min(progress, 1.0));
    if (minutes.count() < minutes_told + 1) continue;
    fmt::print("{:3} min: {:.1f} MB, {} packets\n", ++minutes_told, megabytes(resident_bytes()),
               source.handed_out());
    std::fflush(stdout);
  }
}

int tell(const Totals& totals, const Findings& findings, const MemoryCurve& memory) {
  fmt::print(
      "{} engines, {} packets, {} dropped, {} connections, {} evicted, {} timers fired, {} moves of buckets\n"
      "memory at most {:.1f} MB in the second quarter, {:.1f} MB in the last\n",
      totals.engines, totals.packets, totals.dropped, findings.opened.load(), totals.evicted,
      findings.fired.load(), totals.moves, megabytes(memory.first()), megabytes(memory.last()));
  std::string broken = totals.broken;
  if (findings.disorder != 0)
    broken = fmt::format("order: {} packets out of order", findings.disorder.load());
  if (findings.states != 0) broken = fmt::format("states: {} were not destroyed", findings.states.load());
  if (kMemoryIsOurs && !memory.flat()) broken = "boundedness: memory grew";
  fmt::print("{}\n", broken.empty() ? "every law held" : broken);
  return broken.empty() ? 0 : 1;
}

int run(const Arguments& arguments) {
  Findings findings;
  findings.leak_bytes = arguments.leak_bytes;
  Totals totals, short_totals;
  MemoryCurve memory;
  {
    auto source = std::make_shared<StormSource>(StormOptions{
        .seed = arguments.seed, .packets = arguments.packets != 0 ? arguments.packets : ~std::uint64_t{0}});
    auto engine = make_engine(findings, source, 3, arguments.seed * 2);
    if (!engine) {
      fmt::print(stderr, "soak: {}\n", engine.error().message);
      return 1;
    }
    if (auto started = engine->start(); !started) {
      fmt::print(stderr, "soak: {}\n", started.error().message);
      return 1;
    }
    std::atomic<bool> ended{false};
    std::thread short_engines([&] { run_short_engines(findings, arguments.seed + 1, ended, short_totals); });
    watch(arguments, *source, memory);
    source->finish();
    totals.add(engine->wait());
    ended = true;
    short_engines.join();
  }
  totals.engines += short_totals.engines;
  totals.packets += short_totals.packets;
  totals.moves += short_totals.moves;
  totals.evicted += short_totals.evicted;
  totals.dropped += short_totals.dropped;
  if (totals.broken.empty()) totals.broken = short_totals.broken;
  return tell(totals, findings, memory);
}

}  // namespace
}  // namespace evenkeel::soak

int main(int argc, char** argv) {
  evenkeel::soak::Arguments arguments;
  CLI::App app{
      "Runs engines under floods, moves, workers that come and go, and clocks that jump; checks the laws, "
      "and "
      "that memory stays flat",
      "./dev soak"};
  app.add_option("minutes", arguments.minutes, "how long")
      ->capture_default_str()
      ->check(CLI::Range(1e-3, 1e5));
  app.add_option("--packets", arguments.packets,
                 "instead: until the engine that runs all the time had so many");
  app.add_option("--seed", arguments.seed, "of traffic, moves and engines")->capture_default_str();
  app.add_option("--leak", arguments.leak_bytes,
                 "lose so many bytes for each connection, to see that it is noticed");
  CLI11_PARSE(app, argc, argv);
  return evenkeel::soak::run(arguments);
}
