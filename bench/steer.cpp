// `evenkeel steer` against what an operator has without it: a network card whose interrupts all come to one
// CPU ("static"), and RPS over both CPUs. Two hosts on this machine; the receiver's interface has one queue,
// served by a kernel thread bound to CPU 0. Each packet costs its receive work a long socket filter, as a
// firewall would; the filter drops it, so that nothing but receive work is measured. The load is skewed: few
// connections carry most packets.
//
//   ./dev bench steer [ROUNDS]       prints, for each variant, packets processed in a second and a small
//   request's
//                                    round trip beside the load; ratios of medians of interleaved rounds
#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "meter/cpu_time.h"
#include "tests/two_hosts.h"

namespace {

using namespace std::chrono_literals;
using evenkeel::base::FileDescriptor;
using evenkeel::tests::Host;
using evenkeel::tests::TwoHosts;
using Clock = std::chrono::steady_clock;

constexpr std::uint16_t kLoadPort = 7'000;
constexpr std::uint16_t kEchoPort = 7'001;
// Of everything measured, so that what else runs here disturbs less; the sender is on time, and idle in
// between.
constexpr int kNiceness = -15;
constexpr int kSenderNiceness = -20;
// About twice what one CPU can process.
constexpr int kPacketsPerMillisecond = 260;
constexpr auto kWarmUp = 2s;  // also what steering needs to level
constexpr auto kMeasured = 3s;

enum class Variant { kStatic, kRps, kSteer };
const char* name_of(Variant variant) {
  return variant == Variant::kStatic ? "static"
         : variant == Variant::kRps  ? "RPS, both CPUs"
                                     : "evenkeel steer";
}

struct Sample {
  double packets_per_second = 0;
  double round_trip_p50_us = 0;
  double round_trip_p99_us = 0;
  double steer_cpu_share = 0;  // of the steering process, of one CPU
};

void stay_on(int cpu, int niceness) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(cpu, &cpus);
  (void)sched_setaffinity(0, sizeof cpus, &cpus);
  (void)setpriority(PRIO_PROCESS, 0, niceness);
}

sockaddr_in address_of(const char* host, std::uint16_t port) {
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
  inet_pton(AF_INET, host, &address.sin_addr);
  return address;
}

FileDescriptor bound_socket(std::uint16_t port) {
  FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = address_of("0.0.0.0", port);
  (void)bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  return socket;
}

// Divides, over and over, then drops the packet: about 10 microseconds.
void attach_costly_filter(const FileDescriptor& socket) {
  std::vector<sock_filter> code(2'500, BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 3));
  code.insert(code.begin(), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0));
  code.push_back(BPF_STMT(BPF_RET | BPF_K, 0));
  const sock_fprog program{.len = static_cast<unsigned short>(code.size()), .filter = code.data()};
  if (setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) std::abort();
}

// Packets that the filter dropped: UDP's InErrors in this thread's network namespace.
std::uint64_t processed_packets() {
  std::istringstream lines(evenkeel::meter::read_file("/proc/thread-self/net/snmp").value_or(""));
  for (std::string names, values; std::getline(lines, names) && std::getline(lines, values);) {
    if (!names.starts_with("Udp:")) continue;
    std::istringstream name_stream(names);
    std::istringstream value_stream(values);
    for (std::string name, value; name_stream >> name && value_stream >> value;) {
      if (name == "InErrors") return std::stoull(value);
    }
  }
  return 0;
}

// 32 connections; the heaviest sends 8 times as often as the lightest.
void send_load(const std::atomic<bool>& stop) {
  stay_on(1, kSenderNiceness);
  std::vector<FileDescriptor> sockets;
  std::vector<int> order;
  const sockaddr_in to = address_of("10.77.0.2", kLoadPort);
  for (int i = 0; i < 32; ++i) {
    sockets.emplace_back(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    // Fixed source ports: every round and variant hashes the same connections.
    const sockaddr_in from = address_of("10.77.0.1", static_cast<std::uint16_t>(20'000 + i * 7));
    (void)bind(sockets.back().get(), reinterpret_cast<const sockaddr*>(&from), sizeof from);
    (void)connect(sockets.back().get(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
    for (int n = 0; n < (i < 4 ? 8 : i < 12 ? 3 : 1); ++n) order.push_back(i);
  }
  char payload[64] = {};
  std::size_t next = 0;
  for (auto due = Clock::now(); !stop.load(std::memory_order_relaxed); due += 1ms) {
    for (int n = 0; n < kPacketsPerMillisecond; ++n, ++next) {
      (void)send(sockets[static_cast<std::size_t>(order[next % order.size()])].get(), payload, sizeof payload,
                 0);
    }
    std::this_thread::sleep_until(due);
    due = std::max(due, Clock::now() - 10ms);  // after a long wait, no flood
  }
}

void echo(const std::atomic<bool>& stop) {
  (void)setpriority(PRIO_PROCESS, 0, kNiceness);
  const FileDescriptor socket = bound_socket(kEchoPort);
  const timeval wait{.tv_sec = 0, .tv_usec = 100'000};
  (void)setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  while (!stop.load(std::memory_order_relaxed)) {
    char byte = 0;
    sockaddr_in from{};
    socklen_t size = sizeof from;
    if (recvfrom(socket.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&from), &size) == 1) {
      (void)sendto(socket.get(), &byte, 1, 0, reinterpret_cast<const sockaddr*>(&from), size);
    }
  }
}

// One request at a time from one of 16 ports; one that is lost counts with the time that was waited for it.
void request(const std::atomic<bool>& measure, const std::atomic<bool>& stop,
             std::vector<double>& round_trips_us) {
  (void)setpriority(PRIO_PROCESS, 0, kNiceness);
  const sockaddr_in to = address_of("10.77.0.2", kEchoPort);
  for (std::uint32_t i = 0; !stop.load(std::memory_order_relaxed); ++i) {
    const FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const sockaddr_in from = address_of("10.77.0.1", static_cast<std::uint16_t>(30'000 + i % 16));
    (void)bind(socket.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from);
    (void)connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
    const auto begin = Clock::now();
    (void)send(socket.get(), "x", 1, 0);
    pollfd answer{.fd = socket.get(), .events = POLLIN, .revents = 0};
    (void)poll(&answer, 1, 200);
    if (measure.load(std::memory_order_relaxed)) {
      round_trips_us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    }
    std::this_thread::sleep_for(2ms);
  }
}

// The kernel thread that serves the interface's only queue stays on CPU 0, as an interrupt's affinity would
// have it.
void bind_queue_thread(const TwoHosts& hosts) {
  const std::string interface = hosts.interface(Host::kB);
  hosts.run_on(Host::kB, "ethtool -K " + interface + " gro on >/dev/null");
  hosts.run_on(Host::kB, "unshare -m sh -c 'mount -t sysfs none /sys && echo 1 > /sys/class/net/" +
                             interface + "/threaded'");
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string task = entry.path().filename();
    if (task.find_first_not_of("0123456789") != std::string::npos) continue;
    if (!evenkeel::meter::read_file(entry.path() / "comm").value_or("").starts_with("napi/" + interface))
      continue;
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(0, &cpus);
    (void)sched_setaffinity(std::stoi(task), sizeof cpus, &cpus);
    // As an interrupt's work would, it comes before all tasks.
    const sched_param priority{.sched_priority = 10};
    (void)sched_setscheduler(std::stoi(task), SCHED_FIFO, &priority);
  }
}

void raise_cpumap_threads() {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string task = entry.path().filename();
    if (task.find_first_not_of("0123456789") != std::string::npos) continue;
    if (!evenkeel::meter::read_file(entry.path() / "comm").value_or("").starts_with("cpumap/")) continue;
    (void)setpriority(PRIO_PROCESS, static_cast<id_t>(std::stoi(task)), kNiceness);
  }
}

pid_t start_steering(const TwoHosts& hosts) {
  const pid_t child = fork();
  if (child != 0) return child;
  const std::string network = "--net=/run/netns/" + hosts.network(Host::kB);
  const std::string interface = hosts.interface(Host::kB);
  (void)std::freopen("/dev/null", "w", stdout);
  execlp("nsenter", "nsenter", network.c_str(), EVENKEEL_BINARY, "steer", interface.c_str(), "--interval",
         "100ms", "--xdp-mode", "native", static_cast<char*>(nullptr));
  _exit(127);
}

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::size_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

Sample run(Variant variant) {
  TwoHosts hosts(1);
  hosts.run_on(Host::kA, "ethtool -K " + hosts.interface(Host::kA) + " tx off >/dev/null");
  bind_queue_thread(hosts);
  if (variant == Variant::kRps) {
    hosts.run_on(Host::kB, "unshare -m sh -c 'mount -t sysfs none /sys && echo 3 > /sys/class/net/" +
                               hosts.interface(Host::kB) + "/queues/rx-0/rps_cpus'");
  }
  const pid_t steering = variant == Variant::kSteer ? start_steering(hosts) : 0;
  if (steering != 0) {
    std::this_thread::sleep_for(1s);
    raise_cpumap_threads();
  }
  std::atomic<bool> stop{false};
  std::atomic<bool> measure{false};
  std::vector<double> round_trips_us;
  Sample sample;
  std::thread sender = hosts.thread_on(Host::kA, [&] { send_load(stop); });
  std::thread echoing = hosts.thread_on(Host::kB, [&] { echo(stop); });
  std::thread requesting = hosts.thread_on(Host::kA, [&] { request(measure, stop, round_trips_us); });
  hosts
      .thread_on(Host::kB,
                 [&] {
                   const FileDescriptor sink = bound_socket(kLoadPort);
                   attach_costly_filter(sink);
                   std::this_thread::sleep_for(kWarmUp);
                   const double own =
                       steering != 0 ? evenkeel::meter::read_run_time_ns(steering).value_or(0) : 0;
                   const std::uint64_t before = processed_packets();
                   const auto begin = Clock::now();
                   measure = true;
                   std::this_thread::sleep_for(kMeasured);
                   measure = false;
                   const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
                   sample.packets_per_second = static_cast<double>(processed_packets() - before) / seconds;
                   if (steering != 0) {
                     sample.steer_cpu_share =
                         (evenkeel::meter::read_run_time_ns(steering).value_or(0) - own) * 1e-9 / seconds;
                   }
                 })
      .join();
  stop = true;
  for (std::thread* const thread : {&sender, &echoing, &requesting}) thread->join();
  if (steering != 0) {
    kill(steering, SIGTERM);
    (void)waitpid(steering, nullptr, 0);
  }
  sample.round_trip_p50_us = percentile(round_trips_us, 0.5);
  sample.round_trip_p99_us = percentile(round_trips_us, 0.99);
  return sample;
}

double median(const std::vector<Sample>& samples, double Sample::*field) {
  std::vector<double> values;
  for (const Sample& sample : samples) values.push_back(sample.*field);
  return percentile(values, 0.5);
}

}  // namespace

int main(int argc, char** argv) {
  if (const std::string why = TwoHosts::why_not(); !why.empty()) {
    fmt::print("bench steer: skipped: {}\n", why);
    return 0;
  }
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 5;
  std::map<Variant, std::vector<Sample>> samples;
  for (int round = 0; round < rounds; ++round) {
    for (const Variant variant : {Variant::kStatic, Variant::kRps, Variant::kSteer}) {
      samples[variant].push_back(run(variant));
      const Sample& sample = samples[variant].back();
      fmt::print("{:>15}  {:8.0f} packets/s  round trip p50 {:8.0f} us  p99 {:8.0f} us\n", name_of(variant),
                 sample.packets_per_second, sample.round_trip_p50_us, sample.round_trip_p99_us);
      std::fflush(stdout);
    }
  }
  const auto ratio = [&](Variant a, Variant b, double Sample::*field) {
    return median(samples[a], field) / median(samples[b], field);
  };
  fmt::print("\nmedians of {} interleaved rounds, evenkeel steer against:\n", rounds);
  for (const Variant peer : {Variant::kStatic, Variant::kRps}) {
    fmt::print("{:>15}: {:.2f} times the throughput, {:.3f} times the p99 round trip\n", name_of(peer),
               ratio(Variant::kSteer, peer, &Sample::packets_per_second),
               ratio(Variant::kSteer, peer, &Sample::round_trip_p99_us));
  }
  fmt::print("control loop at 100 ms: {:.2f} % of one CPU\n",
             median(samples[Variant::kSteer], &Sample::steer_cpu_share) * 100);
  fmt::print(
      "bars: 1.7 times the throughput of static, or at most 0.333 times its p99; control loop below 1 %\n");
  return 0;
}
