#include "actuator/nic_table/card.h"

#include <gtest/gtest.h>
#include <linux/ethtool.h>

#include "actuator/nic_table/nic_table.h"
#include "actuator/observer.h"
#include "packet/hash.h"

namespace evenkeel::actuator {
namespace {

TEST(CardTest, StatisticsOfReceiveQueuesAreKnownByTheirNames) {
  EXPECT_EQ(queue_of_statistic("rx_queue_3_packets"), 3u);  // virtio_net, ixgbe, igb
  EXPECT_EQ(queue_of_statistic("rx-12.packets"), 12u);      // i40e
  EXPECT_EQ(queue_of_statistic("rx0_packets"), 0u);         // mlx5
  EXPECT_FALSE(queue_of_statistic("tx_queue_3_packets").has_value());
  EXPECT_FALSE(queue_of_statistic("rx_queue_0_xdp_packets").has_value());
  EXPECT_FALSE(queue_of_statistic("rx_packets").has_value());
  EXPECT_FALSE(queue_of_statistic("rx_64_byte_packets").has_value());
  EXPECT_FALSE(queue_of_statistic("rx_queue_0_bytes").has_value());
}

TEST(CardTest, AKeyIsSymmetricIfItRepeatsEverySixteenBits) {
  std::vector<std::uint8_t> key;
  for (int i = 0; i < 20; ++i) key.insert(key.end(), {0x6d, 0x5a});
  EXPECT_TRUE(is_symmetric(key));
  key[17] ^= 1;
  EXPECT_FALSE(is_symmetric(key));
  EXPECT_FALSE(is_symmetric({}));
}

// The verification suite of Microsoft's RSS specification, first line: 66.9.149.187:2794 to
// 161.142.100.80:1766.
TEST(CardTest, ByteTablesGiveTheHashesOfTheSpecification) {
  const auto hasher = packet::Hasher::make("toeplitz", "standard");
  ASSERT_TRUE(hasher.ok());
  const auto tables = toeplitz_byte_tables(hasher->state().key);
  const std::uint8_t tuple[] = {66,  9,  149,       187,        161,       142,
                                100, 80, 2794 >> 8, 2794 & 255, 1766 >> 8, 1766 & 255};
  std::uint32_t hash = 0;
  for (std::size_t i = 0; i < sizeof tuple; ++i) hash ^= tables[i * 256 + tuple[i]];
  EXPECT_EQ(hash, 0x51ccc178u);
}

TEST(CardTest, MisfitIsTheShareOfPacketsAtOtherQueues) {
  EXPECT_DOUBLE_EQ(misfit({10, 20, 30}, {100, 200, 300}), 0);
  EXPECT_DOUBLE_EQ(misfit({50, 50, 0, 0}, {25, 25, 25, 25}), 0.5);
  EXPECT_DOUBLE_EQ(misfit({50, 50, 50, 50}, {100, 100, 0, 0}), 0.5)
      << "a table that is folded onto two queues";
  EXPECT_DOUBLE_EQ(misfit({0, 0}, {1, 1}), 0) << "nothing to judge";
}

TEST(CardTest, QueuesAreNamedAsTheDriverTakesThem) {
  ethtool_channels veth{};
  veth.max_rx = veth.max_tx = 4;
  veth.rx_count = veth.tx_count = 1;
  Card card;
  describe_channels(veth, card);
  EXPECT_EQ(card.queues_max, 4u);
  EXPECT_STREQ(card.queues_word, "rx");

  ethtool_channels either{};  // at most eight of both kinds together
  either.max_rx = either.max_combined = 8;
  either.combined_count = 2;
  describe_channels(either, card);
  EXPECT_EQ(card.queues_max, 8u);
  EXPECT_STREQ(card.queues_word, "combined");
}

TEST(CardTest, AnInterfaceWithoutATableHasNone) { EXPECT_TRUE(read_card("lo").table.empty()); }

}  // namespace
}  // namespace evenkeel::actuator
