// The steering programs and tables in the kernel, loaded for a set of CPUs and attached to an interface.
//
// Everything is held by descriptors of this process: when it ends, however it ends, the kernel detaches the
// programs and frees the tables, and packets take their old way. Attached with a BPF link (kernel 5.9), since
// libxdp's dispatcher is not available everywhere.
//
// Thread: [control].
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "actuator/steering.h"
#include "base/file_descriptor.h"
#include "bpf/constants.h"
#include "bpf/object.h"
#include "evenkeel/result.h"

namespace evenkeel::actuator {

enum class XdpMode : std::uint8_t {
  kNative,   // in the driver, before the kernel spends memory on a packet
  kGeneric,  // behind the driver: works everywhere
};

struct KernelSideOptions {
  std::uint32_t buckets = 512;      // a power of two
  std::vector<std::uint32_t> cpus;  // targets: online
  // Packets that may wait for a CPU. A short queue loses what would have waited without steering: bursts, and
  // what comes while other processes have the CPU.
  std::uint32_t queue_size = kCpuQueueMax;
  std::uint64_t gap_ns = 1'000'000;
  bool inner_tunnel = false;
};

class KernelSide {
 public:
  static Result<KernelSide> load(const KernelSideOptions& options);

  std::span<evenkeel_bucket_state> states() const { return states_.values(); }
  std::span<evenkeel_bucket_arrival> arrivals() const { return arrivals_.values(); }
  std::span<evenkeel_target_progress> progress() const { return progress_.values(); }

  Result<void> attach(int interface_index, XdpMode mode);
  void detach() { link_.close(); }
  bool attached() const { return link_.valid(); }

  Result<evenkeel_target_count> target_count(std::uint32_t cpu) const;
  Result<std::uint64_t> counter(evenkeel_steer_counter which) const;

  // The kernel's thread that serves `cpu`, or 0 where this process cannot see it (another PID namespace).
  int thread_of(std::uint32_t cpu) const;

  // Whether completed moves are proven by the kernel's tracepoints, or only by a pause.
  bool proves_delivery() const { return proves_delivery_; }
  // After so many reports of a CPU more, a batch of its reached the stack; 0: only its sleep proves that.
  std::uint32_t batches_until_delivered() const { return batches_until_delivered_; }

 private:
  explicit KernelSide(bpf::Object object) : object_(std::move(object)) {}
  Result<void> create_queues(const KernelSideOptions& options);
  void attach_tracepoints();

  bpf::Object object_;
  bpf::SharedArray<evenkeel_bucket_state> states_;
  bpf::SharedArray<evenkeel_bucket_arrival> arrivals_;
  bpf::SharedArray<evenkeel_target_progress> progress_;
  std::vector<base::FileDescriptor> tracepoints_;
  base::FileDescriptor link_;
  bool proves_delivery_ = false;
  std::uint32_t batches_until_delivered_ = 0;
};

}  // namespace evenkeel::actuator
