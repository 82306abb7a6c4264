// The laws, checked from outside: what handlers report here is compared with what the source made, and with
// nothing that the engine believes of itself.
//
// Thread: the simulation's one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bucket/table.h"
#include "engine/connection.h"
#include "evenkeel/ids.h"
#include "evenkeel/packet.h"

namespace evenkeel::sim {

class LawBook {
 public:
  // sources: each gives packets 0 to packets_per_source - 1, of connections 0 to connections - 1.
  LawBook(std::uint32_t sources, std::uint64_t packets_per_source, std::uint32_t connections);

  // A handler was given this packet by this worker.
  void served(ProcessorId worker, const Packet& packet, const bucket::TableBoard& board);
  // A connection was opened, or closed, in a bucket's table.
  void opened() { ++open_connections_; }
  void closed() { --open_connections_; }

  // At the end of a run: every packet was served or dropped, no connection is left.
  void check_end(std::uint64_t dropped);

  // The first violation, in words; empty: none.
  const std::string& violation() const { return violation_; }
  std::uint64_t served_count() const { return served_count_; }

  void violate(std::string what) {
    if (violation_.empty()) violation_ = std::move(what);
  }

 private:
  void check_order(const Packet& packet);
  void check_ownership(ProcessorId worker, const Packet& packet, const bucket::TableBoard& board);

  const std::uint64_t packets_per_source_;
  const std::uint32_t connections_;
  std::vector<std::uint8_t> seen_;           // by source and sequence
  std::vector<std::int64_t> last_sequence_;  // by source and connection
  std::uint64_t served_count_ = 0;
  std::int64_t open_connections_ = 0;
  std::string violation_;
};

// A handler that does nothing but report to the law book.
class Witness {
 public:
  struct State {
    std::uint64_t packets = 0;
  };
  using Connection = engine::Connection<State>;

  // Each packet takes up to 2,000 ticks, as its connection's hash says: `now_ticks` goes on.
  Witness(ProcessorId worker, LawBook& laws, std::uint64_t* now_ticks)
      : worker_(worker), laws_(&laws), now_ticks_(now_ticks) {}
  // The board exists only after the engine, which is given its handlers.
  void watch(const bucket::TableBoard& board) { board_ = &board; }

  void open(Connection&, const Packet&) { laws_->opened(); }
  void packet(Connection& connection, const Packet& packet) {
    ++connection.state.packets;
    *now_ticks_ += packet.hash % 2000;
    laws_->served(worker_, packet, *board_);
  }
  void close(const ConnectionKey&, Connection& connection, engine::CloseReason, std::int64_t) {
    if (connection.state.packets == 0) laws_->violate("a connection was opened without a packet");
    laws_->closed();
  }
  std::int64_t deadline_ns(const Connection&) const { return engine::kNoDeadline; }
  void due(const ConnectionKey&, Connection&, std::int64_t) {}
  void idle() {}

 private:
  ProcessorId worker_;
  LawBook* laws_;
  std::uint64_t* now_ticks_;
  const bucket::TableBoard* board_ = nullptr;
};

}  // namespace evenkeel::sim
