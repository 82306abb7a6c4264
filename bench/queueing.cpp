// The queueing model: an elephant beside a thousand light connections, in virtual time (exact), with its
// picture; equal shares; cost of a packet by the number of waiting connections (real time). And, for
// instruction counts, packets that pass straight through:
//
//   bench_queueing [--picture FILE]
//   valgrind --tool=callgrind bench_queueing --straight fair|fifo
//   valgrind --tool=callgrind --toggle-collect='*serve_waiting*' bench_queueing --waiting CONNECTIONS

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "engine/engine.h"
#include "engine/fair_queue.h"
#include "flow/meter.h"
#include "source/make_source.h"

namespace evenkeel {
namespace {

using namespace engine;

constexpr std::uint64_t kQuantum = 50'000;  // one tick is one nanosecond
constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kCost = 1'000;
constexpr std::uint32_t kLight = 1'000;
constexpr std::uint32_t kBuckets = 16;

std::uint64_t hash_of(std::uint32_t connection) {
  std::uint64_t state = connection;
  return base::splitmix64(state);
}

struct Queue {
  explicit Queue(const FairQueueOptions& options, std::uint32_t connections_max)
      : arena(std::move(*arena_result(connections_max))), buckets(kBuckets), queue(options, *arena, meters) {
    for (BucketQueue& bucket : buckets) bucket.connections.attach(*arena);
  }
  static std::unique_ptr<std::unique_ptr<FairQueue::Arena>> arena_result(std::uint32_t connections_max) {
    auto made = FairQueue::Arena::make({.connections_max = connections_max, .tables = kBuckets}, QueueHash{});
    return std::make_unique<std::unique_ptr<FairQueue::Arena>>(std::move(*made));
  }
  std::unique_ptr<FairQueue::Arena> arena;
  std::vector<BucketQueue> buckets;
  meter::QueueMeters meters;
  FairQueue queue;
};

struct Outcome {
  std::vector<std::uint64_t> delays;  // of light packets, sorted
  std::uint64_t light_offered = 0, light_lost = 0, waiting_max = 0;
  double quantile(double q) const {
    return static_cast<double>(delays[static_cast<std::size_t>(q * static_cast<double>(delays.size() - 1))]);
  }
};

// Connection 0 offers ten times what the worker can do, the others together `light_load` of it; all are in
// one bucket. First in, first out drops at the end of a queue of the same size.
Outcome overload(bool fair, double light_load) {
  Queue q({.quantum_ticks = kQuantum, .codel = {5'000'000, 100'000'000}}, 20'000);
  std::deque<Packet> storage;
  std::vector<Packet*> free;
  std::deque<Packet*> fifo;
  Outcome outcome;
  base::Random random(1);
  double next_heavy = 0, next_light = 0;
  std::uint64_t now = 1;
  const auto arrive = [&](std::uint32_t connection, std::uint64_t time) {
    if (free.empty()) free.push_back(&storage.emplace_back());
    Packet* packet = free.back();
    free.pop_back();
    packet->hash = connection;
    packet->time_ns = static_cast<std::int64_t>(time);
    if (connection != 0) ++outcome.light_offered;
    Packet* lost = nullptr;
    if (fair) {
      lost = q.queue.enqueue(q.buckets[0], *packet, hash_of(connection), now);
    } else if (fifo.size() == QueueLimits{}.worker_packets) {
      lost = packet;
    } else {
      fifo.push_back(packet);
    }
    if (lost == nullptr) return;
    if (lost->hash != 0) ++outcome.light_lost;
    free.push_back(lost);
  };
  const auto served = [&](Packet* packet, std::uint64_t start) {
    if (packet->hash != 0) outcome.delays.push_back(start - static_cast<std::uint64_t>(packet->time_ns));
    free.push_back(packet);
  };
  while (now < 2 * kSecond) {
    while (std::min(next_heavy, next_light) <= static_cast<double>(now)) {
      if (next_heavy <= next_light) {
        arrive(0, static_cast<std::uint64_t>(next_heavy));
        next_heavy += kCost / 10.0;
      } else {
        arrive(static_cast<std::uint32_t>(1 + random.below(kLight)), static_cast<std::uint64_t>(next_light));
        next_light += random.exponential(kCost / light_load);
      }
    }
    if (!fair) {
      for (int i = 0; i < 32 && !fifo.empty(); ++i, now += kCost) {
        served(fifo.front(), now);
        fifo.pop_front();
      }
      continue;
    }
    QueueBatch batch;
    q.queue.take(now, batch);
    while (batch.dropped != nullptr) {
      Packet* packet = std::exchange(batch.dropped, batch.dropped->next);
      if (packet->hash != 0) ++outcome.light_lost;
      free.push_back(packet);
    }
    outcome.waiting_max = std::max(outcome.waiting_max, q.meters.connections_max.read());
    for (const QueueRun& run : std::span(batch.runs).first(batch.runs_count)) {
      for (std::uint32_t i = run.first; i < run.first + run.count; ++i, now += kCost)
        served(batch.packets[i], now);
      q.queue.settle(run, run.count * kCost, now);
    }
    if (batch.packets_count == 0) now += 100;
  }
  std::sort(outcome.delays.begin(), outcome.delays.end());
  return outcome;
}

void print(const char* name, const Outcome& outcome) {
  fmt::print(
      "  {:<5} light packets lost {:>6.2f} %, delay half {:>9.1f} us, p99 {:>9.1f} us, max {:>9.1f} us\n",
      name, 100.0 * static_cast<double>(outcome.light_lost) / static_cast<double>(outcome.light_offered),
      outcome.quantile(0.5) / 1e3, outcome.quantile(0.99) / 1e3, outcome.quantile(1) / 1e3);
}

// With this many connections waiting, one packet each.
struct Waiting {
  explicit Waiting(std::uint32_t connections)
      : q({.quantum_ticks = kQuantum, .limits = {1u << 30, 1u << 30, 1u << 30}, .sheds = false}, 200'000),
        packets(connections) {
    for (std::uint32_t i = 0; i < connections; ++i) {
      packets[i].hash = i;
      packets[i].bucket = static_cast<std::uint16_t>(i % kBuckets);
      offer(packets[i], 1);
    }
  }
  void offer(Packet& packet, std::uint64_t now) {
    q.queue.enqueue(q.buckets[packet.bucket], packet, hash_of(packet.hash), now, kCost);
  }
  Queue q;
  std::vector<Packet> packets;
};

// Serves packets and has each wait again. Returns how many.
[[gnu::noinline]] std::uint64_t serve_waiting(Waiting& waiting, std::uint64_t wanted) {
  std::uint64_t now = 2, served = 0;
  while (served < wanted) {
    QueueBatch batch;
    waiting.q.queue.take(now, batch);
    for (const QueueRun& run : std::span(batch.runs).first(batch.runs_count)) {
      now += run.count * kCost;
      waiting.q.queue.settle(run, run.count * kCost, now);
    }
    served += batch.packets_count;
    for (Packet* packet : batch.served()) waiting.offer(*packet, now);
  }
  return served;
}

// Real time.
double nanoseconds_per_packet(std::uint32_t connections) {
  Waiting waiting(connections);
  serve_waiting(waiting, connections);
  const std::int64_t start = base::monotonic_nanoseconds();
  const std::uint64_t served = serve_waiting(waiting, 1'000'000);
  return static_cast<double>(base::monotonic_nanoseconds() - start) / static_cast<double>(served);
}

int serve_counted(std::uint32_t connections) {
  Waiting waiting(connections);
  fmt::print("{} connections waiting: {} packets\n", connections, serve_waiting(waiting, 200'000));
  return 0;
}

// A clock of which each reading takes as long: the instructions counted under valgrind, which is slow, are
// then those of a worker that keeps up.
class SteadyClock {
 public:
  std::uint64_t ticks() const { return now_ += 100; }
  double ticks_per_nanosecond() const { return 1; }

 private:
  mutable std::uint64_t now_ = 0;
};

// Dispatcher and worker in turn, so that no more than a burst ever waits.
int straight(const std::string& discipline) {
  source::SourceOptions source_options;
  auto source =
      source::make_source(std::vector<std::string>{"generator:campus,packets=300000"}, source_options);
  if (!source) return 1;
  EngineOptions options;
  options.queueing.discipline = discipline == "fair" ? Discipline::kFair : Discipline::kFifo;
  options.queueing.sheds = false;
  flow::MeterCounters counters;
  using E = Engine<flow::FlowMeter, SteadyClock>;
  auto made = E::make(
      options, {source->get()}, *packet::Hasher::make("toeplitz", ""),
      [&](ProcessorId) { return flow::FlowMeter({}, nullptr, counters); },
      [](ProcessorId) { return SteadyClock{}; });
  if (!made) return 1;
  E& engine = **made;
  engine.dispatchers()[0]->finish();
  while (!engine.workers()[0]->finished()) {
    engine.dispatchers()[0]->step();
    engine.workers()[0]->step();
  }
  engine.workers()[0]->close_all(engine.handed_over_ns());
  fmt::print("{}: {} packets, {} of them waited\n", discipline, engine.worker_meters()[0].processed.read(),
             engine.queue_meters()[0].packets.read());
  return 0;
}

// The share of light packets that waited longer than t, on logarithmic axes.
void draw(const std::string& path, const Outcome& fair, const Outcome& fifo) {
  constexpr double kLeft = 70, kRight = 690, kTop = 50, kBottom = 330;
  const auto x = [](double us) {
    return kLeft + (kRight - kLeft) * std::clamp((std::log10(us) + 1) / 6, 0.0, 1.0);
  };
  const auto y = [](double share) {
    return kTop + (kBottom - kTop) * std::clamp(-std::log10(share) / 4, 0.0, 1.0);
  };
  std::string out =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 390\" "
      "font-family=\"system-ui,sans-serif\" "
      "font-size=\"13\"><title>Delay of light connections beside one that offers ten times a worker's "
      "capacity</title><rect width=\"720\" height=\"390\" fill=\"#fff\"/>\n";
  out += "<text x=\"20\" y=\"24\" font-size=\"15\">Share of light packets that waited longer than t</text>\n";
  const char* times[] = {"0.1 us", "1 us", "10 us", "100 us", "1 ms", "10 ms", "100 ms"};
  for (int i = 0; i < 7; ++i)
    out += fmt::format(
        "<path d=\"M{0} {1}V{2}\" stroke=\"#ddd\"/><text x=\"{0}\" y=\"350\" "
        "text-anchor=\"middle\">{3}</text>\n",
        x(std::pow(10, i - 1)), kTop, kBottom, times[i]);
  const char* shares[] = {"all", "10 %", "1 %", "0.1 %", "0.01 %"};
  for (int i = 0; i < 5; ++i)
    out += fmt::format(
        "<path d=\"M{1} {0}H{2}\" stroke=\"#ddd\"/><text x=\"62\" y=\"{0}\" text-anchor=\"end\">{3}</text>\n",
        y(std::pow(10, -i)), kLeft, kRight, shares[i]);
  const auto curve = [&](const Outcome& outcome, const char* colour, const char* name, double name_y) {
    std::string path_text;
    double last_x = 0;
    for (int step = 0; step <= 400; ++step) {
      const double share = std::pow(10, -4.0 * step / 400);
      last_x = x(std::max(outcome.quantile(1 - share) / 1e3, 0.1));
      path_text += fmt::format("{}{:.1f} {:.1f}", step == 0 ? "M" : "L", last_x, y(share));
    }
    out += fmt::format(
        "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2.5\"/><text x=\"{}\" y=\"{}\" "
        "fill=\"{}\" "
        "text-anchor=\"end\">{}: {:.1f} % lost</text>\n",
        path_text, colour, last_x - 10, name_y, colour, name,
        100.0 * static_cast<double>(outcome.light_lost) / static_cast<double>(outcome.light_offered));
  };
  curve(fair, "#0b7a5e", "fair", 300);
  curve(fifo, "#b3492b", "fifo", 80);
  out += "</svg>\n";
  std::ofstream(path) << out;
}

int run(const std::string& picture) {
  fmt::print("one connection offers 10 times a worker's capacity beside {} light ones, all in one bucket\n",
             kLight);
  for (const double load : {0.3, 0.6, 0.9}) {
    const Outcome fair = overload(true, load), fifo = overload(false, load);
    fmt::print("light ones offer {:.0f} % of the worker; at most {} connections waited at once\n", 100 * load,
               fair.waiting_max);
    print("fair", fair);
    print("fifo", fifo);
    fmt::print("  bar: p99 at most quantum x waiting + a batch = {:.0f} us\n",
               static_cast<double>(kQuantum * (fair.waiting_max + 1)) / 1e3);
    if (load == 0.6 && !picture.empty()) draw(picture, fair, fifo);
  }
  fmt::print("enqueue and serve a packet, ns, by connections that wait (one packet each)\n");
  for (const std::uint32_t connections : {32u, 1'000u, 10'000u, 100'000u})
    fmt::print("  {:>7}  {:.0f}\n", connections, nanoseconds_per_packet(connections));
  return 0;
}

}  // namespace
}  // namespace evenkeel

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--straight") == 0) return evenkeel::straight(argv[2]);
  if (argc == 3 && std::strcmp(argv[1], "--waiting") == 0)
    return evenkeel::serve_counted(static_cast<std::uint32_t>(std::stoul(argv[2])));
  const bool picture = argc == 3 && std::strcmp(argv[1], "--picture") == 0;
  return evenkeel::run(picture ? argv[2] : "");
}
