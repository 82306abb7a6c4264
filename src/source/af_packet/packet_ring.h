// A packet socket with a receive ring of version 3 (packet(7), Documentation/networking/packet_mmap.rst):
// the kernel copies packets one behind the other into blocks, and hands a block over when it is full or when
// a few milliseconds have passed since its first packet.
//
// Packets are handed out where the kernel put them. A block goes back when workers have released all of its
// packets. Invariant: the kernel fills blocks in the order of the ring, so a block that is kept stops it when
// it comes around; what comes then is dropped, and counted.
//
// Thread: [worker], but where noted. Cost: no system call for each packet, one for each block.
#pragma once

#include <linux/if_packet.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/file_descriptor.h"
#include "evenkeel/result.h"
#include "source/live/descriptor_chunks.h"
#include "source/live/receive_ring.h"
#include "source/packet_filter.h"

namespace evenkeel::source {

struct PacketRingOptions {
  std::uint32_t block_bytes = 128u << 10;  // a multiple of the page size
  std::uint32_t blocks = 128;
  std::uint32_t frame_bytes = 2'048;  // only a hint to the kernel: frames of a block have the size they need
  std::uint32_t hold_ms = 8;          // a block that is not full is handed over after this long
  bool hardware_time = false;         // the card's timestamps where there are any
  bool incoming_only = false;
  DescriptorChunks::Common common;
};

class PacketRing final : public ReceiveRing {
 public:
  // [control] A ring that gets nothing yet: see bind() and admit().
  static Result<std::unique_ptr<PacketRing>> open(const PacketRingOptions& options, RingCounters& counters);
  ~PacketRing() override;

  // [control] In this order, before the worker has the ring. bind(): the socket belongs to the interface,
  // and all is refused. join_group(): one of several among which a program chooses. admit(): what passes the
  // filter gets in.
  Result<void> bind(int interface_index, bool promiscuous);
  // `group`: 0 makes a new one, and its number is returned.
  Result<std::uint16_t> join_group(std::uint16_t group, std::uint32_t members_max);
  Result<void> set_group_program(int program);
  Result<void> admit(const PacketFilter& filter);

  std::size_t receive(std::span<Packet*> out) override;
  void begin_fence() override;
  bool fence_passed() const override { return taken_ >= fence_; }
  bool backlogged(std::size_t packets) const override;
  void tidy() override;
  bool all_released() override;
  std::span<const int> descriptors() const override { return {&descriptor_, 1}; }
  void refuse_more() override;
  std::int64_t delay_max_ns() const override;

 private:
  struct Block {
    std::uint32_t chunks = 0;  // lent out
    bool held = false;         // taken from the kernel and not given back
  };

  PacketRing(const PacketRingOptions& options, RingCounters& counters);
  Result<void> map();
  tpacket_block_desc* block_at(std::uint32_t index) const;
  bool is_ready(std::uint32_t index) const;
  bool open_block();
  void close_block();
  bool open_chunk();
  void close_chunk();
  void sweep();
  void give_back(std::uint32_t index);
  bool discard_to_fence();
  std::size_t walk(std::span<Packet*> out);
  bool describe(const tpacket3_hdr& header, Packet& packet);
  void read_statistics();

  const PacketRingOptions options_;
  RingCounters& counters_;
  base::FileDescriptor socket_;
  std::uint8_t* memory_ = nullptr;
  PacketFilter filter_;  // what the kernel leaves to be judged here
  DescriptorChunks chunks_;
  std::vector<Block> blocks_;
  std::uint32_t next_ = 0;  // block that comes next
  DescriptorChunk* chunk_ = nullptr;
  std::uint8_t* cursor_ = nullptr;      // the next packet, of block next_ - 1
  std::uint32_t left_in_block_ = 0;     // packets from there on
  std::uint32_t packets_of_block_ = 0;  // in the one opened last
  int descriptor_ = -1;                 // socket_'s
  std::uint64_t arrived_ = 0;           // put into the ring by the kernel, as far as asked
  std::uint64_t taken_ = 0;             // of these, passed by receive()
  std::uint64_t fence_ = 0;
  std::uint64_t sequence_ = 0;
};

}  // namespace evenkeel::source
