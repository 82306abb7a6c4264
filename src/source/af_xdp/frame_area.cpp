#include "source/af_xdp/frame_area.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace evenkeel::source {
namespace {

constexpr int kXdpLevel = 283;  // SOL_XDP

Error failed(const char* what) {
  const char* const hint =
      errno == ENOBUFS || errno == ENOMEM
          ? " (the limit of locked memory: `ulimit -l`, or cap_ipc_lock; or fewer frames=)"
          : "";
  return runtime_error(fmt::format("cannot {} an AF_XDP socket: {}{}", what, std::strerror(errno), hint));
}

}  // namespace

Result<std::shared_ptr<FrameArea>> FrameArea::open(const FrameAreaSize& size) {
  std::shared_ptr<FrameArea> area(new FrameArea(size));
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
  void* memory = mmap(nullptr, area->bytes(), PROT_READ | PROT_WRITE, kFlags | MAP_HUGETLB, -1, 0);
  area->huge_ = memory != MAP_FAILED;
  if (!area->huge_) {
    memory = mmap(nullptr, area->bytes(), PROT_READ | PROT_WRITE, kFlags, -1, 0);
    if (memory == MAP_FAILED)
      return runtime_error(fmt::format("no memory for {} frames: {}", size.frames, std::strerror(errno)));
    (void)madvise(memory, area->bytes(), MADV_HUGEPAGE);
  }
  area->memory_ = static_cast<std::uint8_t*>(memory);
  return area;
}

FrameArea::~FrameArea() {
  if (ring_ != nullptr) munmap(ring_, ring_bytes_);
  if (memory_ != nullptr) munmap(memory_, bytes());
}

Result<void> FrameArea::give_to(int socket) {
  xdp_umem_reg registration{};
  registration.addr = reinterpret_cast<std::uint64_t>(memory_);
  registration.len = bytes();
  registration.chunk_size = size_.frame_bytes;
  if (setsockopt(socket, kXdpLevel, XDP_UMEM_REG, &registration, sizeof registration) != 0)
    return failed("give memory to");
  const int fill_size = static_cast<int>(size_.frames);
  const int completion_size = 64;  // nothing is sent, but the kernel wants it
  if (setsockopt(socket, kXdpLevel, XDP_UMEM_FILL_RING, &fill_size, sizeof fill_size) != 0 ||
      setsockopt(socket, kXdpLevel, XDP_UMEM_COMPLETION_RING, &completion_size, sizeof completion_size) != 0)
    return failed("size the rings of");
  xdp_mmap_offsets offsets{};
  socklen_t length = sizeof offsets;
  if (getsockopt(socket, kXdpLevel, XDP_MMAP_OFFSETS, &offsets, &length) != 0)
    return failed("find the rings of");
  ring_bytes_ = offsets.fr.desc + std::size_t{size_.frames} * sizeof(std::uint64_t);
  void* const ring = mmap(nullptr, ring_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, socket,
                          static_cast<off_t>(XDP_UMEM_PGOFF_FILL_RING));
  if (ring == MAP_FAILED) return failed("map the fill ring of");
  ring_ = ring;
  auto* const base = static_cast<std::uint8_t*>(ring);
  producer_ = reinterpret_cast<std::uint32_t*>(base + offsets.fr.producer);
  entries_ = reinterpret_cast<std::uint64_t*>(base + offsets.fr.desc);
  std::vector<std::uint64_t> all(size_.frames);
  for (std::uint32_t i = 0; i < size_.frames; ++i) all[i] = std::uint64_t{i} * size_.frame_bytes;
  write(all);
  return {};
}

// There is always room: the ring has a place for every frame.
void FrameArea::write(const std::vector<std::uint64_t>& frames) {
  for (const std::uint64_t frame : frames) entries_[filled_++ & (size_.frames - 1)] = frame;
  // Release: the entries, and all reads of the frames, happen before the kernel takes them.
  std::atomic_ref(*producer_).store(filled_, std::memory_order_release);
}

void FrameArea::give_back(std::vector<std::uint64_t>& frames) {
  // Acquire and release: one worker's writes to the ring happen before the next one's.
  if (frames.empty() || busy_.test_and_set(std::memory_order_acquire)) return;
  write(frames);
  busy_.clear(std::memory_order_release);
  frames.clear();
}

}  // namespace evenkeel::source
