// A network card's receive-side scaling: its queues, its indirection table, its hash. Asked and set through
// the ethtool ioctl (linux/ethtool.h), in the network namespace of the calling thread; no tool's text is
// parsed.
//
// Thread: [control].
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "evenkeel/result.h"

struct ethtool_channels;

namespace evenkeel::actuator {

struct Card {
  std::uint32_t queues = 0;              // receive queues in use
  std::uint32_t queues_max = 0;          // that the card has; 0: it does not say
  const char* queues_word = "combined";  // what `ethtool -L` calls them: "combined", or "rx"
  std::vector<std::uint32_t> table;      // slot to queue; empty: the driver has none
  std::vector<std::uint8_t> key;         // of its Toeplitz hash; empty: not told
  bool toeplitz = false;                 // the hash function is Toeplitz
  std::uint32_t ports = 0;               // for which packets ports are hashed: kCardPorts...
  bool fields_known = false;             // `ports` was answered by the driver, not guessed
};

// What a driver says of its channels.
void describe_channels(const ethtool_channels& channels, Card& card);

// What the driver answers; parts that it does not support stay empty.
Card read_card(const std::string& interface);

// Both directions of a connection have the same hash.
bool is_symmetric(const std::vector<std::uint8_t>& key);

Result<void> write_table(const std::string& interface, const std::vector<std::uint32_t>& table);

// Packets received by each queue so far, by the driver's statistics; empty: it has none that are understood.
std::vector<std::uint64_t> packets_of_queues(const std::string& interface, std::uint32_t queues);

// The queue of a statistic that counts received packets of one: "rx_queue_3_packets", "rx-3.packets",
// "rx3_packets".
std::optional<std::uint32_t> queue_of_statistic(const std::string& name);

}  // namespace evenkeel::actuator
