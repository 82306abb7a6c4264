// A ring that the kernel fills with packets of one interface for one worker.
//
// Thread: [worker], the one whose ring it is, but where noted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "evenkeel/packet.h"
#include "meter/counter.h"

namespace evenkeel::source {

// Of one input at one worker; they outlive a ring that went away with its interface. Written by the worker.
struct RingCounters {
  meter::Counter packets;       // handed out
  meter::Counter bytes;         // of these, on the wire
  meter::Counter kernel_drops;  // for which the ring had no room
};

class ReceiveRing {
 public:
  virtual ~ReceiveRing() = default;

  // Writes up to out.size() packets to `out`, in the order of the ring, and returns their number.
  virtual std::size_t receive(std::span<Packet*> out) = 0;

  // Remembers what the kernel has put into the ring until now; then: whether receive() has passed all of it.
  virtual void begin_fence() = 0;
  virtual bool fence_passed() const = 0;

  // Whether more than about so many packets, or most of the ring, wait to be read.
  virtual bool backlogged(std::size_t packets) const = 0;

  // Nothing was found: gives back to the kernel what workers have released, and reads its counters.
  virtual void tidy() = 0;

  // Whether workers have released all packets: only then may the ring go.
  virtual bool all_released() = 0;

  // To be polled for input.
  virtual std::span<const int> descriptors() const = 0;

  // [control] The kernel puts nothing into the ring any more, from a grace period (grace_period.h) later on.
  virtual void refuse_more() = 0;

  // How long after its arrival a packet may become visible here, at most.
  virtual std::int64_t delay_max_ns() const = 0;
};

}  // namespace evenkeel::source
