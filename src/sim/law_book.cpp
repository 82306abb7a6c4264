#include "sim/law_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "sim/synthetic_source.h"

namespace evenkeel::sim {

LawBook::LawBook(const LawBookOptions& options)
    : options_(options),
      seen_(options.sources * options.packets_per_source),
      record_of_(seen_.size()),
      last_sequence_(std::size_t{options.sources} * options.connections, -1),
      last_came_ns_(last_sequence_.size(), std::numeric_limits<std::int64_t>::min()),
      record_(last_sequence_.size()),
      now_ns_(options.sources, std::numeric_limits<std::int64_t>::min()),
      taken_in_version_(options.buckets),
      begun_(seen_.size() + 1) {}

std::size_t LawBook::connection_index(const Packet& packet) const {
  return std::size_t{packet.source} * options_.connections + SyntheticSource::connection_of(packet);
}

// Law 4, the other side of it: which packets make a record, from packet time alone.
void LawBook::came(std::span<Packet* const> packets) {
  for (const Packet* packet : packets) {
    ++came_count_;
    std::int64_t& now_ns = now_ns_[packet->source];
    now_ns = std::max(now_ns, packet->time_ns);
    const std::size_t connection = connection_index(*packet);
    std::int64_t& last_ns = last_came_ns_[connection];
    if (record_[connection] == 0 || now_ns - last_ns >= options_.idle_ns) record_[connection] = ++records_;
    last_ns = now_ns;
    record_of_[index_of(*packet)] = record_[connection];
  }
}

std::uint32_t LawBook::opened(ProcessorId worker, const Packet& packet, const bucket::TableBoard& board) {
  if (++open_connections_ > options_.connections_max)
    violate(fmt::format("boundedness: {} connections are open, {} may be", open_connections_,
                        options_.connections_max));
  check_ownership(worker, packet.bucket, board);
  const std::uint32_t record = record_of_[index_of(packet)];
  if (options_.exact && begun_[record]++ != 0)
    violate(
        fmt::format("sameness: record {} was begun a second time, with packet {}", record, packet.sequence));
  return record;
}

void LawBook::closed(ProcessorId worker, std::uint16_t bucket, std::uint64_t packets,
                     const bucket::TableBoard& board) {
  --open_connections_;
  if (packets == 0) violate("sameness: a connection was opened without a packet");
  check_ownership(worker, bucket, board);
}

void LawBook::due(ProcessorId worker, std::uint16_t bucket, std::int64_t deadline_ns, std::int64_t now_ns,
                  const bucket::TableBoard& board) {
  if (now_ns < deadline_ns) violate("timers: a handler's deadline came early");
  check_ownership(worker, bucket, board);
}

void LawBook::served(ProcessorId worker, const Packet& packet, std::uint32_t record,
                     const bucket::TableBoard& board) {
  ++served_count_;
  std::uint8_t& seen = seen_[index_of(packet)];
  if (seen++ != 0)
    violate(
        fmt::format("conservation: packet {} of source {} was served twice", packet.sequence, packet.source));
  check_order(packet);
  check_ownership(worker, packet.bucket, board);
  if (options_.exact && record != record_of_[index_of(packet)])
    violate(fmt::format("sameness: packet {} of source {} was put into record {}, and belongs to record {}",
                        packet.sequence, packet.source, record, record_of_[index_of(packet)]));
}

// Law 1.
void LawBook::check_order(const Packet& packet) {
  std::int64_t& last = last_sequence_[connection_index(packet)];
  const auto sequence = static_cast<std::int64_t>(packet.sequence);
  if (sequence < last)
    violate(fmt::format("order: packet {} of connection {} was served after packet {}", sequence,
                        SyntheticSource::connection_of(packet), last));
  last = std::max(last, sequence);
}

// Law 3: a bucket is served by the worker that the newest table names, or, until that one has begun, by the
// one that the table before it named.
void LawBook::check_ownership(ProcessorId worker, std::uint16_t bucket, const bucket::TableBoard& board) {
  const bucket::TableVersion& table = board.newest();
  std::uint32_t& taken = taken_in_version_[bucket];
  if (table.owner[bucket] == worker.value()) {
    taken = table.version;
    return;
  }
  const bool was_owner =
      taken != table.version && !board.settled() &&
      std::any_of(table.reassignments.begin(), table.reassignments.end(),
                  [&](const auto& move) { return move.bucket.value() == bucket && move.from == worker; });
  if (!was_owner)
    violate(fmt::format("ownership: worker {} touched bucket {}, which is worker {}'s", worker.value(),
                        bucket, table.owner[bucket]));
}

// Law 2, at any time: what came and went to nobody is still lent out.
void LawBook::check_conservation(const Counted& counted) {
  if (counted.processed != served_count_)
    violate("conservation: the engine counts otherwise than its handlers");
  if (served_count_ + counted.dropped + counted.other + counted.lent != came_count_)
    violate(fmt::format(
        "conservation: {} packets came, {} were served, {} dropped, {} are no connection's and {} "
        "are not given back",
        came_count_, served_count_, counted.dropped, counted.other, counted.lent));
}

void LawBook::check_end(std::uint64_t dropped) {
  if (served_count_ + dropped != seen_.size())
    violate(fmt::format("conservation: {} packets came, {} were served and {} dropped", seen_.size(),
                        served_count_, dropped));
  if (open_connections_ != 0)
    violate(fmt::format("conservation: {} connections were not closed", open_connections_));
}

}  // namespace evenkeel::sim
