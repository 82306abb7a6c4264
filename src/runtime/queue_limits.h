// How many packets may wait, from what a user gave of it.
//
// Law: what may wait at a worker holds what may wait of a bucket, and that what may wait of a connection.
//
// Thread: [any]. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "engine/queueing.h"
#include "evenkeel/result.h"

namespace evenkeel::runtime {

// In packets. Nothing: the default of a worker; half of a worker's; a quarter of a worker's, or a bucket's
// where that is less.
struct GivenQueueLimits {
  std::optional<std::uint32_t> worker = {}, bucket = {}, connection = {};
};

// What the user calls them.
struct QueueLimitNames {
  std::string_view worker, bucket, connection;
};

// A usage error where one is above what must hold it.
Result<engine::QueueLimits> queue_limits(const GivenQueueLimits& given, const QueueLimitNames& names);

}  // namespace evenkeel::runtime
