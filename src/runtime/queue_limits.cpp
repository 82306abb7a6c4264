#include "runtime/queue_limits.h"

#include <fmt/format.h>

#include <algorithm>

namespace evenkeel::runtime {

Result<engine::QueueLimits> queue_limits(const GivenQueueLimits& given, const QueueLimitNames& names) {
  engine::QueueLimits limits;
  if (given.worker) limits = engine::QueueLimits::of_worker(*given.worker);
  limits.bucket_packets = given.bucket.value_or(limits.bucket_packets);
  if (limits.bucket_packets > limits.worker_packets)
    return usage_error(fmt::format("{} {} is above what may wait at a worker ({}): raise {}, or lower it",
                                   names.bucket, limits.bucket_packets, limits.worker_packets, names.worker));
  limits.connection_packets =
      given.connection.value_or(std::min(limits.connection_packets, limits.bucket_packets));
  if (limits.connection_packets > limits.bucket_packets)
    return usage_error(fmt::format("{} {} is above what may wait of a bucket ({}): raise {}, or lower it",
                                   names.connection, limits.connection_packets, limits.bucket_packets,
                                   names.bucket));
  return limits;
}

}  // namespace evenkeel::runtime
