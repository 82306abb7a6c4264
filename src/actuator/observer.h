// Counts an interface's incoming packets for each bucket and receiving CPU, without touching them: a kernel
// program as the filter of a packet socket that receives nothing. Ends when the object goes.
//
// Thread: [control]. Needs CAP_NET_RAW and CAP_BPF. Cost in the kernel: about 100 ns a packet.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/file_descriptor.h"
#include "bpf/object.h"
#include "evenkeel/result.h"

namespace evenkeel::actuator {

// How a network card hashes.
struct CardHash {
  std::vector<std::uint8_t> key;  // Toeplitz, 40 bytes or more
  std::uint32_t ports = 0;        // for which packets: kCardPorts... of src/bpf/constants.h
};

struct ObserverOptions {
  int interface_index = 0;
  std::uint32_t buckets = 512;  // a power of two
  bool inner_tunnel = false;
  std::optional<CardHash> card;  // nothing: evenkeel's own hash
};

struct Observed {
  std::vector<std::uint64_t> packets;         // by bucket
  std::vector<std::uint64_t> bytes;           // by bucket
  std::vector<std::uint64_t> packets_of_cpu;  // by receiving CPU
  std::uint64_t unclassified = 0;
  std::uint64_t malformed = 0;
  std::uint64_t fragments = 0;
  std::uint64_t udp = 0;
  std::uint64_t tunnelled = 0;  // carry another connection inside
};

class Observer {
 public:
  static Result<Observer> open(const ObserverOptions& options);
  // Since open().
  Result<Observed> read() const;

 private:
  Observer(bpf::Object object, std::uint32_t buckets) : object_(std::move(object)), buckets_(buckets) {}
  bpf::Object object_;
  base::FileDescriptor socket_;
  std::uint32_t buckets_;
};

// Byte tables of a Toeplitz key: words[position * 256 + byte].
std::vector<std::uint32_t> toeplitz_byte_tables(std::span<const std::uint8_t> key);

}  // namespace evenkeel::actuator
