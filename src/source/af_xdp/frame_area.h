// The frame area (UMEM) of one receive queue, and its fill ring: shared by the sockets of all workers.
//
// The kernel takes empty frames from the fill ring, which has one producer. Workers return frames in batches,
// and whoever finds another at it keeps its batch for later: nobody waits.
//
// Thread: open() [control], give_back() [worker].
#pragma once

#include <linux/if_xdp.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/units.h"
#include "evenkeel/result.h"

namespace evenkeel::source {

struct FrameAreaSize {
  std::uint32_t frames = 16'384;  // a power of two
  std::uint32_t frame_bytes = 2'048;
};

class FrameArea {
 public:
  // Memory for the frames, on huge pages where there are some.
  static Result<std::shared_ptr<FrameArea>> open(const FrameAreaSize& size);
  ~FrameArea();
  FrameArea(const FrameArea&) = delete;
  FrameArea& operator=(const FrameArea&) = delete;

  // Gives the area and its fill ring to the first socket of the queue, all frames in the fill ring.
  Result<void> give_to(int socket);

  std::uint8_t* at(std::uint64_t address) const { return memory_ + address; }
  // The frame that holds this byte.
  std::uint64_t frame_of(const std::uint8_t* byte) const {
    return static_cast<std::uint64_t>(byte - memory_) & ~std::uint64_t{size_.frame_bytes - 1};
  }
  bool on_huge_pages() const { return huge_; }

  // Returns frames to the kernel and empties the list, unless another worker is at it.
  void give_back(std::vector<std::uint64_t>& frames);

 private:
  explicit FrameArea(const FrameAreaSize& size) : size_(size) {}
  std::size_t bytes() const { return std::size_t{size_.frames} * size_.frame_bytes; }
  void write(const std::vector<std::uint64_t>& frames);

  const FrameAreaSize size_;
  std::uint8_t* memory_ = nullptr;
  bool huge_ = false;
  void* ring_ = nullptr;
  std::size_t ring_bytes_ = 0;
  std::uint32_t* producer_ = nullptr;
  std::uint64_t* entries_ = nullptr;
  alignas(base::kCacheLine) std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
  std::uint32_t filled_ = 0;  // under busy_
};

}  // namespace evenkeel::source
