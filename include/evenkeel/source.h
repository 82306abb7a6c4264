// Sources: where packets come from. One interface for captures, generators and live interfaces, and for
// sources of an author's own (Options::sources; examples/custom_source.cpp).
//
// A source may not throw: an exception ends the process.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "evenkeel/api.h"
#include "evenkeel/packet.h"
#include "evenkeel/result.h"

namespace evenkeel {

// Memory that a source lends out: packet descriptors and their bytes. The source hands packets out and takes
// the block back when all of them were released, so that no packet is copied and no memory is allocated on
// the way.
//
// Ownership: `handed` is the source's [dispatcher]; `released` is added to by any worker [any]. The block is
// free when the two are equal and the source will hand out no more of it.
class PacketBlock {
 public:
  // [source's thread] before the packets are returned by receive().
  void hand_out(std::uint32_t packets) { handed_ += packets; }

  // [any] The release order makes all that the worker read from the packets happen before the source writes
  // to the block again, which it does only after all_released() saw the sum with acquire order.
  void release(std::uint32_t packets) { released_.fetch_add(packets, std::memory_order_release); }

  // [source's thread]
  bool all_released() const { return released_.load(std::memory_order_acquire) == handed_; }
  // [source's thread] Packets handed out and not released yet; both counts wrap around alike.
  std::uint32_t outstanding() const { return handed_ - released_.load(std::memory_order_acquire); }

 private:
  std::uint32_t handed_ = 0;
  alignas(64) std::atomic<std::uint32_t> released_{0};
};

enum class ReceiveStatus : std::uint8_t {
  kMore,   // call again at once
  kIdle,   // nothing now (no packet has arrived, not yet due, or all blocks are lent out); call again soon
  kEnd,    // no packet will come any more
  kError,  // ended by an error, which error() gives. What was handed out before stays valid
};

// What a source counts of itself.
struct SourceStatistics {
  std::uint64_t received = 0;  // packets handed out
  std::uint64_t bytes = 0;     // wire bytes of these
  std::uint64_t dropped_before =
      0;  // lost before the source saw them (kernel ring full, interface), where it knows
  std::uint64_t bytes_read = 0;                // of the input, for progress
  std::optional<std::uint64_t> bytes_total;    // of the input, where known
  std::optional<std::uint64_t> packets_total;  // that it will hand out, where it counts in these
};

// One input of a source that may join several.
struct InputStatistics {
  std::string name;
  std::uint64_t packets = 0;   // handed out
  std::uint64_t bytes = 0;     // wire bytes of these
  std::optional<Error> error;  // what ended it early
};

// Thread: all calls come from the one dispatcher that owns the source, but for statistics(), which the
// dispatcher calls as well and publishes.
class EVENKEEL_API Source {
 public:
  virtual ~Source() = default;

  // Writes up to out.size() packets, in arrival order, with their [source] fields filled, and their number to
  // `count`. Packets may come with kMore, kIdle, kEnd and kError alike: handle them before the status.
  virtual ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) = 0;

  // True where the source can wait (a file, a generator): the engine then waits instead of dropping.
  virtual bool can_wait() const = 0;

  virtual SourceStatistics statistics() const = 0;

  // Packet time up to which nothing more will come, where a source can tell without a packet (a live
  // interface, by its clock); asked when receive() gave none. Timers then fire though the line is silent.
  virtual std::int64_t quiet_until_ns() const { return std::numeric_limits<std::int64_t>::min(); }

  // What ended the source early (a truncated capture, an interface that went away), or nothing. It comes into
  // the report. After kError there must be one: else the report says that there was none.
  virtual std::optional<Error> error() const { return std::nullopt; }

  // [any] The engine has ended, or was told to stop: nothing that comes from now on will be served, though
  // receive() may be called for some milliseconds more. May be called more than once.
  virtual void closed() {}

  // [any] Whether the source cannot begin anew after closed(): to make an engine of it is a usage error then.
  virtual bool is_over() const { return false; }

  // For people: "capture.pcap", "generator:campus".
  virtual std::string name() const = 0;

  // Its inputs, in the order of Packet::source: itself, or those that it joins. When it has ended.
  virtual std::vector<InputStatistics> inputs() const;

  // [any] For engines: a source feeds one at a time. False where another has it.
  bool claim() { return !claimed_.exchange(true, std::memory_order_acquire); }
  // Release: what this engine did with the source happens before the next engine's claim.
  void give_back() { claimed_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> claimed_{false};
};

inline std::vector<InputStatistics> Source::inputs() const {
  const SourceStatistics own = statistics();
  return {{name(), own.received, own.bytes, error()}};
}

}  // namespace evenkeel
