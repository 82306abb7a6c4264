#include "actuator/observer.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fmt/core.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "bpf/constants.h"
#include "bpf/images.h"
#include "packet/hash_kernels.h"

namespace evenkeel::actuator {
namespace {

Result<base::FileDescriptor> open_socket(int interface_index, int program) {
  // Protocol 0 receives nothing: the filter is in place before the first packet comes.
  base::FileDescriptor socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  const auto failed = [](const char* what) {
    return runtime_error(fmt::format("cannot {} a packet socket: {}", what, std::strerror(errno)));
  };
  if (!socket.valid()) return failed("open");
  if (setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof program) != 0)
    return failed("filter");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = interface_index;
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return failed("bind");
  return socket;
}

}  // namespace

std::vector<std::uint32_t> toeplitz_byte_tables(std::span<const std::uint8_t> key) {
  const packet::HashState state = packet::HashState::toeplitz(key);
  CHECK(state.byte_tables.size() >= kTupleBytes);
  std::vector<std::uint32_t> words;
  for (std::size_t position = 0; position < kTupleBytes; ++position) {
    words.insert(words.end(), state.byte_tables[position].begin(), state.byte_tables[position].end());
  }
  return words;
}

Result<Observer> Observer::open(const ObserverOptions& options) {
  bpf::Object object = bpf::Object::open(bpf::observe_image());
  object.set_entries("bucket_counts", options.buckets);
  object.set_configuration(
      evenkeel_observe_configuration{.bucket_mask = options.buckets - 1,
                                     .inner_tunnel = options.inner_tunnel,
                                     .like_card = options.card.has_value(),
                                     .card_ports = options.card ? options.card->ports : 0});
  if (auto loaded = object.load(); !loaded) return loaded.error();
  if (options.card) {
    const auto tables = toeplitz_byte_tables(options.card->key);
    CHECK(tables.size() * sizeof(std::uint32_t) == sizeof(evenkeel_toeplitz_tables));
    const std::uint32_t key = 0;
    if (bpf_map_update_elem(object.map("toeplitz_tables"), &key, tables.data(), 0) != 0) {
      return runtime_error(fmt::format("cannot write the hash tables: {}", std::strerror(errno)));
    }
  }
  auto socket = open_socket(options.interface_index, object.program("evenkeel_observe"));
  if (!socket) return socket.error();
  Observer observer(std::move(object), options.buckets);
  observer.socket_ = std::move(*socket);
  return observer;
}

Result<Observed> Observer::read() const {
  const std::size_t cpus = bpf::possible_cpus();
  Observed observed{.packets = std::vector<std::uint64_t>(buckets_),
                    .bytes = std::vector<std::uint64_t>(buckets_),
                    .packets_of_cpu = std::vector<std::uint64_t>(cpus)};
  std::vector<evenkeel_observed_count> counts(cpus);
  for (std::uint32_t bucket = 0; bucket < buckets_; ++bucket) {
    const int map = object_.map("bucket_counts");
    if (auto done = bpf::read_per_cpu(map, bucket, sizeof(evenkeel_observed_count), counts.data()); !done) {
      return done.error();
    }
    for (std::size_t cpu = 0; cpu < cpus; ++cpu) {
      observed.packets[bucket] += counts[cpu].packets;
      observed.bytes[bucket] += counts[cpu].bytes;
      observed.packets_of_cpu[cpu] += counts[cpu].packets;
    }
  }
  const std::pair<evenkeel_observe_counter, std::uint64_t*> counters[] = {
      {kObserveUnclassified, &observed.unclassified},
      {kObserveMalformed, &observed.malformed},
      {kObserveFragments, &observed.fragments},
      {kObserveUdp, &observed.udp},
      {kObserveTunnelled, &observed.tunnelled}};
  for (const auto& [which, to] : counters) {
    const auto value = bpf::read_per_cpu_sum<std::uint64_t>(object_.map("counters"), which);
    if (!value) return value.error();
    *to = *value;
  }
  return observed;
}

}  // namespace evenkeel::actuator
