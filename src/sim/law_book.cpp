#include "sim/law_book.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/synthetic_source.h"

namespace evenkeel::sim {

LawBook::LawBook(std::uint32_t sources, std::uint64_t packets_per_source, std::uint32_t connections)
    : packets_per_source_(packets_per_source),
      connections_(connections),
      seen_(sources * packets_per_source),
      last_sequence_(std::size_t{sources} * connections, -1) {}

void LawBook::served(ProcessorId worker, const Packet& packet, const bucket::TableBoard& board) {
  ++served_count_;
  std::uint8_t& seen = seen_[packet.source * packets_per_source_ + packet.sequence];
  if (seen++ != 0)
    violate(
        fmt::format("conservation: packet {} of source {} was served twice", packet.sequence, packet.source));
  check_order(packet);
  check_ownership(worker, packet, board);
}

// Law 1.
void LawBook::check_order(const Packet& packet) {
  const std::uint32_t connection = SyntheticSource::connection_of(packet);
  std::int64_t& last = last_sequence_[std::size_t{packet.source} * connections_ + connection];
  const auto sequence = static_cast<std::int64_t>(packet.sequence);
  if (sequence < last)
    violate(fmt::format("order: packet {} of connection {} was served after packet {}", sequence, connection,
                        last));
  last = std::max(last, sequence);
}

// Law 3: a bucket is served by the worker that the newest table names, or, while that table is being adopted,
// by the one that the table before it named.
void LawBook::check_ownership(ProcessorId worker, const Packet& packet, const bucket::TableBoard& board) {
  const bucket::TableVersion& table = board.newest();
  if (table.owner[packet.bucket] == worker.value()) return;
  const bool was_owner =
      !board.settled() &&
      std::any_of(table.reassignments.begin(), table.reassignments.end(), [&](const auto& move) {
        return move.bucket.value() == packet.bucket && move.from == worker;
      });
  if (!was_owner)
    violate(fmt::format("ownership: worker {} served bucket {}, which is worker {}'s", worker.value(),
                        packet.bucket, table.owner[packet.bucket]));
}

// Law 2.
void LawBook::check_end(std::uint64_t dropped) {
  if (served_count_ + dropped != seen_.size())
    violate(fmt::format("conservation: {} packets came, {} were served and {} dropped", seen_.size(),
                        served_count_, dropped));
  if (open_connections_ != 0)
    violate(fmt::format("conservation: {} connections were not closed", open_connections_));
}

}  // namespace evenkeel::sim
