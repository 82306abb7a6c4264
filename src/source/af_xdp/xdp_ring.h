// One worker's AF_XDP sockets of an interface, one for each receive queue, as one receive ring
// (Documentation/networking/af_xdp.rst).
//
// Packets are handed out in the frame where the driver or the kernel put them; frames go back in batches when
// workers have released their packets. The kernel's program has written the time in front of each packet.
//
// Thread: [worker], but where noted.
#pragma once

#include <linux/if_xdp.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/file_descriptor.h"
#include "evenkeel/result.h"
#include "source/af_xdp/frame_area.h"
#include "source/live/descriptor_chunks.h"
#include "source/live/receive_ring.h"
#include "source/packet_filter.h"

namespace evenkeel::source {

// Where a socket is bound: a queue of an interface, its frame area, and the socket that has it (-1: this is
// the first, and gets it).
struct XdpPlace {
  int interface_index = 0;
  std::uint32_t queue = 0;
  std::shared_ptr<FrameArea> area;
  int first_socket = -1;
  bool zero_copy = false;
};

class XdpSocket {
 public:
  // [control]
  static Result<std::unique_ptr<XdpSocket>> open(const XdpPlace& place, std::uint32_t ring_size);
  ~XdpSocket();
  XdpSocket(const XdpSocket&) = delete;
  XdpSocket& operator=(const XdpSocket&) = delete;

  int descriptor() const { return socket_.get(); }
  FrameArea& area() const { return *area_; }

  // Descriptors that wait, up to `most`, as positions from the first one that was not taken.
  std::uint32_t waiting(std::uint32_t most);
  const xdp_desc& at(std::uint32_t position) const { return entries_[(taken_ + position) & (size_ - 1)]; }
  // Gives the first `count` places back to the kernel.
  void take(std::uint32_t count);
  // How many the kernel has put in, and how many were taken, modulo 2^32.
  std::uint32_t arrived() const;
  std::uint32_t taken() const { return taken_; }
  std::uint32_t size() const { return size_; }
  // Packets lost so far: no frame, no place in the ring, or too large for a frame.
  std::uint64_t dropped() const;
  bool zero_copy() const;

 private:
  XdpSocket() = default;
  Result<void> map_ring(std::uint32_t size);

  base::FileDescriptor socket_;
  std::shared_ptr<FrameArea> area_;
  void* ring_ = nullptr;
  std::size_t ring_bytes_ = 0;
  std::uint32_t* producer_ = nullptr;
  std::uint32_t* consumer_ = nullptr;
  xdp_desc* entries_ = nullptr;
  std::uint32_t size_ = 0;
  std::uint32_t taken_ = 0;
  std::uint32_t known_ = 0;  // put in by the kernel, as far as looked at
};

class XdpRing final : public ReceiveRing {
 public:
  // `refuse`: [control] takes the sockets out of the kernel's map.
  XdpRing(std::vector<std::unique_ptr<XdpSocket>> sockets, const DescriptorChunks::Common& common,
          const PacketFilter& filter, RingCounters& counters, std::function<void()> refuse);

  std::size_t receive(std::span<Packet*> out) override;
  void begin_fence() override;
  bool fence_passed() const override;
  bool backlogged(std::size_t packets) const override;
  void tidy() override;
  bool all_released() override;
  std::span<const int> descriptors() const override { return descriptors_; }
  void refuse_more() override { refuse_(); }
  std::int64_t delay_max_ns() const override;

 private:
  struct Queue {
    std::unique_ptr<XdpSocket> socket;
    DescriptorChunk* chunk = nullptr;
    std::vector<std::uint64_t> returns;  // frames on their way back
    std::uint32_t fence = 0;
  };

  bool open_chunk(std::uint32_t number);
  void close_chunk(Queue& queue);
  void sweep();
  std::size_t walk(Queue& queue, std::span<Packet*> out);
  std::uint32_t discard_to_fence(Queue& queue);
  void describe(const Queue& queue, const xdp_desc& entry, Packet& packet);
  void look_at_clocks();
  void read_drops();

  RingCounters& counters_;
  const PacketFilter filter_;
  const std::function<void()> refuse_;
  DescriptorChunks chunks_;
  std::vector<Queue> queues_;
  std::vector<int> descriptors_;
  std::uint32_t turn_ = 0;  // queue that is read first
  std::int64_t monotonic_ns_ = 0;
  std::int64_t real_less_monotonic_ns_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t drops_ = 0;  // as last read
};

}  // namespace evenkeel::source
