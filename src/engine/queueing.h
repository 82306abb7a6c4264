// How a worker orders the work that waits: the choices, and their defaults.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/units.h"
#include "engine/queue_weights.h"

namespace evenkeel::engine {

enum class Discipline : std::uint8_t {
  kFifo,      // as they come
  kFair,      // each connection its share of processor time
  kWeighted,  // the same, shares by rule
};

inline constexpr std::string_view kDisciplineNames[] = {"fifo", "fair", "weighted"};

inline constexpr std::int64_t kQuantumDefault_ns = 50 * base::kNanosecondsPerMicrosecond;

// Packets that may wait. A worker's: as many again as its ring holds, twice; a bucket's and a connection's
// keep one of them from taking all of it.
struct QueueLimits {
  std::uint32_t worker_packets = 8192;
  std::uint32_t bucket_packets = 4096;
  std::uint32_t connection_packets = 2048;

  static QueueLimits of_worker(std::uint32_t packets) {
    return {packets, packets < 2 ? 1 : packets / 2, packets < 4 ? 1 : packets / 4};
  }
};

struct QueueingOptions {
  Discipline discipline = Discipline::kFifo;
  std::int64_t quantum_ns = kQuantumDefault_ns;
  QueueLimits limits = {};
  // Live input: what exceeds a limit is shed, and CoDel acts on delay. Otherwise the worker takes in no more
  // than the worker's limit, and the input waits.
  bool sheds = true;
  // RFC 8289, 4.3 and 4.4: 5 % of a round-trip time of 100 ms.
  std::int64_t codel_target_ns = 5 * base::kNanosecondsPerMillisecond;
  std::int64_t codel_interval_ns = 100 * base::kNanosecondsPerMillisecond;
  QueueWeights weights = {};  // of Discipline::kWeighted

  bool fair() const { return discipline != Discipline::kFifo; }
};

}  // namespace evenkeel::engine
