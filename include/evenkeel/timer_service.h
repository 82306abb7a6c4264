// Timers for connections, without packets: N timer threads, each serving the connections of its buckets.
//
// A connection is mapped to a bucket by local address, local port, remote address and remote port. Each
// bucket belongs to one timer thread; when the threads' measured work drifts apart, buckets move between
// them, by the same policies and the same handover as in the engine, and their timers move along. A timer's
// handler runs only on the thread that owns its connection's bucket, one at a time, so what the handlers of
// one connection touch needs no lock.
//
//   auto service = TimerService::make({.threads = 2}, [](TimerService& timers, const TimerExpiry& expiry) {
//     send_keepalive(expiry.tag);
//     timers.start(expiry.connection, expiry.timer, 15s);   // on the owner itself: no queue, no lock
//   });
//   auto connection = (*service)->add(tuple, tag);
//   (*service)->start(*connection, 0, 15s);
//
// Threads: every call may come from any thread. Calls of one thread for one connection take effect in their
// order. A call is passed to the owner through a ring; a timer fires at most one tick (resolution) and one
// slice of work after its time, never before. A cancel that comes from another thread while the timer is
// firing is too late.
//
// Memory is reserved at start-up, by connections_max and timers_per_connection: 8 bytes a timer and 32 a
// connection, and about 10 bytes for each timer that runs; resident is what was used. Nothing is allocated
// afterwards but a few kilobytes while buckets change hands.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "evenkeel/api.h"
#include "evenkeel/ids.h"
#include "evenkeel/result.h"

namespace evenkeel {

class TimerService;

// IPv4 addresses stand in the first 4 bytes, the rest is zero. Addresses in network byte order, ports as
// numbers.
struct TimerTuple {
  std::array<std::uint8_t, 16> local_address{};
  std::array<std::uint8_t, 16> remote_address{};
  std::uint16_t local_port = 0;
  std::uint16_t remote_port = 0;
  std::uint8_t ip_version = 4;
};

// A connection that was added. Valid until remove(); later calls with it are ignored, until its slot has been
// used 2^32 times. One that add() never gave, or that is another service's, is kUnknown or ignored as well,
// unless it happens to be that of a connection which is there; whatever comes, timers fire on their owner.
struct TimerConnection {
  std::uint32_t slot = 0;
  std::uint16_t bucket = 0;
  std::uint32_t generation = 0;  // how often the slot had been used before

  friend bool operator==(const TimerConnection&, const TimerConnection&) = default;
};

struct TimerExpiry {
  TimerConnection connection;
  std::uint64_t tag = 0;     // as given to add()
  std::uint8_t timer = 0;    // which of the connection's timers
  ProcessorId thread;        // the timer thread that runs the handler
  std::int64_t late_ns = 0;  // after the time that was asked for
};

using TimerHandler = std::function<void(TimerService&, const TimerExpiry&)>;

struct TimerServiceOptions {
  std::uint32_t threads = 1;
  std::uint32_t buckets = 1024;  // a power of two
  std::uint32_t connections_max = 1'000'000;
  std::uint32_t timers_per_connection = 1;  // 1 to 16
  // A tick: 10 us to 1 s. Delays go to 2^33 ticks: 99 days at 1 ms, 9 days at 100 us, 23 hours at 10 us.
  std::chrono::nanoseconds resolution{1'000'000};
  std::string hash = "toeplitz";  // or "crc32c"
  std::string policy = "index";   // how buckets are assigned: see evenkeel/policy.h
  std::chrono::nanoseconds rebalance_interval{100'000'000};
  std::optional<std::vector<std::uint32_t>>
      processors{};  // to pin the threads to; nothing: the first of those allowed
};

// Counts since the start; of one thread, or of all.
struct TimerCounts {
  std::uint64_t started = 0;    // of a timer that did not run
  std::uint64_t restarted = 0;  // of one that ran
  std::uint64_t cancelled = 0;
  std::uint64_t fired = 0;
  std::uint64_t fired_off_owner = 0;  // a law: always 0
  double late_p99_microseconds = 0;
  double usage = 0;  // busy fraction of the thread since the start; for all: the mean
};

struct TimerReport {
  TimerCounts all;
  std::vector<TimerCounts> threads;
  std::uint64_t moves = 0;  // of buckets between threads
};

// A call from a thread that is not a timer thread goes through a ring: while a handler holds the owner up and
// the ring is full, it waits. So hold no lock there that a handler takes, and call no other service from a
// handler. A handler must not throw, nor end its service.
enum class TimerCall : std::uint8_t {
  kDone,
  kTooLong,  // the delay is 2^33 ticks or more (see TimerServiceOptions::resolution), or negative
  kBusy,     // from a handler only: the ring to another thread is full; try again later
  kUnknown,  // there is no such timer, or the connection is not one that add() gave, or was removed (kDone
             // while that is still on its way to the owner, who then ignores the call)
};

class EVENKEEL_API TimerService {
 public:
  // Starts the threads. A usage error for options out of range and an empty handler; a runtime error where
  // memory or threads are refused.
  static Result<std::unique_ptr<TimerService>> make(const TimerServiceOptions& options, TimerHandler handler);
  virtual ~TimerService() = default;  // ends the threads; timers that have not fired never will

  // A new connection, or nothing when there are connections_max (and a few more) already. `tag` comes back
  // with each expiry.
  virtual std::optional<TimerConnection> add(const TimerTuple& tuple, std::uint64_t tag) = 0;

  // Cancels the connection's timers and ends it.
  virtual TimerCall remove(TimerConnection connection) = 0;

  // The timer will fire once, `delay` from now, whether it runs already or not.
  virtual TimerCall start(TimerConnection connection, std::uint8_t timer, std::chrono::nanoseconds delay) = 0;

  // The same, but does nothing if the timer does not run (when the call reaches the owner).
  virtual TimerCall restart(TimerConnection connection, std::uint8_t timer,
                            std::chrono::nanoseconds delay) = 0;

  virtual TimerCall cancel(TimerConnection connection, std::uint8_t timer) = 0;

  virtual TimerReport report() const = 0;

 protected:
  TimerService() = default;
};

}  // namespace evenkeel
