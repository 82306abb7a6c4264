// The laws, checked from outside: what handlers report here is compared with what the source made, and with
// nothing that the engine believes of itself.
//
// Thread: the simulation's one thread. Nothing here allocates after construction, unless a law is broken, so
// that allocations within a step are the engine's.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bucket/table.h"
#include "engine/connection.h"
#include "evenkeel/ids.h"
#include "evenkeel/packet.h"

namespace evenkeel::sim {

struct LawBookOptions {
  std::uint32_t sources = 1;
  std::uint64_t packets_per_source = 0;  // of each: 0 to packets_per_source - 1
  std::uint32_t connections = 0;         // of each: 0 to connections - 1
  std::uint32_t buckets = 1;
  std::uint32_t connections_max = 0;  // that may be open at once
  std::int64_t idle_ns = 0;           // a connection's records are apart by at least this
  // Nothing is dropped, nothing evicted, and one dispatcher's packets make the packet time of all: then what
  // makes a record is decided by packet time alone.
  bool exact = false;
};

class LawBook {
 public:
  explicit LawBook(const LawBookOptions& options);

  // The source has made these packets, in order.
  void came(std::span<Packet* const> packets);

  // A handler was given this packet by this worker, as one of the record that `first` opened.
  void served(ProcessorId worker, const Packet& packet, std::uint32_t record,
              const bucket::TableBoard& board);
  // A record was begun for this packet, or ended, by this worker. opened() gives the record's number.
  std::uint32_t opened(ProcessorId worker, const Packet& packet, const bucket::TableBoard& board);
  void closed(ProcessorId worker, std::uint16_t bucket, std::uint64_t packets,
              const bucket::TableBoard& board);
  // A handler's deadline was due at `deadline_ns`, and it is now `now_ns`, both in packet time.
  void due(ProcessorId worker, std::uint16_t bucket, std::int64_t deadline_ns, std::int64_t now_ns,
           const bucket::TableBoard& board);

  // What the engine counts: after each step.
  struct Counted {
    std::uint64_t processed = 0, dropped = 0, other = 0;  // other: malformed and unclassified
    std::uint64_t lent = 0;                               // packets that were not given back to their source
  };
  void check_conservation(const Counted& counted);

  // At the end of a run: every packet was served or dropped, no connection is left.
  void check_end(std::uint64_t dropped);

  // The first violation, in words, beginning with the law's name; empty: none.
  const std::string& violation() const { return violation_; }
  std::uint64_t served_count() const { return served_count_; }
  std::uint64_t came_count() const { return came_count_; }

  void violate(std::string what) {
    if (violation_.empty()) violation_ = std::move(what);
  }

 private:
  void check_order(const Packet& packet);
  void check_ownership(ProcessorId worker, std::uint16_t bucket, const bucket::TableBoard& board);
  std::size_t index_of(const Packet& packet) const {
    return packet.source * options_.packets_per_source + packet.sequence;
  }
  std::size_t connection_index(const Packet& packet) const;

  const LawBookOptions options_;
  std::vector<std::uint8_t> seen_;           // by source and sequence
  std::vector<std::uint32_t> record_of_;     // by source and sequence: number of the record, from 1
  std::vector<std::int64_t> last_sequence_;  // by source and connection
  std::vector<std::int64_t> last_came_ns_;   // by source and connection; packet time that never runs back
  std::vector<std::uint32_t> record_;        // by source and connection: the newest record's number
  std::vector<std::int64_t> now_ns_;         // by source: greatest packet time
  std::vector<std::uint32_t>
      taken_in_version_;             // by bucket: the table version in which its new owner touched it
  std::vector<std::uint8_t> begun_;  // by record
  std::uint32_t records_ = 0;
  std::uint64_t came_count_ = 0;
  std::uint64_t served_count_ = 0;
  std::int64_t open_connections_ = 0;
  std::string violation_;
};

// A handler that does nothing but report to the law book.
class Witness {
 public:
  struct State {
    std::uint64_t packets = 0;
    std::int64_t deadline_ns = engine::kNoDeadline;
    std::uint32_t record = 0;
    std::uint16_t bucket = 0;
  };
  using Connection = engine::Connection<State>;

  // Each packet takes up to 2,000 ticks, as its connection's hash says: `now_ticks` goes on. Deadlines of
  // handlers are so far behind the packet that sets them; 0: there are none.
  Witness(ProcessorId worker, LawBook& laws, std::uint64_t* now_ticks, std::int64_t deadline_after_ns)
      : worker_(worker), laws_(&laws), now_ticks_(now_ticks), deadline_after_ns_(deadline_after_ns) {}
  // The board exists only after the engine, which is given its handlers.
  void watch(const bucket::TableBoard& board) { board_ = &board; }

  void open(Connection& connection, const Packet& packet) {
    connection.state.bucket = packet.bucket;
    connection.state.record = laws_->opened(worker_, packet, *board_);
    if (deadline_after_ns_ != 0) connection.state.deadline_ns = packet.now_ns + deadline_after_ns_;
  }
  void packet(Connection& connection, const Packet& packet) {
    ++connection.state.packets;
    *now_ticks_ += packet.hash % 2000;
    laws_->served(worker_, packet, connection.state.record, *board_);
  }
  void close(const ConnectionKey&, Connection& connection, engine::CloseReason, std::int64_t) {
    laws_->closed(worker_, connection.state.bucket, connection.state.packets, *board_);
  }
  std::int64_t deadline_ns(const Connection& connection) const { return connection.state.deadline_ns; }
  void due(const ConnectionKey&, Connection& connection, std::int64_t now_ns) {
    laws_->due(worker_, connection.state.bucket, connection.state.deadline_ns, now_ns, *board_);
    connection.state.deadline_ns = now_ns + deadline_after_ns_;
  }
  void idle() {}

 private:
  ProcessorId worker_;
  LawBook* laws_;
  std::uint64_t* now_ticks_;
  std::int64_t deadline_after_ns_;
  const bucket::TableBoard* board_ = nullptr;
};

}  // namespace evenkeel::sim
