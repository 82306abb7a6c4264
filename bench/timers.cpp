// Timers: evenkeel's wheels against DPDK's rte_timer, libevent, libuv and Boost.Asio, all with the same load
// in one run.
//
// Mixes: A re-arm: of all starts, 95 % re-arm a running timer and 5 % follow an expiry. B the same with
// cancel before each start. C start and expire. Delays are uniform from 1 ms to a minute; the second table
// gives all timers one delay, which is the best case of libevent's common timeouts. Rounds are interleaved;
// medians; an operation is one start, with all that led to it. All but rte_timer run in virtual time, so
// reading the clock costs the peers nothing. Every contender gets its connections in bursts of 32 and may
// prefetch what it wants of them.
//
// At last, in real time: timer services of one and two threads that have more due than they can serve, and
// one at an easy load, for its lateness (timers/services.h); and how late the packet engine's timers are
// beside more packets than it can serve (timers/engine_lateness.h).

#include <dlfcn.h>
#include <fmt/core.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/prefetch.h"
#include "bench/timers/contender.h"
#include "bench/timers/engine_lateness.h"
#include "bench/timers/evenkeel.h"
#include "bench/timers/services.h"
#ifdef BENCH_LIBEVENT
#include "bench/timers/libevent.h"
#endif
#ifdef BENCH_LIBUV
#include "bench/timers/libuv.h"
#endif
#ifdef BENCH_ASIO
#include "bench/timers/asio.h"
#endif
#ifdef BENCH_DPDK
#include "bench/timers/dpdk.h"
#endif

// The libraries' calls come here, and everybody's who asks for the time; what is measured in real time gets
// the C library's clock, as without this.
extern "C" int clock_gettime(clockid_t id, timespec* time) noexcept {
  using Clock = int (*)(clockid_t, timespec*);
  static const Clock real = reinterpret_cast<Clock>(dlsym(RTLD_NEXT, "clock_gettime"));
  if (!bench::VirtualTime::active) return real(id, time);
  time->tv_sec = static_cast<time_t>(bench::VirtualTime::now_ms / 1000);
  time->tv_nsec = static_cast<long>(bench::VirtualTime::now_ms % 1000 * 1'000'000);
  return 0;
}

namespace bench {
namespace {

// The processor time of this thread: what others do on the machine meanwhile does not count.
double thread_nanoseconds() {
  timespec time;
  syscall(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

constexpr std::uint32_t kBurst = 32;
constexpr std::uint64_t kFirstTick = 1'000'000;

enum class Mix { kRearm, kCancel, kExpire };
constexpr std::array kMixes{Mix::kRearm, Mix::kCancel, Mix::kExpire};
constexpr std::array kMixNames{"A re-arm", "B cancel, start", "C expire, start"};

struct Load {
  std::uint32_t timers;
  std::uint32_t delay_min, delay_max;  // ticks
  std::uint32_t starts_a_tick;         // of mixes A and B, expiries left out
};

// Uniform delays up to d: a timer that is re-armed at rate r runs out with probability (1 - exp(-r d)) / (r
// d), 5 % at r = 20 / d. Equal delays d: exp(-r d), 5 % at r = 3 / d.
Load uniform_load(std::uint32_t timers) {
  return {timers, 1, 60'000, std::max(timers / 3000, kBurst) / kBurst * kBurst};
}
Load equal_load(std::uint32_t timers) {
  return {timers, 30'000, 30'000, std::max(timers / 10'000, kBurst) / kBurst * kBurst};
}

// The machine's own cost of touching a random connection; holds no timers.
class Floor {
 public:
  static constexpr const char* kName = "floor: a write to the connection";
  Floor(std::uint32_t timers, Delays) : lines_(timers) {}
  void start(std::uint32_t i, std::uint32_t delay) { lines_[i].deadline = delay; }
  void cancel(std::uint32_t i) { lines_[i].deadline = 0; }
  void prefetch(std::uint32_t i) { evenkeel::base::prefetch_to_write(&lines_[i]); }
  void prefetch_more(std::uint32_t) {}
  std::uint32_t advance(std::uint64_t) { return 0; }
  std::size_t bytes_beside() const { return 0; }

 private:
  struct alignas(64) Line {
    std::uint64_t deadline = 0;
  };
  std::vector<Line> lines_;
};

// One contender under one mix; goes on where its last segment ended.
class Runner {
 public:
  virtual ~Runner() = default;
  virtual void fill() = 0;
  // Nanoseconds an operation, over at least `operations` of them.
  virtual double segment(std::uint64_t operations) = 0;
  virtual double bytes() const = 0;

  std::string name;
  std::uint64_t operations = 0;  // of a segment
  std::vector<double> samples;

  double median() const {
    std::vector<double> sorted = samples;
    std::sort(sorted.begin(), sorted.end());
    return sorted.empty() ? 0 : sorted[sorted.size() / 2];
  }
};

template <typename Contender>
class RunnerOf : public Runner {
 public:
  template <typename... Arguments>
  RunnerOf(const Load& load, Mix mix, Arguments... arguments)
      : load_(load),
        mix_(mix),
        random_(17),
        delays_(23, load.delay_min, load.delay_max),
        contender_(load.timers, Delays(29, load.delay_min, load.delay_max), arguments...) {
    name = Contender::kName;
  }

  // Equal delays would all end together; they begin spread out, as in a steady state.
  void fill() override {
    VirtualTime::now_ms = now_;
    const bool equal = load_.delay_min == load_.delay_max;
    const std::uint32_t steps = equal ? load_.delay_max : 1;
    for (std::uint32_t step = 0; step < steps; ++step) {
      for (std::uint64_t i = std::uint64_t{load_.timers} * step / steps;
           i < std::uint64_t{load_.timers} * (step + 1) / steps; ++i) {
        contender_.start(static_cast<std::uint32_t>(i), delays_.next());
      }
      if (equal) contender_.advance(++now_);
    }
    // Now, before another contender uses the heap.
    bytes_ = static_cast<double>(contender_.bytes_beside()) / load_.timers;
  }

  double segment(std::uint64_t operations_min) override {
    std::uint64_t done = 0;
    VirtualTime::now_ms = now_;
    const double start_ns = thread_nanoseconds();
    while (done < operations_min) {
      if (mix_ != Mix::kExpire) done += start_some();
      done += contender_.advance(++now_);
    }
    return (thread_nanoseconds() - start_ns) / static_cast<double>(done);
  }

  double bytes() const override { return bytes_; }

 private:
  std::uint32_t start_some() {
    for (std::uint32_t done = 0; done < load_.starts_a_tick; done += kBurst) {
      std::array<std::uint32_t, kBurst> burst;
      for (std::uint32_t& i : burst)
        contender_.prefetch(i = static_cast<std::uint32_t>(random_.below(load_.timers)));
      for (const std::uint32_t i : burst) contender_.prefetch_more(i);
      for (const std::uint32_t i : burst) {
        if (mix_ == Mix::kCancel) contender_.cancel(i);
        contender_.start(i, delays_.next());
      }
    }
    return load_.starts_a_tick;
  }

  Load load_;
  Mix mix_;
  evenkeel::base::Random random_;
  Delays delays_;
  Contender contender_;
  std::uint64_t now_ = kFirstTick;
  double bytes_ = 0;
};

struct Options {
  std::uint32_t timers = 1'000'000;
  std::uint32_t buckets = 1024;
  std::uint32_t rounds = 5;
  std::string peers = "all";
  std::string parts = "all";
};

bool wanted(const std::string& list, const char* name) {
  return list == "all" || list.find(name) != std::string::npos;
}

using Runners = std::vector<std::unique_ptr<Runner>>;

template <typename Contender, typename... Arguments>
Runner& add(Runners& runners, const Load& load, Mix mix, std::uint64_t operations, Arguments... arguments) {
  runners.push_back(std::make_unique<RunnerOf<Contender>>(load, mix, arguments...));
  runners.back()->operations = operations;
  runners.back()->fill();
  return *runners.back();
}

#ifdef BENCH_DPDK
// A tick for rte_timer: as many cycles as one tick's load takes it, by a trial of its own.
std::uint64_t dpdk_cycles_a_tick(const Load& load, Mix mix) {
  constexpr std::uint64_t kNever = 1'000'000'000;
  RunnerOf<Dpdk> trial(load, Mix::kRearm, kNever);
  trial.fill();
  const double cycles = trial.segment(20'000) * evenkeel::base::CycleClock::ticks_per_nanosecond();
  const double starts_a_tick =
      mix == Mix::kExpire ? 2.0 * load.timers / load.delay_max * 0.7 : load.starts_a_tick * 1.05;
  return static_cast<std::uint64_t>(cycles * starts_a_tick);
}
#endif

// Segments are long enough that each timer's delay runs out within the rounds for us, whose work comes late;
// the peers do all of theirs at once and need less.
void add_general(Runners& runners, const Load& load, Mix mix, const Options& options) {
  const std::uint64_t ours = std::max<std::uint64_t>(4 * std::uint64_t{load.timers}, 1'000'000);
  const std::uint64_t theirs = std::max<std::uint64_t>(load.timers / 4, 100'000);
  add<Floor>(runners, load, mix == Mix::kExpire ? Mix::kRearm : mix, ours);
  add<Evenkeel>(runners, load, mix, ours, options.buckets).name =
      fmt::format("evenkeel, {} buckets", options.buckets);
  add<Evenkeel>(runners, load, mix, ours, 1u).name = "evenkeel, 1 bucket";
  static_cast<void>(theirs);
  VirtualTime::active = true;
#ifdef BENCH_LIBUV
  if (wanted(options.peers, "libuv")) add<Libuv>(runners, load, mix, theirs);
#endif
#ifdef BENCH_LIBEVENT
  if (wanted(options.peers, "libevent")) add<Libevent>(runners, load, mix, theirs, 0u);
#endif
#ifdef BENCH_ASIO
  if (wanted(options.peers, "asio")) add<Asio>(runners, load, mix, theirs);
#endif
#ifdef BENCH_DPDK
  if (wanted(options.peers, "dpdk")) add<Dpdk>(runners, load, mix, theirs / 2, dpdk_cycles_a_tick(load, mix));
#endif
}

void add_equal(Runners& runners, const Load& load, Mix mix, const Options& options) {
  const std::uint64_t ours = std::max<std::uint64_t>(2 * std::uint64_t{load.timers}, 1'000'000);
  add<Floor>(runners, load, mix == Mix::kExpire ? Mix::kRearm : mix, ours);
  add<Evenkeel>(runners, load, mix, ours, options.buckets).name =
      fmt::format("evenkeel, {} buckets", options.buckets);
  add<Evenkeel>(runners, load, mix, ours, 1u).name = "evenkeel, 1 bucket";
  VirtualTime::active = true;
#ifdef BENCH_LIBEVENT
  if (wanted(options.peers, "libevent")) {
    add<Libevent>(runners, load, mix, ours, load.delay_max).name = "libevent, common timeouts";
  }
#endif
}

// The fastest of the runners whose place is at or after `from`.
const Runner* fastest(const Runners& runners, std::size_t from) {
  const Runner* best = nullptr;
  for (std::size_t i = from; i < runners.size(); ++i) {
    if (best == nullptr || runners[i]->median() < best->median()) best = runners[i].get();
  }
  return best;
}

void run_rounds(Runners& runners, std::uint32_t rounds) {
  for (auto& runner : runners) runner->segment(runner->operations);  // to its steady state
  for (std::uint32_t round = 0; round < rounds; ++round) {
    for (auto& runner : runners) runner->samples.push_back(runner->segment(runner->operations));
  }
}

const char* met(bool condition) { return condition ? "met" : "MISSED"; }

// The floor, ours, and their peers.
void print(const Runners& runners, Mix mix, double bar) {
  constexpr std::size_t kOurs = 1, kPeers = 3;
  const double ours = runners[kOurs]->median();
  fmt::print("{}\n", kMixNames[static_cast<std::size_t>(mix)]);
  for (const auto& runner : runners) {
    const auto [low, high] = std::minmax_element(runner->samples.begin(), runner->samples.end());
    fmt::print("  {:34} {:8.1f} ns  ({:.1f} - {:.1f})  {:6.1f} times ours  {:6.1f} bytes a timer\n",
               runner->name, runner->median(), *low, *high, runner->median() / ours, runner->bytes());
  }
  for (std::size_t i = kOurs; i < kPeers; ++i) {
    const Runner& own = *runners[i];
    fmt::print("  {}: {:.1f} bytes a timer beside the connection (bar 16: {})", own.name, own.bytes(),
               met(own.bytes() <= 16));
    if (const Runner* peer = fastest(runners, kPeers); peer != nullptr) {
      const double ratio = peer->median() / own.median();
      fmt::print(", {:.2f} times as fast as {} (bar {}: {})", ratio, peer->name, bar, met(ratio >= bar));
    }
    fmt::print("\n");
  }
  std::fflush(stdout);
}

using AddContenders = void (*)(Runners&, const Load&, Mix, const Options&);

void compare(const Options& options, const Load& load, AddContenders add_contenders,
             const std::array<double, kMixes.size()>& bars) {
  for (const Mix mix : kMixes) {
    Runners runners;
    add_contenders(runners, load, mix, options);
    run_rounds(runners, options.rounds);
    VirtualTime::active = false;
    print(runners, mix, bars[static_cast<std::size_t>(mix)]);
  }
}

void run(const Options& options) {
  if (wanted(options.parts, "uniform")) {
    fmt::print("{} timers, delays uniform from 1 ms to 60 s\n\n", options.timers);
    compare(options, uniform_load(options.timers), add_general, {10, 10, 10});
  }
  if (wanted(options.parts, "equal")) {
    fmt::print("\n{} timers, all delays 30 s\n\n", options.timers);
    compare(options, equal_load(options.timers), add_equal, {5, 5, 1.7});
  }
  if (wanted(options.parts, "services")) compare_threads();
  if (wanted(options.parts, "engine")) measure_engine_lateness();
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  bench::Options options;
  CLI::App app{"Timers against DPDK rte_timer, libevent, libuv and Boost.Asio"};
  app.add_option("--timers", options.timers, "live timers (default 1000000)")
      ->check(CLI::Range(1000, 20'000'000));
  app.add_option("--buckets", options.buckets, "buckets, a power of two (default 1024)")
      ->check(CLI::Range(1, 65'536));
  app.add_option("--rounds", options.rounds, "rounds (default 5)")->check(CLI::Range(1, 100));
  app.add_option("--peers", options.peers, "all, none, or some of libuv,libevent,asio,dpdk");
  app.add_option("--parts", options.parts, "all, or some of uniform,equal,services,engine");
  CLI11_PARSE(app, argc, argv);
#ifdef BENCH_DPDK
  if (bench::wanted(options.peers, "dpdk") && !bench::Dpdk::initialise()) {
    fmt::print("rte_timer left out: DPDK does not start here\n");
    options.peers = "libuv,libevent,asio";
  }
#endif
  evenkeel::base::CycleClock::ticks_per_nanosecond();
  bench::run(options);
}
