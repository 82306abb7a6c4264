#include "actuator/xdp_cpumap/kernel_side.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <fmt/core.h>
#include <linux/if_link.h>
#include <sys/utsname.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>

#include "base/units.h"
#include "bpf/images.h"
#include "meter/cpu_time.h"

namespace evenkeel::actuator {
namespace {

// Where task_struct.__state is in the running kernel, by its type information; 0: not known.
std::uint32_t find_task_state_offset() {
  const std::unique_ptr<btf, decltype(&btf__free)> types(btf__load_vmlinux_btf(), btf__free);
  if (types == nullptr) return 0;
  const int identity = btf__find_by_name_kind(types.get(), "task_struct", BTF_KIND_STRUCT);
  if (identity < 0) return 0;
  const btf_type* const type = btf__type_by_id(types.get(), static_cast<std::uint32_t>(identity));
  for (std::uint32_t i = 0; i < btf_vlen(type); ++i) {
    const btf_member& member = btf_members(type)[i];
    const char* const name = btf__name_by_offset(types.get(), member.name_off);
    if (name != nullptr && std::strcmp(name, "__state") == 0) return btf_member_bit_offset(type, i) / 8;
  }
  return 0;
}

// After how many reports more a thread has certainly delivered a batch (cpu_map_kthread_run of the kernel).
// Up to 6.14 it reports a batch when it has delivered it, and one more report is a margin. From 6.15 on it
// reports before, merges segments of a connection (GRO), and delivers at the latest after 64 packets; a batch
// has at least one. With 1000 ticks a second it may hold merged segments longer while it is busy: then
// nothing follows (0).
std::uint32_t find_batches_until_delivered() {
  constexpr std::uint32_t kReportsBehind = 2;
  constexpr std::uint32_t kReportsBefore = 64 + 2;
  utsname name{};
  int major = 0;
  int minor = 0;
  if (uname(&name) != 0 || std::sscanf(name.release, "%d.%d", &major, &minor) != 2) return 0;
  if (major < 6 || (major == 6 && minor < 15)) return kReportsBehind;
  timespec tick{};  // the coarse clock's resolution is the kernel's tick
  if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) != 0) return 0;
  return tick.tv_nsec > base::kNanosecondsPerMillisecond ? kReportsBefore : 0;
}

bpf::Object prepare(const KernelSideOptions& options, std::uint32_t task_state_offset) {
  const std::uint32_t cpus = *std::max_element(options.cpus.begin(), options.cpus.end()) + 1;
  bpf::Object object = bpf::Object::open(bpf::steer_image());
  object.set_entries("bucket_states", options.buckets);
  object.set_entries("bucket_arrivals", options.buckets);
  object.set_entries("target_counts", cpus);
  object.set_entries("target_progress", cpus);
  object.set_entries("cpu_map", cpus);
  object.set_configuration(
      evenkeel_steer_configuration{.bucket_mask = options.buckets - 1,
                                   .inner_tunnel = options.inner_tunnel,
                                   .gap_ns = options.gap_ns,
                                   .batches_until_delivered = find_batches_until_delivered(),
                                   .task_state_offset = task_state_offset});
  return object;
}

Result<bpf::Object> load_object(const KernelSideOptions& options) {
  if (const std::uint32_t offset = find_task_state_offset(); offset != 0) {
    bpf::Object object = prepare(options, offset);
    if (object.load()) return object;
  }
  // Under lockdown a program may not read the kernel's memory: without, a pause stands for the thread's
  // sleep.
  bpf::Object object = prepare(options, 0);
  if (auto loaded = object.load(); !loaded) return loaded.error();
  return object;
}

Error attach_error(int error, XdpMode mode) {
  if (error == EBUSY) {
    return runtime_error("another XDP program came to this interface: `ip link show` names it");
  }
  if (mode == XdpMode::kNative) {
    return runtime_error(
        fmt::format("the driver does not take a native XDP program ({}); --xdp-mode generic works everywhere",
                    std::strerror(error)));
  }
  return runtime_error(fmt::format("cannot attach the XDP program: {}", std::strerror(error)));
}

}  // namespace

Result<KernelSide> KernelSide::load(const KernelSideOptions& options) {
  auto object = load_object(options);
  if (!object) return object.error();
  KernelSide side(std::move(*object));
  auto states =
      bpf::SharedArray<evenkeel_bucket_state>::map(side.object_.map("bucket_states"), options.buckets);
  if (!states) return states.error();
  auto arrivals =
      bpf::SharedArray<evenkeel_bucket_arrival>::map(side.object_.map("bucket_arrivals"), options.buckets);
  if (!arrivals) return arrivals.error();
  const std::size_t cpus = *std::max_element(options.cpus.begin(), options.cpus.end()) + std::size_t{1};
  auto progress = bpf::SharedArray<evenkeel_target_progress>::map(side.object_.map("target_progress"), cpus);
  if (!progress) return progress.error();
  side.progress_ = std::move(*progress);
  side.batches_until_delivered_ = find_batches_until_delivered();
  side.states_ = std::move(*states);
  side.arrivals_ = std::move(*arrivals);
  side.attach_tracepoints();
  if (auto created = side.create_queues(options); !created) return created.error();
  return side;
}

Result<void> KernelSide::create_queues(const KernelSideOptions& options) {
  for (const std::uint32_t cpu : options.cpus) {
    bpf_cpumap_val value{};
    value.qsize = options.queue_size;
    value.bpf_prog.fd = object_.program("evenkeel_arrive");
    if (bpf_map_update_elem(object_.map("cpu_map"), &cpu, &value, 0) == 0) continue;
    return runtime_error(fmt::format("the kernel gives no queue to CPU {}: {}", cpu, std::strerror(errno)));
  }
  return {};
}

// Without tracepoints steering works; then drops are not told apart, and only a pause proves delivery.
void KernelSide::attach_tracepoints() {
  if (!object_.set_variable(0, object_.map_identity("cpu_map"))) return;
  constexpr std::pair<const char*, const char*> kPrograms[] = {{"evenkeel_batch", "xdp_cpumap_kthread"},
                                                               {"evenkeel_enqueue", "xdp_cpumap_enqueue"},
                                                               {"evenkeel_refused", "xdp_redirect_err"}};
  for (const auto& [program, tracepoint] : kPrograms) {
    auto attached = object_.attach_raw_tracepoint(program, tracepoint);
    if (attached) tracepoints_.push_back(std::move(*attached));
  }
  proves_delivery_ = tracepoints_.size() == std::size(kPrograms);
}

Result<void> KernelSide::attach(int interface_index, XdpMode mode) {
  LIBBPF_OPTS(bpf_link_create_opts, options);
  options.flags = mode == XdpMode::kNative ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  const int link = bpf_link_create(object_.program("evenkeel_steer"), interface_index, BPF_XDP, &options);
  if (link < 0) return attach_error(-link, mode);
  link_ = base::FileDescriptor(link);
  return {};
}

Result<evenkeel_target_count> KernelSide::target_count(std::uint32_t cpu) const {
  return bpf::read_per_cpu_sum<evenkeel_target_count>(object_.map("target_counts"), cpu);
}

Result<std::uint64_t> KernelSide::counter(evenkeel_steer_counter which) const {
  return bpf::read_per_cpu_sum<std::uint64_t>(object_.map("counters"), which);
}

// The thread is named "cpumap/CPU/map:MAP"; before 5.17 the name is cut to 15 characters.
int KernelSide::thread_of(std::uint32_t cpu) const {
  const std::string name = fmt::format("cpumap/{}/map:{}", cpu, object_.map_identity("cpu_map"));
  constexpr std::size_t kNameCut = 15;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string task = entry.path().filename().string();
    if (task.find_first_not_of("0123456789") != std::string::npos) continue;
    auto comm = meter::read_file(entry.path().string() + "/comm");
    if (!comm || !comm->starts_with("cpumap/")) continue;
    comm->erase(std::min(comm->find('\n'), comm->size()));
    if (*comm == name || (comm->size() == kNameCut && name.starts_with(*comm))) return std::stoi(task);
  }
  return 0;
}

}  // namespace evenkeel::actuator
