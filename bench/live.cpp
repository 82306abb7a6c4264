// Live input against bare loops and softflowd: packets received in a second between two hosts on this
// machine, 60-byte UDP of 64 connections, from a sender that sends more than anything here takes.
//
//   ./dev bench live               (or build/bench/bench_live ROUNDS) medians of interleaved rounds, and
//   ratios to the bare loops and to softflowd
//
// inline: the kernel's receive work is done on the sender's CPU, the receiver has the other one to itself.
// one core: receive work and receiver share a CPU, as they do where a card's interrupt comes to the worker's.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "source/af_packet/packet_ring.h"
#include "source/af_xdp/xdp_ring.h"
#include "tests/two_hosts.h"

namespace {

using namespace std::chrono_literals;
using evenkeel::base::FileDescriptor;
using evenkeel::tests::Host;
using evenkeel::tests::TwoHosts;
namespace source = evenkeel::source;

constexpr auto kSending = 600ms;
// Of everything measured, so that what else runs here disturbs less.
constexpr int kNiceness = -15;
constexpr int kSenderCpu = 0;
constexpr int kReceiverCpu = 1;

void stay_on(int cpu) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(cpu, &cpus);
  (void)sched_setaffinity(0, sizeof cpus, &cpus);
  (void)setpriority(PRIO_PROCESS, 0, kNiceness);
}

// --- The bare loops: programs of their own, so that each is measured alike. They print what they received.

std::atomic<bool> told_to_stop{false};
extern "C" void stop_loop(int) { told_to_stop = true; }

// A receive ring as evenkeel's is made, with nothing of evenkeel's.
struct BareRing {
  FileDescriptor socket;
  std::uint8_t* memory = nullptr;
  tpacket_req3 request{};

  explicit BareRing(const char* interface) : socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) {
    const source::PacketRingOptions defaults;
    const int version = TPACKET_V3;
    request.tp_block_size = defaults.block_bytes;
    request.tp_block_nr = defaults.blocks;
    request.tp_frame_size = defaults.frame_bytes;
    request.tp_frame_nr = defaults.block_bytes / defaults.frame_bytes * defaults.blocks;
    request.tp_retire_blk_tov = defaults.hold_ms;
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex(interface));
    const bool made = setsockopt(socket.get(), SOL_PACKET, PACKET_VERSION, &version, sizeof version) == 0 &&
                      setsockopt(socket.get(), SOL_PACKET, PACKET_RX_RING, &request, sizeof request) == 0;
    void* const mapped = mmap(nullptr, std::size_t{request.tp_block_size} * request.tp_block_nr,
                              PROT_READ | PROT_WRITE, MAP_SHARED, socket.get(), 0);
    if (!made || mapped == MAP_FAILED ||
        bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      std::abort();
    memory = static_cast<std::uint8_t*>(mapped);
  }
  tpacket_block_desc* block(std::uint32_t i) const {
    return reinterpret_cast<tpacket_block_desc*>(memory + std::size_t{i} * request.tp_block_size);
  }
  unsigned drops() const {
    tpacket_stats_v3 statistics{};
    socklen_t size = sizeof statistics;
    (void)getsockopt(socket.get(), SOL_PACKET, PACKET_STATISTICS, &statistics, &size);
    return statistics.tp_drops;
  }
};

// Reads the first byte of every packet, as anyone would.
int bare_packet_loop(const char* interface) {
  const BareRing ring(interface);
  std::puts("receiving");
  std::fflush(stdout);
  std::uint64_t packets = 0, sum = 0;
  for (std::uint32_t next = 0; !told_to_stop.load(std::memory_order_relaxed);) {
    tpacket_hdr_v1& block = ring.block(next)->hdr.bh1;
    if ((std::atomic_ref(block.block_status).load(std::memory_order_acquire) & TP_STATUS_USER) == 0) {
      pollfd polled{.fd = ring.socket.get(), .events = POLLIN, .revents = 0};
      poll(&polled, 1, 100);
      continue;
    }
    const auto* packet = reinterpret_cast<const std::uint8_t*>(ring.block(next)) + block.offset_to_first_pkt;
    for (std::uint32_t i = 0; i < block.num_pkts; ++i) {
      const auto* const header = reinterpret_cast<const tpacket3_hdr*>(packet);
      sum += packet[header->tp_mac];
      packet += header->tp_next_offset;
    }
    packets += block.num_pkts;
    std::atomic_ref(block.block_status).store(TP_STATUS_KERNEL, std::memory_order_release);
    next = next + 1 == ring.request.tp_block_nr ? 0 : next + 1;
  }
  std::printf("%lu %u %lu\n", packets, ring.drops(), sum);
  return 0;
}

// r0 = redirect to the socket of the queue, else pass.
int load_redirect_to_sockets(int map) {
  const bpf_insn code[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_W,
       .dst_reg = 2,
       .src_reg = 1,
       .off = offsetof(xdp_md, rx_queue_index),
       .imm = 0},
      {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .off = 0, .imm = map},
      {.code = 0, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .src_reg = 0, .off = 0, .imm = XDP_PASS},
      {.code = BPF_JMP | BPF_CALL, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = BPF_FUNC_redirect_map},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  return bpf_prog_load(BPF_PROG_TYPE_XDP, "bare", "GPL", code, std::size(code), nullptr);
}

int bare_xdp_loop(const char* interface) {
  source::XdpPlace place;
  place.interface_index = static_cast<int>(if_nametoindex(interface));
  place.area = std::move(*source::FrameArea::open({}));
  auto socket = source::XdpSocket::open(place, 8'192);
  const int map = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "bare", 4, 4, 1, nullptr);
  if (!socket || map < 0) return 1;
  const int descriptor = (*socket)->descriptor();
  const std::uint32_t queue = 0;
  const int program = load_redirect_to_sockets(map);
  if (bpf_map_update_elem(map, &queue, &descriptor, 0) != 0 || program < 0) return 1;
  LIBBPF_OPTS(bpf_link_create_opts, options);
  options.flags = XDP_FLAGS_DRV_MODE;
  const FileDescriptor link(bpf_link_create(program, place.interface_index, BPF_XDP, &options));
  if (!link.valid()) return 1;
  std::puts("receiving");
  std::fflush(stdout);
  std::uint64_t packets = 0, sum = 0;
  std::vector<std::uint64_t> frames;
  while (!told_to_stop.load(std::memory_order_relaxed)) {
    const std::uint32_t waiting = (*socket)->waiting(64);
    if (waiting == 0) {
      pollfd polled{.fd = descriptor, .events = POLLIN, .revents = 0};
      poll(&polled, 1, 100);
      continue;
    }
    for (std::uint32_t i = 0; i < waiting; ++i) {
      const std::uint8_t* const packet = place.area->at((*socket)->at(i).addr);
      sum += *packet;
      frames.push_back(place.area->frame_of(packet));
    }
    (*socket)->take(waiting);
    place.area->give_back(frames);
    packets += waiting;
  }
  std::printf("%lu %lu %lu\n", packets, (*socket)->dropped(), sum);
  return 0;
}

// --- The sender: frames that the kernel makes itself, redirected to the interface (BPF_PROG_TEST_RUN with
// live frames, Linux 5.18). The source port is drawn for each.

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"  // the instruction's fields of 4 bits
int load_sender(int interface_index) {
  const auto alu = [](std::uint8_t operation, std::uint8_t to, std::int32_t value) {
    return bpf_insn{.code = static_cast<std::uint8_t>(BPF_ALU64 | operation | BPF_K),
                    .dst_reg = to,
                    .src_reg = 0,
                    .off = 0,
                    .imm = value};
  };
  const auto move = [](std::uint8_t to, std::uint8_t from) {
    return bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = to, .src_reg = from, .off = 0, .imm = 0};
  };
  const auto call = [](std::int32_t function) {
    return bpf_insn{.code = BPF_JMP | BPF_CALL, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = function};
  };
  const auto load = [](std::uint8_t to, std::uint8_t from, std::int16_t offset) {
    return bpf_insn{
        .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = to, .src_reg = from, .off = offset, .imm = 0};
  };
  const bpf_insn code[] = {
      move(6, 1),
      call(BPF_FUNC_get_prandom_u32),
      alu(BPF_AND, 0, 63),
      load(2, 6, offsetof(xdp_md, data)),
      load(3, 6, offsetof(xdp_md, data_end)),
      move(4, 2),
      alu(BPF_ADD, 4, 36),
      {.code = BPF_JMP | BPF_JGT | BPF_X, .dst_reg = 4, .src_reg = 3, .off = 1, .imm = 0},
      {.code = BPF_STX | BPF_MEM | BPF_B,
       .dst_reg = 2,
       .src_reg = 0,
       .off = 35,
       .imm = 0},  // source port, low byte
      alu(BPF_MOV, 1, interface_index),
      alu(BPF_MOV, 2, 0),
      call(BPF_FUNC_redirect),
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  return bpf_prog_load(BPF_PROG_TYPE_XDP, "sender", "GPL", code, std::size(code), nullptr);
}
#pragma GCC diagnostic pop

std::vector<std::uint8_t> udp_frame() {
  std::vector<std::uint8_t> frame(60);
  const std::uint8_t head[] = {2, 0,  0,  0, 0, 2,  2, 0, 0, 0,  0, 1, 8, 0,    0x45, 0, 0, 46, 0,  0, 0,
                               0, 64, 17, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2, 0x10, 0,    0, 9, 0,  26, 0, 0};
  std::memcpy(frame.data(), head, sizeof head);
  return frame;
}

// Sends for kSending; returns how many frames the kernel was asked to send, or nothing where it cannot.
std::optional<std::uint64_t> send_flood(const TwoHosts& hosts) {
  std::optional<std::uint64_t> sent;
  hosts
      .thread_on(Host::kA,
                 [&] {
                   stay_on(kSenderCpu);
                   const auto index = static_cast<int>(if_nametoindex(hosts.interface(Host::kA).c_str()));
                   const FileDescriptor program(load_sender(index));
                   std::vector<std::uint8_t> frame = udp_frame();
                   LIBBPF_OPTS(bpf_test_run_opts, options);
                   options.data_in = frame.data();
                   options.data_size_in = static_cast<std::uint32_t>(frame.size());
                   options.repeat = 1 << 15;
                   options.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
                   options.batch_size = 64;
                   const auto end = std::chrono::steady_clock::now() + kSending;
                   std::uint64_t count = 0;
                   while (std::chrono::steady_clock::now() < end) {
                     if (bpf_prog_test_run_opts(program.get(), &options) != 0) return;
                     count += options.repeat;
                   }
                   sent = count;
                 })
      .join();
  return sent;
}

// --- Receivers.

struct Sample {
  double packets_per_second = 0;
  double lost_share = 0;         // of what came to the receiver's ring
  double cpu_ns_per_packet = 0;  // of the receiver's process, user and system
};

struct Child {
  pid_t process = 0;
  FILE* output = nullptr;
};

// Starts `words` on the receiving host, on the receiver's CPU.
Child start(const TwoHosts& hosts, std::vector<std::string> words) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  const std::string network = "/run/netns/" + hosts.network(Host::kB);
  const pid_t process = fork();
  if (process == 0) {
    const FileDescriptor descriptor(open(network.c_str(), O_RDONLY | O_CLOEXEC));
    if (setns(descriptor.get(), CLONE_NEWNET) != 0) _exit(1);
    stay_on(kReceiverCpu);
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  close(ends[1]);
  return {process, fdopen(ends[0], "r")};
}

void wait_for_line(const Child& child, const char* text) {
  char line[1024];
  while (std::fgets(line, sizeof line, child.output) != nullptr)
    if (std::strstr(line, text) != nullptr) return;
}

std::string rest_of_output(const Child& child) {
  std::string text;
  char piece[4096];
  for (std::size_t size = 0; (size = std::fread(piece, 1, sizeof piece, child.output)) > 0;)
    text.append(piece, size);
  std::fclose(child.output);
  return text;
}

// Processor time of a child so far.
double cpu_ns_of(const Child& child) {
  clockid_t clock = 0;
  timespec time{};
  if (clock_getcpuclockid(child.process, &clock) != 0 || clock_gettime(clock, &time) != 0) return 0;
  return 1e9 * static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec);
}

// Sends to a receiver that is ready; what it cost the receiver, in nanoseconds of processor time.
double flood(const TwoHosts& hosts, const Child& child) {
  const double before_ns = cpu_ns_of(child);
  (void)send_flood(hosts);
  std::this_thread::sleep_for(100ms);
  return cpu_ns_of(child) - before_ns;
}

Sample sample_of(std::uint64_t packets, std::uint64_t lost, double cpu_ns) {
  const auto received = static_cast<double>(packets);
  const double seconds = std::chrono::duration<double>(kSending).count();
  return {.packets_per_second = received / seconds,
          .lost_share = static_cast<double>(lost) / std::max(1.0, received + static_cast<double>(lost)),
          .cpu_ns_per_packet = cpu_ns / std::max(1.0, received)};
}

Sample run_bare(const TwoHosts& hosts, const std::string& self, const char* loop) {
  const Child child = start(hosts, {self, loop, hosts.interface(Host::kB)});
  wait_for_line(child, "receiving");
  const double cpu_ns = flood(hosts, child);
  kill(child.process, SIGINT);
  const std::string text = rest_of_output(child);
  waitpid(child.process, nullptr, 0);
  unsigned long packets = 0, lost = 0;
  std::sscanf(text.c_str(), "%lu %lu", &packets, &lost);
  return sample_of(packets, lost, cpu_ns);
}

Sample run_evenkeel(const TwoHosts& hosts, const std::string& input, const char* workers) {
  const std::string report = fmt::format("/tmp/evenkeel-bench-live-{}.json", getpid());
  const Child child =
      start(hosts, {EVENKEEL_BINARY, "run", "--input", input + hosts.interface(Host::kB), "--xdp-mode",
                    "consume", "--workers", workers, "--pin", "1", "--report", report});
  wait_for_line(child, "receiving");
  const double cpu_ns = flood(hosts, child);
  kill(child.process, SIGINT);
  (void)rest_of_output(child);
  waitpid(child.process, nullptr, 0);
  std::ifstream file(report);
  const auto json = nlohmann::json::parse(file, nullptr, false);
  std::remove(report.c_str());
  if (!json.is_object()) return {};
  std::uint64_t lost = 0;
  for (const auto& [reason, count] : json["packets"]["dropped"].items()) lost += count.get<std::uint64_t>();
  return sample_of(json["packets"]["processed"], lost, cpu_ns);
}

// Prints what it saw when it is asked to, by softflowctl.
Sample run_softflowd(const TwoHosts& hosts) {
  const std::string control = fmt::format("/tmp/evenkeel-bench-softflowd-{}", getpid());
  const Child child = start(hosts, {"softflowd", "-d", "-i", hosts.interface(Host::kB), "-c", control, "-p",
                                    control + ".pid", "-n", "127.0.0.1:9"});
  std::this_thread::sleep_for(500ms);
  const double cpu_ns = flood(hosts, child);
  unsigned long packets = 0;
  if (FILE* const asked = popen(("softflowctl -c " + control + " statistics 2>&1").c_str(), "r")) {
    char line[256];
    while (std::fgets(line, sizeof line, asked) != nullptr)
      (void)std::sscanf(line, "Packets processed: %lu", &packets);
    pclose(asked);
  }
  kill(child.process, SIGTERM);
  (void)rest_of_output(child);
  waitpid(child.process, nullptr, 0);
  return sample_of(packets, 0, cpu_ns);
}

struct Variant {
  const char* name;
  std::function<Sample(const TwoHosts&)> run;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

// The receive work, in a thread of the kernel's for this interface, on this CPU.
void receive_on(const TwoHosts& hosts, int cpu) {
  const std::string name = hosts.interface(Host::kB);
  hosts.run_on(Host::kB, "unshare -m sh -c 'mount -t sysfs none /sys && echo 1 > /sys/class/net/" + name +
                             "/threaded'");
  hosts.run_on(
      Host::kB,
      fmt::format(
          "sh -c 'for p in $(pgrep napi/{}); do taskset -p -c {} $p; renice -n {} $p; done >/dev/null'", name,
          cpu, kNiceness));
}

void compare(const TwoHosts& hosts, const char* title, const std::vector<Variant>& variants, int rounds) {
  std::map<std::string, std::vector<Sample>> samples;
  for (int round = 0; round < rounds; ++round) {
    for (const Variant& variant : variants) samples[variant.name].push_back(variant.run(hosts));
  }
  fmt::print("{}\n  {:<28}{:>12}{:>10}{:>14}\n", title, "", "Mpps", "lost", "CPU ns/packet");
  const auto middle = [&](const char* name, double Sample::*what) {
    std::vector<double> values;
    for (const Sample& sample : samples[name]) values.push_back(sample.*what);
    return median(values);
  };
  for (const Variant& variant : variants) {
    fmt::print("  {:<28}{:>12.3f}{:>9.1f}%{:>14.0f}\n", variant.name,
               middle(variant.name, &Sample::packets_per_second) / 1e6,
               100 * middle(variant.name, &Sample::lost_share),
               middle(variant.name, &Sample::cpu_ns_per_packet));
  }
  // Of each round by itself, as the machine's speed changes from round to round.
  const auto ratio = [&](const char* a, const char* b) {
    std::vector<double> ratios;
    for (int round = 0; round < rounds; ++round) {
      const double base = samples[b][static_cast<std::size_t>(round)].packets_per_second;
      if (base > 0) ratios.push_back(samples[a][static_cast<std::size_t>(round)].packets_per_second / base);
    }
    fmt::print("  {} / {}: {:.2f}\n", a, b, median(ratios));
  };
  ratio("evenkeel af_packet", "bare TPACKET_V3");
  ratio("evenkeel af_packet", "softflowd");
  ratio("evenkeel af_xdp", "bare AF_XDP");
  ratio("evenkeel af_xdp", "softflowd");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && (std::strcmp(argv[1], "--packet") == 0 || std::strcmp(argv[1], "--xdp") == 0)) {
    std::signal(SIGINT, stop_loop);
    return std::strcmp(argv[1], "--packet") == 0 ? bare_packet_loop(argv[2]) : bare_xdp_loop(argv[2]);
  }
  if (const std::string why = TwoHosts::why_not(); !why.empty()) {
    fmt::print("skipped: {}\n", why);
    return 0;
  }
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 3;
  const std::string self = "/proc/self/exe";
  std::string path(4096, '\0');
  path.resize(
      static_cast<std::size_t>(std::max<ssize_t>(0, readlink(self.c_str(), path.data(), path.size()))));
  const TwoHosts hosts(1);
  for (const Host host : {Host::kA, Host::kB}) {
    hosts.run_on(host, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
    hosts.run_on(host, "ethtool -K " + hosts.interface(host) + " gro on");
  }
  if (!send_flood(hosts)) {
    fmt::print("skipped: this kernel sends no live frames from BPF_PROG_TEST_RUN (5.18 does)\n");
    return 0;
  }
  std::vector<Variant> variants = {
      {"bare TPACKET_V3", [&](const TwoHosts& h) { return run_bare(h, path, "--packet"); }},
      {"evenkeel af_packet", [](const TwoHosts& h) { return run_evenkeel(h, "af_packet:", "1"); }},
      {"evenkeel af_packet, 2 workers", [](const TwoHosts& h) { return run_evenkeel(h, "af_packet:", "2"); }},
      {"bare AF_XDP", [&](const TwoHosts& h) { return run_bare(h, path, "--xdp"); }},
      {"evenkeel af_xdp", [](const TwoHosts& h) { return run_evenkeel(h, "af_xdp:", "1"); }},
      {"softflowd", [](const TwoHosts& h) { return run_softflowd(h); }}};
  if (std::system("command -v softflowd >/dev/null") != 0) {
    variants.pop_back();
    fmt::print("softflowd is not installed: left out\n");
  }
  receive_on(hosts, kSenderCpu);
  compare(hosts, "inline: receive work on the sender's CPU", variants, rounds);
  receive_on(hosts, kReceiverCpu);
  compare(hosts, "one core: receive work and receiver share a CPU", variants, rounds);
  return 0;
}
