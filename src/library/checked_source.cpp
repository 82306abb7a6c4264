#include "library/checked_source.h"

#include <fmt/format.h>

#include <utility>

#include "base/time_range.h"

namespace evenkeel::library {

ReceiveStatus CheckedSource::receive(std::span<Packet*> out, std::size_t& count) {
  if (error_) {
    count = 0;
    return ReceiveStatus::kError;
  }
  count = 0;  // of a source that forgets to say
  const ReceiveStatus status = inner_.receive(out, count);
  if (count > out.size()) {
    const std::size_t handed_out = std::exchange(count, 0);
    return fail(fmt::format("handed out {} packets where there was room for {}", handed_out, out.size()));
  }
  for (std::size_t i = 0; i < count; ++i) {
    Packet* const packet = out[i];
    if (packet != nullptr && packet->block != nullptr &&
        (packet->data != nullptr || packet->captured_length == 0)) {
      packet->source = number_;
      packet->time_ns = base::bounded_time_ns(packet->time_ns);
      continue;
    }
    count = i;
    return fail("handed out a packet that is null, or without a block, or without bytes");
  }
  return status == ReceiveStatus::kError ? reason_given() : status;
}

// An end by an error without one would look like a success.
ReceiveStatus CheckedSource::reason_given() {
  const std::optional<Error> error = inner_.error();
  if (error && !error->message.empty()) return ReceiveStatus::kError;
  return fail("failed without saying why: with kError, error() gives the reason");
}

ReceiveStatus CheckedSource::fail(std::string what) {
  error_ = runtime_error(fmt::format("source {} {}", inner_.name(), what));
  return ReceiveStatus::kError;
}

}  // namespace evenkeel::library
