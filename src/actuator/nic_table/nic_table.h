// Steering by a network card's own indirection table: bucket j is slot j, a processor is a receive queue.
// Costs nothing for each packet; as many processors as the card has queues.
//
// The load of a bucket is counted by an observing program that hashes as the card does (its key and fields
// are asked for); a packet costs what it costs on average. Whether the card follows a written table is judged
// by its own counters for each queue: some drivers accept a table and ignore it, and then steering ends with
// an error.
//
// A card cannot say what is in flight: a bucket moves when it was silent for a moment, or, but for
// MoveOrder::kStrict, at its deadline.
//
// Thread: [control].
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "actuator/nic_table/card.h"
#include "actuator/steering.h"
#include "evenkeel/result.h"

namespace evenkeel::actuator {

struct NicTableOptions {
  std::string interface;
  int interface_index = 0;
  MoveOrder order = MoveOrder::kIdleFirst;
  std::int64_t deadline_ns = 250'000'000;
};

// A runtime error where the driver has no table to write, only one queue, or hashes in a way that cannot be
// followed.
Result<Card> find_usable_card(const std::string& interface);

// The same, or the kernel takes no observing program.
Result<std::unique_ptr<Steering>> make_nic_table(const NicTableOptions& options);

// How far the packets of each queue are from what the table says: half the sum of the differences, as a share
// of all. 0: the card follows its table.
double misfit(const std::vector<std::uint64_t>& expected, const std::vector<std::uint64_t>& counted);

}  // namespace evenkeel::actuator
