// The live input of one worker: its receive rings, one for each interface, as one source.
//
// Several interfaces are merged by the kernel's time, so that of two taps of one link the question comes
// before the answer. Rings show packets in blocks: where one is silent, packets of the others are held back
// until nothing older can become visible in it (at most ReceiveRing::delay_max_ns()).
//
// Thread: all calls come from the worker, but for deliver() and end() [control].
#pragma once

#include <poll.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/steered_source.h"
#include "evenkeel/source.h"
#include "source/live/receive_ring.h"

namespace evenkeel::source {

class LiveSource final : public Source, public engine::SteeredSource {
 public:
  explicit LiveSource(std::size_t inputs);
  ~LiveSource() override;

  ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) override;
  bool can_wait() const override { return false; }
  SourceStatistics statistics() const override;
  std::int64_t quiet_until_ns() const override { return quiet_until_ns_; }
  std::string name() const override { return "live"; }

  void begin_fence() override;
  bool fence_passed() override;

  // Waits for packets, at most `patience_ms`.
  void wait(int patience_ms);
  bool backlogged(std::size_t packets) const;

  // [control] Gives the source a new ring of an input, which comes after the one that it has. False: the one
  // given before was not taken yet.
  bool deliver(std::size_t input, std::unique_ptr<ReceiveRing>& ring);
  // [control] No ring gets any more packets: the source ends when it has handed out what is in them.
  void end() { ending_.store(true, std::memory_order_release); }

  // [any]
  const RingCounters& counters(std::size_t input) const { return lanes_[input]->counters; }
  RingCounters& counters(std::size_t input) { return lanes_[input]->counters; }

 private:
  static constexpr std::size_t kHeads = 32;

  struct Lane {
    RingCounters counters;
    std::unique_ptr<ReceiveRing> ring;      // from which packets come
    std::unique_ptr<ReceiveRing> next;      // its interface has come back: when `ring` is empty
    std::atomic<ReceiveRing*> delivered{};  // by the control thread, not taken yet
    std::array<Packet*, kHeads> heads{};    // received, from begin to end, yet to be merged
    std::size_t begin = 0;
    std::size_t end = 0;
    std::uint64_t merged = 0;  // heads handed on, ever
    std::uint64_t fence = 0;   // ... of which so many lie before the fence; known when the ring has passed it
    bool ring_fenced = false;  // the ring has not passed it yet

    bool empty() const { return begin == end; }
  };

  std::size_t receive_from(Lane& lane, std::span<Packet*> out);
  std::size_t receive_merged(std::span<Packet*> out);
  Lane* earliest(std::int64_t visible_ns);
  void take_delivered(Lane& lane);
  void retire(std::unique_ptr<ReceiveRing> ring);
  void look_at_clock();
  void tidy();

  std::vector<std::unique_ptr<Lane>> lanes_;           // by input
  std::vector<std::unique_ptr<ReceiveRing>> retired_;  // gone, but for packets that workers hold
  std::vector<pollfd> polled_;
  std::atomic<bool> ending_{false};
  bool end_fenced_ = false;
  std::int64_t quiet_until_ns_;
};

}  // namespace evenkeel::source
