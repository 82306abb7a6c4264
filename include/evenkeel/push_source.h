// A source that is pushed: feeds an engine from the author's own receive loop.
//
//   auto packets = *PushSource::make({});
//   auto engine = Engine<Handler>::make({.sources = {packets}});
//   engine->start();
//   while (receive(frame)) packets->push({frame.bytes, frame.time_ns});
//   packets->end();
//   auto report = engine->wait();
//
// Packets are copied into memory that the source reserved at the start, and the caller's bytes are free when
// push() returns. Who wants no copy writes a Source and lends out blocks (source.h; examples/custom_source).
//
// Threads: push, pass_time and end [one thread of the author's at a time]; the engine's dispatcher takes.
// Cost: a copy, and about 30 instructions a packet in bursts. No allocation after make().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "evenkeel/api.h"
#include "evenkeel/result.h"
#include "evenkeel/source.h"

namespace evenkeel {

// A packet on its way in.
struct PushPacket {
  std::span<const std::uint8_t> bytes;
  std::int64_t time_ns = 0;       // since 1970; packet time is made of this
  std::uint32_t wire_length = 0;  // where not all of it was captured; 0: as many as there are bytes
};

struct PushSourceOptions {
  std::string name = "push";
  LinkType link = LinkType::kEthernet;     // what packets begin with
  std::uint32_t packets_max = 8192;        // that the engine may hold at once, about; 64 to 1,048,576
  std::uint32_t packet_bytes_mean = 1024;  // memory is packets_max times this, touched as it is used
  bool engine_waits =
      false;  // where a worker is too slow: push() finds no room, instead of the engine dropping
};

enum class PushStatus : std::uint8_t {
  kTaken,
  kFull,     // the engine holds packets_max already: try again, or let it go
  kTooLong,  // longer than a packet can be
  kClosed,   // after end(), or when the engine has ended; it stays so: another engine of it is a usage error
};

class EVENKEEL_API PushSource : public Source {
 public:
  // Bytes of a packet at most.
  static constexpr std::size_t kPacketBytesMax = 65'536 + 64;

  static Result<std::shared_ptr<PushSource>> make(const PushSourceOptions& options);

  virtual PushStatus push(const PushPacket& packet) = 0;

  // As many of them as there is room for, in order; how many. The rest is for the author to push again, or to
  // let go; the first of them, pushed alone, says why.
  virtual std::size_t push(std::span<const PushPacket> packets) = 0;

  // Time has come this far though no packet came: timers fire, connections expire.
  virtual void pass_time(std::int64_t now_ns) = 0;

  // No packet will come any more.
  virtual void end() = 0;

 protected:
  PushSource() = default;
};

}  // namespace evenkeel
