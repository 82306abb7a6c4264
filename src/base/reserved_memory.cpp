#include "base/reserved_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace evenkeel::base {
namespace {

constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;
constexpr std::size_t kPageBytes = 4096;  // the least step at which pages are touched

std::uintptr_t round_up(std::uintptr_t value, std::size_t step) { return (value + step - 1) / step * step; }

}  // namespace

Result<ReservedMemory> ReservedMemory::reserve(std::size_t bytes, PageSize pages) {
  const std::size_t alignment = pages == PageSize::kHuge ? kHugePageBytes : kPageBytes;
  const std::size_t size = round_up(bytes == 0 ? 1 : bytes, alignment);
  // The system aligns to pages only: reserve one huge page more and begin at its border.
  const std::size_t mapped = pages == PageSize::kHuge ? size + alignment : size;
  void* mapping =
      mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    return runtime_error(
        fmt::format("cannot reserve {} MB of memory: {}", mapped >> 20, std::strerror(errno)));
  }
  ReservedMemory memory;
  memory.mapping_ = mapping;
  memory.mapped_bytes_ = mapped;
  memory.data_ =
      static_cast<std::byte*>(mapping) + (round_up(reinterpret_cast<std::uintptr_t>(mapping), alignment) -
                                          reinterpret_cast<std::uintptr_t>(mapping));
  memory.size_ = size;
  // A kernel without transparent huge pages refuses the advice; ordinary pages do as well, only slower.
  if (pages == PageSize::kHuge) madvise(memory.data_, size, MADV_HUGEPAGE);
  return memory;
}

ReservedMemory::~ReservedMemory() {
  if (mapping_ != nullptr) munmap(mapping_, mapped_bytes_);
}

Result<void> ReservedMemory::populate() {
#ifdef MADV_POPULATE_WRITE
  if (madvise(data_, size_, MADV_POPULATE_WRITE) == 0) return {};
  if (errno != EINVAL) {
    return runtime_error(fmt::format("cannot get {} MB of memory: {}", size_ >> 20, std::strerror(errno)));
  }
#endif
  // Kernels before 5.14 lack the advice: touch every page. All bytes are still zero or the owner's, so a
  // write of what stands there changes nothing.
  for (std::size_t offset = 0; offset < size_; offset += kPageBytes) {
    volatile std::byte* byte = data_ + offset;
    *byte = *byte;
  }
  return {};
}

}  // namespace evenkeel::base
