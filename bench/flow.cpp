// Metering a capture: evenkeel with one worker against softflowd and nfpcapd.
//
//   bench_flow [--evenkeel FILE] [--folder DIR] [--packets N] [--connections N] [--rounds N] [--write-only]
//   bench_flow --count CAPTURE
//
// Makes its own capture (Zipf sizes; kept in the folder for the next run), then runs each program in turn,
// round by round, as a process of its own; figures are medians of elapsed time, of processor time (user and
// system, of all threads), and of the largest resident set. The bar: at least 8 times as fast as the faster
// peer in elapsed time, on an idle machine with two processors. What a connection takes is the resident set
// of a capture of a million connections less that of one of a thousand, by connections.
//
// --count meters a capture on one thread, so that instructions can be counted without those of waiting.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "bench/table_data.h"
#include "engine/engine.h"
#include "flow/meter.h"
#include "flow/record_writer.h"
#include "packet/hash.h"
#include "source/pcap/pcap_source.h"

namespace evenkeel::bench {
namespace {

constexpr double kSpeedRatioMin = 8;
constexpr double kZipfExponent = 1.1;
constexpr std::uint32_t kLinkTypeEthernet = 1;

struct Options {
  std::string evenkeel = "build/evenkeel";
  std::string folder = "/tmp/evenkeel-bench-flow";
  std::uint32_t packets = 5'000'000;
  std::uint32_t connections = 200'000;
  int rounds = 5;
  bool write_only = false;
  std::string count;
};

constexpr double kBytesPerConnectionMax = 200;
constexpr std::uint32_t kManyConnections = 1'000'000;
constexpr std::uint32_t kFewConnections = 1'000;

// --- The capture

// Which connection each packet belongs to: every connection has one packet, the rest is shared out by Zipf.
std::vector<std::uint32_t> connection_of_each_packet(const Options& options, base::Random& random) {
  std::vector<std::uint32_t> order(options.packets);
  const Zipf zipf(options.connections, kZipfExponent);
  for (std::uint32_t i = 0; i < options.packets; ++i) {
    order[i] = i < options.connections ? i : static_cast<std::uint32_t>(zipf.rank(random) - 1);
  }
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

void put16(std::uint8_t* at, std::uint32_t value) {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value);
}
void put32(std::uint8_t* at, std::uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value);
}

constexpr std::size_t kHeaders = 14 + 20 + 20;

// Ethernet, IPv4 and TCP (with ACK alone, so that no connection ends early) of a connection's packet.
void write_headers(std::uint8_t* frame, std::uint32_t connection, bool reversed, std::uint32_t payload) {
  std::fill_n(frame, kHeaders, std::uint8_t{0});
  put16(frame + 12, 0x0800);
  std::uint8_t* ip = frame + 14;
  ip[0] = 0x45;
  put16(ip + 2, 40 + payload);
  ip[8] = 64;
  ip[9] = 6;
  const std::uint32_t client = 0x0a000000u + connection / 16;
  const std::uint32_t server = 0xc0a80000u + connection % 1'000;
  put32(ip + 12, reversed ? server : client);
  put32(ip + 16, reversed ? client : server);
  std::uint8_t* tcp = ip + 20;
  put16(tcp + (reversed ? 2 : 0), 20'000 + connection % 16);
  put16(tcp + (reversed ? 0 : 2), 443);
  tcp[12] = 0x50;
  tcp[13] = 0x10;
}

void write_capture(const Options& options, const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  CHECK(file != nullptr);
  const std::array<std::uint32_t, 6> file_header{0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65'535, kLinkTypeEthernet};
  CHECK(std::fwrite(file_header.data(), sizeof file_header, 1, file) == 1);
  base::Random random(1);
  std::array<std::uint8_t, kHeaders + 64> frame{};
  std::uint64_t time_us = 1'700'000'000'000'000;
  for (const std::uint32_t connection : connection_of_each_packet(options, random)) {
    const auto payload = static_cast<std::uint32_t>(random.below(65));
    const auto length = static_cast<std::uint32_t>(kHeaders + payload);
    write_headers(frame.data(), connection, random.below(5) < 2, payload);
    const std::array<std::uint32_t, 4> header{static_cast<std::uint32_t>(time_us / 1'000'000),
                                              static_cast<std::uint32_t>(time_us % 1'000'000), length,
                                              length};
    CHECK(std::fwrite(header.data(), sizeof header, 1, file) == 1);
    CHECK(std::fwrite(frame.data(), length, 1, file) == 1);
    ++time_us;
  }
  CHECK(std::fclose(file) == 0);
}

// --- The programs

struct Cost {
  double cpu_seconds = 0;
  double elapsed_seconds = 0;
  double resident_mb = 0;
};

struct Program {
  std::string name;
  std::vector<std::string> command;
  std::vector<Cost> costs;
};

// Runs a program with its output thrown away. False where it is not there or fails.
bool run(const std::vector<std::string>& command, Cost& cost) {
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = fork();
  if (child == 0) {
    const int nowhere = open("/dev/null", O_RDWR);
    for (const int descriptor : {0, 1, 2}) dup2(nowhere, descriptor);
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  int status = 0;
  rusage usage{};
  if (child < 0 || wait4(child, &status, 0, &usage) != child) return false;
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  cost.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  cost.elapsed_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  cost.resident_mb = static_cast<double>(usage.ru_maxrss) / 1'024;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

double median(const std::vector<Cost>& costs, double Cost::*field) {
  std::vector<double> values;
  for (const Cost& cost : costs) values.push_back(cost.*field);
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

std::string outputs_of(const Options& options) { return options.folder + "/outputs"; }

// Every run writes new files: what overwrites an older one waits for the disk when it closes it (ext4), and
// what is deleted early is not written to the disk behind the back of the next.
void clear_outputs(const Options& options) {
  std::filesystem::remove_all(outputs_of(options));
  std::filesystem::create_directories(outputs_of(options));
}

std::vector<Program> programs_for(const Options& options, const std::string& capture) {
  const std::string outputs = outputs_of(options);
  return {
      {"evenkeel",
       {options.evenkeel, "run", "--input", capture, "--workers", "1", "--flows", outputs + "/flows.jsonl"},
       {}},
      {"evenkeel, no records", {options.evenkeel, "run", "--input", capture, "--workers", "1"}, {}},
      // Without -c none it waits for its control socket after the capture's end.
      {"softflowd", {"softflowd", "-c", "none", "-d", "-r", capture, "-m", "1000000"}, {}},
      {"nfpcapd", {"nfpcapd", "-r", capture, "-w", outputs}, {}},
  };
}

int compare(const Options& options, const std::string& capture) {
  std::vector<Program> programs = programs_for(options, capture);
  for (int round = 0; round < options.rounds; ++round) {
    for (Program& program : programs) {
      Cost cost;
      clear_outputs(options);
      if (run(program.command, cost)) program.costs.push_back(cost);
      clear_outputs(options);
    }
  }
  std::printf("%u packets, %u connections; medians of %d rounds\n  %-22s %10s %10s %10s %8s\n",
              options.packets, options.connections, options.rounds, "", "elapsed s", "CPU s", "Mpps", "MB");
  Cost best_peer{1e9, 1e9, 0}, ours;
  for (const Program& program : programs) {
    if (program.costs.empty()) {
      std::printf("  %-22s not measured: missing, or it failed\n", program.name.c_str());
      continue;
    }
    const Cost cost{median(program.costs, &Cost::cpu_seconds), median(program.costs, &Cost::elapsed_seconds),
                    median(program.costs, &Cost::resident_mb)};
    std::printf("  %-22s %10.2f %10.2f %10.2f %8.0f\n", program.name.c_str(), cost.elapsed_seconds,
                cost.cpu_seconds, options.packets / cost.elapsed_seconds / 1e6, cost.resident_mb);
    if (program.name == "evenkeel") ours = cost;
    if (program.name.starts_with("evenkeel")) continue;
    best_peer.cpu_seconds = std::min(best_peer.cpu_seconds, cost.cpu_seconds);
    best_peer.elapsed_seconds = std::min(best_peer.elapsed_seconds, cost.elapsed_seconds);
  }
  if (ours.elapsed_seconds == 0 || best_peer.elapsed_seconds == 1e9) return 1;
  const double ratio = best_peer.elapsed_seconds / ours.elapsed_seconds;
  std::printf(
      "evenkeel is %.1f times as fast as the faster peer (bar %.0f: %s); by processor time %.1f times\n",
      ratio, kSpeedRatioMin, ratio >= kSpeedRatioMin ? "met" : "MISSED",
      best_peer.cpu_seconds / ours.cpu_seconds);
  return 0;
}

std::string capture_of(const Options& options) {
  std::filesystem::create_directories(options.folder);
  const std::string capture = options.folder + "/zipf-" + std::to_string(options.packets) + "-" +
                              std::to_string(options.connections) + ".pcap";
  if (!std::filesystem::exists(capture)) {
    write_capture(options, capture + ".part");
    std::filesystem::rename(capture + ".part", capture);
  }
  return capture;
}

double resident_mb(const Options& options, std::uint32_t connections) {
  Options other = options;
  other.packets = kManyConnections;
  other.connections = connections;
  Cost cost;
  run({options.evenkeel, "run", "--input", capture_of(other), "--workers", "1", "--flows",
       outputs_of(options) + "/flows.jsonl"},
      cost);
  return cost.resident_mb;
}

void measure_memory(const Options& options) {
  const double bytes = (resident_mb(options, kManyConnections) - resident_mb(options, kFewConnections)) *
                       1'048'576 / (kManyConnections - kFewConnections);
  std::printf("%.0f bytes a connection (bar %.0f: %s)\n", bytes, kBytesPerConnectionMax,
              bytes <= kBytesPerConnectionMax ? "met" : "MISSED");
}

// --- On one thread

class WritingSink final : public flow::RecordSink {
 public:
  explicit WritingSink(flow::RecordWriter writer) : writer_(std::move(writer)) {}
  void write(const flow::FlowRecord& record) override { CHECK(writer_.write(record)); }

 private:
  flow::RecordWriter writer_;
};

int count(const std::string& capture) {
  auto source = source::open_pcap(capture, {});
  auto hasher = packet::Hasher::make("toeplitz", "");
  auto writer = flow::RecordWriter::open("/dev/null", flow::RecordFormat::kJsonl);
  CHECK(source.ok() && hasher.ok() && writer.ok());
  WritingSink sink(std::move(*writer));
  flow::MeterCounters counters;
  auto engine = engine::Engine<flow::FlowMeter, base::CycleClock>::make(
      {}, {source->get()}, std::move(*hasher),
      [&](ProcessorId) { return flow::FlowMeter({}, &sink, counters); },
      [](ProcessorId) { return base::CycleClock{}; });
  CHECK(engine.ok());
  auto& dispatcher = *(*engine)->dispatchers()[0];
  auto& worker = *(*engine)->workers()[0];
  dispatcher.finish();
  while (dispatcher.step() != engine::DispatchStatus::kFinished) worker.step();
  while (!worker.finished()) worker.step();
  worker.close_all((*engine)->handed_over_ns());
  std::printf("%llu records\n", static_cast<unsigned long long>(counters.records.read()));
  return 0;
}

int run_all(int argc, char** argv) {
  CLI::App app{"Metering a capture against softflowd and nfpcapd"};
  Options options;
  app.add_option("--evenkeel", options.evenkeel, "the program to measure");
  app.add_option("--folder", options.folder, "where the capture is kept");
  app.add_option("--packets", options.packets, "packets of the capture")->check(CLI::PositiveNumber);
  app.add_option("--connections", options.connections, "connections of the capture")
      ->check(CLI::PositiveNumber);
  app.add_option("--rounds", options.rounds, "runs of each program")->check(CLI::PositiveNumber);
  app.add_flag("--write-only", options.write_only, "only make the capture and print its name");
  app.add_option("--count", options.count, "meter this capture on one thread, and measure nothing");
  CLI11_PARSE(app, argc, argv);
  options.packets = std::max(options.packets, options.connections);
  if (!options.count.empty()) return count(options.count);
  const std::string capture = capture_of(options);
  if (options.write_only) return std::puts(capture.c_str()), 0;
  const int result = compare(options, capture);
  measure_memory(options);
  return result;
}

}  // namespace
}  // namespace evenkeel::bench

int main(int argc, char** argv) { return evenkeel::bench::run_all(argc, argv); }
