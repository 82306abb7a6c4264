// The engine against what authors of packet software would use instead: DPDK's rte_distributor, its event
// devices, bare rings, and a graph of oneTBB.
//
//   bench_engine [--rounds N]       the contest, and the engine under load
//   bench_engine --list             what can be run alone
//   bench_engine --only NAME N      N bursts of one of these on one thread: for counting instructions
//
// Handoff: the same descriptors, in bursts of 32, from one core to another; medians of rounds in which all
// contenders ran in turn. How far the two cores are apart changes on virtual machines, so it is measured
// before and after each round, and rounds in which it changed do not count. Times are ticks of the time-stamp
// counter.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "bench/engine_handoff.h"
#include "bench/engine_loads.h"
#include "bench/engine_own.h"
#include "bench/table_data.h"
#include "engine/threads.h"

#ifdef EVENKEEL_HAVE_DPDK
#include "bench/engine_dpdk.h"
#endif

namespace evenkeel::bench {
namespace {

constexpr std::size_t kDescriptors = 16'384;
constexpr std::size_t kConnections = 1 << 20;
// Of each contender in a round: shorter than the time for which the system lets a thread run, so that on a
// busy machine some rounds are undisturbed.
constexpr std::uint64_t kHandoffs = 32'768;
constexpr std::int64_t kContestSecondsMax = 30;

template <typename Value>
Value quantile(std::vector<Value> values, double fraction) {
  if (values.empty()) return {};
  const auto at = static_cast<std::ptrdiff_t>(fraction * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

std::vector<ConnectionKey> make_keys() {
  std::vector<ConnectionKey> keys;
  base::Random random(7);
  for (std::uint32_t i = 0; i < kConnections; ++i) keys.push_back(key_of_frame(frame_of(i)));
  for (std::size_t i = keys.size(); i > 1; --i) std::swap(keys[i - 1], keys[random.below(i)]);
  return keys;
}

// As many packets' keys, of connections chosen by Zipf's law.
std::vector<ConnectionKey> draw_by_zipf(std::span<const ConnectionKey> keys) {
  std::vector<ConnectionKey> drawn;
  base::Random random(11);
  const Zipf zipf(keys.size(), 1.1);
  for (std::size_t i = 0; i < keys.size(); ++i) drawn.push_back(keys[zipf.rank(random) - 1]);
  return drawn;
}

struct Row {
  std::unique_ptr<Handoff> handoff;
  std::vector<double> two, one;  // ticks a packet on two threads, on one, by round
};

const Row* find(const std::vector<Row>& rows, const std::string& beginning) {
  for (const Row& row : rows) {
    if (row.handoff->name().starts_with(beginning) && !row.two.empty()) return &row;
  }
  return nullptr;
}

constexpr const char* kConnectionsName = "evenkeel: and connections, counters";
constexpr const char* kZipfName = "evenkeel: the same by Zipf's law";

class Contest {
 public:
  explicit Contest(const Cpus& cpus)
      : cpus_(cpus),
        hasher_(must(packet::Hasher::make("toeplitz", ""))),
        packets_(kDescriptors),
        keys_(make_keys()),
        zipf_keys_(draw_by_zipf(keys_)) {
    std::vector<Packet*> batch;
    for (std::size_t i = 0; i < packets_.size(); ++i) {
      packets_[i].key = keys_[i];
      packets_[i].wire_length = packets_[i].captured_length = 64;
      packets_[i].block = &ledger_;
      batch.push_back(&packets_[i]);
    }
    hasher_.hash(batch);
    add(std::make_unique<BareRing>());
    add(std::make_unique<RouterHandoff>(hasher_));
    for (const char* name : {kConnectionsName, kZipfName}) {
      auto worker = std::make_unique<WorkerHandoff>(name, hasher_, keys_);
      workers_.push_back(worker.get());
      add(std::move(worker));
    }
  }

  void add_peers() {
#ifdef EVENKEEL_HAVE_TBB
    add(std::make_unique<TbbGraph>());
#endif
#ifdef EVENKEEL_HAVE_DPDK
    if (start_dpdk(cpus_)) {
      add(std::make_unique<RteRing>());
      add(std::make_unique<Distributor>(packets_));
      for (const char* driver : {"sw", "dsw", "opdl"}) add(std::make_unique<EventDevice>(driver));
    } else {
      std::puts("DPDK cannot be started here: its contenders are missing");
    }
#endif
  }

  // Each connection is opened, so that all that follows finds it.
  void open_connections() {
    for (WorkerHandoff* worker : workers_) run_on_one(*worker, packets_, kConnections);
    workers_[1]->take_keys_from(zipf_keys_);
  }
  double bytes_per_connection() const { return workers_[0]->bytes_per_connection(); }

  // As many as fit into kContestSecondsMax.
  void run_rounds(int wanted) {
    const std::int64_t end_ns =
        base::monotonic_nanoseconds() + kContestSecondsMax * base::kNanosecondsPerSecond;
    while (static_cast<int>(rounds_.size()) < wanted && base::monotonic_nanoseconds() < end_ns) run_round();
  }

  void print() const {
    std::printf("%-42s %10s %9s %10s %12s\n", "ticks a packet, median of rounds", "two cores", "least",
                "quartiles", "one core");
    for (const Row& row : rows_) {
      if (row.two.empty()) continue;
      std::printf("%-42s %10.1f %9.0f %5.0f-%4.0f ", row.handoff->name().c_str(), quantile(row.two, 0.5),
                  quantile(row.two, 0.0), quantile(row.two, 0.25), quantile(row.two, 0.75));
      row.one.empty() ? std::printf("%12s\n", "-") : std::printf("%12.1f\n", quantile(row.one, 0.5));
    }
    std::printf("%zu rounds; cores were %s\n", rounds_.size(), distances().c_str());
  }

  void print_bars() const {
    bar("hash, bucket, handoff", "evenkeel: hash", "rte_distributor", 0.4);
    bar("hash, bucket, handoff", "evenkeel: hash", "eventdev dsw", 0.7);
    bar("and connections, counters", kConnectionsName, "rte_distributor", 1.0);
    bar("the same by Zipf's law", kZipfName, "rte_distributor", 1.0);
  }

  // Alone, for counting instructions.
  int run_only(const std::string& name, std::uint64_t bursts) {
    if (name.starts_with("evenkeel-connections")) open_connections();
    for (Row& row : rows_) {
      if (short_name(row) == name) return run_on_one(*row.handoff, packets_, bursts * kBatch), 0;
    }
    std::fprintf(stderr, "no contender '%s': see --list\n", name.c_str());
    return 2;
  }

 private:
  static std::string short_name(const Row& row) {
    const std::string name = row.handoff->name();
    return name.starts_with("bare")             ? "bare-ring"
           : name.starts_with("evenkeel: hash") ? "evenkeel-handoff"
           : name == kConnectionsName           ? "evenkeel-connections"
                                                : "evenkeel-connections-zipf";
  }

  void add(std::unique_ptr<Handoff> handoff) {
    if (handoff->usable()) {
      rows_.push_back({std::move(handoff), {}, {}});
    } else {
      std::printf("%s cannot be set up here: left out\n", handoff->name().c_str());
    }
  }

  void run_round() {
    const Distance before = distance_of(round_trip_ns(cpus_));
    std::vector<double> two, one;
    for (Row& row : rows_) {
      pin(cpus_[0]);
      // A turn that is not counted: each then finds the caches as it left them itself, and not as the
      // contender before it did.
      run_on_two(*row.handoff, packets_, kDescriptors, cpus_);
      two.push_back(run_on_two(*row.handoff, packets_, kHandoffs, cpus_));
      one.push_back(runs_on_one(row) ? run_on_one(*row.handoff, packets_, kHandoffs) : 0);
    }
    const Distance after = distance_of(round_trip_ns(cpus_));
    if (before != after || (!rounds_.empty() && rounds_.front() != before)) return;
    rounds_.push_back(before);
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      rows_[i].two.push_back(two[i]);
      if (one[i] != 0) rows_[i].one.push_back(one[i]);
    }
  }

  // The distributor's calls for workers wait for its other half, and a graph has threads of its own.
  static bool runs_on_one(const Row& row) {
    return !row.handoff->takes_by_itself() && !row.handoff->name().starts_with("rte_distributor");
  }

  std::string distances() const {
    return rounds_.empty() ? "never the same before and after a round"
                           : kDistanceNames[static_cast<std::size_t>(rounds_.front())];
  }

  void bar(const char* what, const char* own, const char* peer, double most) const {
    const Row* const a = find(rows_, own);
    const Row* const b = find(rows_, peer);
    if (a == nullptr || b == nullptr)
      return static_cast<void>(std::printf("%s / %s: not measured\n", what, peer));
    std::vector<double> ratios;
    for (std::size_t i = 0; i < a->two.size(); ++i) ratios.push_back(a->two[i] / b->two[i]);
    const double ratio = quantile(ratios, 0.5);
    std::printf("%-26s %.3f times %-16s (bar: at most %.1f) %s\n", what, ratio, peer, most,
                ratio <= most ? "met" : "MISSED");
  }

  const Cpus cpus_;
  const packet::Hasher hasher_;
  std::vector<Packet> packets_;
  const std::vector<ConnectionKey> keys_, zipf_keys_;
  PacketBlock ledger_;
  std::vector<Row> rows_;
  std::vector<WorkerHandoff*> workers_;
  std::vector<Distance> rounds_;
};

void say(const char* what, double value, const char* unit, double bar, bool met) {
  std::printf("%-44s %8.2f %s (bar %g) %s\n", what, value, unit, bar, met ? "met" : "MISSED");
}

// --- Under load

std::vector<Frame> make_frames(std::uint32_t count) {
  std::vector<Frame> frames;
  for (std::uint32_t i = 0; i < count; ++i) frames.push_back(frame_of(i));
  return frames;
}

std::vector<std::uint32_t> uniform_list(std::uint32_t connections) {
  base::Random random(3);
  std::vector<std::uint32_t> list(65'536);
  for (auto& one : list) one = static_cast<std::uint32_t>(random.below(connections));
  return list;
}

// 15 of 16 packets are of connections whose buckets the last worker owns at the start.
std::vector<std::uint32_t> skewed_list(std::span<const Frame> frames) {
  const auto hasher = must(packet::Hasher::make("toeplitz", ""));
  std::vector<std::uint32_t> of_worker[2];
  for (std::uint32_t i = 0; i < frames.size(); ++i)
    of_worker[hasher.hash_one(key_of_frame(frames[i]), false) & 1].push_back(i);
  base::Random random(5);
  std::vector<std::uint32_t> list(65'536);
  for (auto& one : list) {
    const auto& from = of_worker[random.below(16) != 0 ? 1 : 0];
    one = from[random.below(from.size())];
  }
  return list;
}

// Of runs that took turns: machines have faster and slower minutes.
double median_ratio(const Load& of, const Load& to, std::span<const Frame> frames, const Cpus& cpus) {
  std::vector<double> ratios;
  for (int i = 0; i < 5; ++i) {
    const double below = LoadRun(to, frames, cpus)().packets_per_second;
    ratios.push_back(LoadRun(of, frames, cpus)().packets_per_second / below);
  }
  return quantile(ratios, 0.5);
}

void run_loads(const Cpus& cpus) {
  const std::vector<Frame> frames = make_frames(2'000);
  Load two, one;
  two.list = one.list = uniform_list(2'000);
  one.workers = 1;
  const double gain = median_ratio(two, one, frames, cpus);
  say("two workers / one, 1 us a packet", gain, "times", 1.9, gain >= 1.9);
  std::printf("  (on two processors the dispatcher takes its share of one of them)\n");

  Load index, fixed;
  index.list = fixed.list = skewed_list(frames);
  fixed.policy = "static";
  const double win = median_ratio(index, fixed, frames, cpus);
  say("skewed load, index / static", win, "times", 1.5, win >= 1.5);
}

void run_pauses(const Cpus& cpus) {
  const std::vector<Frame> frames = make_frames(2'000);
  Load load;
  load.list = uniform_list(2'000);
  load.policy = "";
  load.buckets = 64;
  load.handler_us = 0.1;
  load.duration_ns = 1'500'000'000;
  const double us = 1e-3 / base::CycleClock::ticks_per_nanosecond();
  std::vector<double> pauses;
  std::printf("time between two packets of a bucket, us, where it stayed and where it moved in between\n");
  for (int round = 0; round < 5; ++round) {
    const Gaps gaps = LoadRun(load, frames, cpus)().gaps;
    const auto at = [us](const std::vector<std::uint64_t>& of, double fraction) {
      return static_cast<double>(quantile(of, fraction)) * us;
    };
    pauses.push_back(at(gaps.moved, 0.99));
    std::printf("  stayed: median %5.1f  p99 %5.1f (%zu)   moved: median %5.1f  p99 %5.1f (%zu)\n",
                at(gaps.stayed, 0.5), at(gaps.stayed, 0.99), gaps.stayed.size(), at(gaps.moved, 0.5),
                pauses.back(), gaps.moved.size());
  }
  const double pause = quantile(pauses, 0.5);
  say("pause of a moved bucket, p99, median of rounds", pause, "us", 100, pause < 100);
}

// Threads that wait for each other get nowhere while one of them may not run.
void warn_if_busy() {
  double load = 0;
  if (getloadavg(&load, 1) != 1 || load < 0.5) return;
  std::printf(
      "This machine is busy (load %.1f): of what follows rely on the column of one core and on instruction\n"
      "counts only, and on what is met; what is missed may be met on an idle machine.\n",
      load);
}

int run_all(int rounds) {
  const std::vector<std::uint32_t> allowed = engine::allowed_cpus();
  if (allowed.size() < 2) {
    std::puts("the contest needs two processors; this process may run on one only");
    return 1;
  }
  const Cpus cpus{allowed[0], allowed[1]};
  warn_if_busy();
  base::CycleClock::ticks_per_nanosecond();
  Contest contest(cpus);
  contest.add_peers();
  contest.open_connections();
  contest.run_rounds(rounds);
  contest.print();
  contest.print_bars();
  const double bytes = contest.bytes_per_connection();
  say("engine state of an idle connection", bytes, "bytes", 96, bytes <= 96);
  std::printf("  (beside %.0f bytes of each of %u buckets, with connections or without)\n",
              WorkerHandoff::bytes_of_buckets() / kBuckets, kBuckets);
  run_loads(cpus);
  run_pauses(cpus);
  return 0;
}

}  // namespace
}  // namespace evenkeel::bench

int main(int argc, char** argv) {
  using namespace evenkeel::bench;
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "--list")
    return std::puts("bare-ring\nevenkeel-handoff\nevenkeel-connections\nevenkeel-connections-zipf"), 0;
  if (mode == "--only" && argc == 4)
    return Contest({0, 0}).run_only(argv[2], std::strtoull(argv[3], nullptr, 10));
  if (mode == "--rounds" && argc == 3) return run_all(std::atoi(argv[2]));
  if (argc == 1) return run_all(41);
  std::fputs("usage: bench_engine [--rounds N | --list | --only NAME BURSTS]\n", stderr);
  return 2;
}
