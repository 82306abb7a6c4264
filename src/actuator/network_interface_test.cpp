#include "actuator/network_interface.h"

#include <gtest/gtest.h>

#include "tests/two_hosts.h"

namespace evenkeel::actuator {
namespace {

using tests::Host;

TEST(NetworkInterfaceTest, AnInterfaceThatIsNotThereIsAnErrorThatListsThoseThatAre) {
  const auto interface = find_interface("no-such-if");
  ASSERT_FALSE(interface.ok());
  EXPECT_NE(interface.error().message.find("lo"), std::string::npos);
}

TEST(NetworkInterfaceTest, EmptyMasksAreKnown) {
  EXPECT_TRUE(mask_is_empty(""));
  EXPECT_TRUE(mask_is_empty("00000000,00000000"));
  EXPECT_FALSE(mask_is_empty("00000000,00000002"));
}

class VethTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = tests::TwoHosts::why_not(); !why.empty()) GTEST_SKIP() << why;
  }
};

TEST_F(VethTest, ThePeerInAnotherNamespaceAndItsChecksumOffloadAreFound) {
  tests::TwoHosts hosts;
  const auto look = [&] {
    std::optional<VethPeer> peer;
    hosts.thread_on(Host::kB, [&] { peer = find_veth_peer(*find_interface(hosts.interface(Host::kB))); })
        .join();
    return peer;
  };
  auto peer = look();
  ASSERT_TRUE(peer.has_value());
  EXPECT_EQ(peer->name, hosts.interface(Host::kA));
  EXPECT_EQ(peer->network_namespace, hosts.network(Host::kA));
  EXPECT_TRUE(peer->checksum_offload);
  hosts.run_on(Host::kA, "ethtool -K " + hosts.interface(Host::kA) + " tx off >/dev/null");
  peer = look();
  ASSERT_TRUE(peer.has_value());
  EXPECT_FALSE(peer->checksum_offload);
}

TEST_F(VethTest, QueuesAreThoseOfTheThreadsOwnNamespace) {
  tests::TwoHosts hosts(4);
  std::vector<ReceiveQueue> queues;
  std::optional<std::uint64_t> received;
  hosts
      .thread_on(Host::kB,
                 [&] {
                   queues = receive_queues(hosts.interface(Host::kB));
                   received = received_packets(hosts.interface(Host::kB));
                 })
      .join();
  ASSERT_EQ(queues.size(), 4u);
  EXPECT_EQ(queues[3].number, 3u);
  EXPECT_TRUE(mask_is_empty(queues[0].rps_cpus));
  EXPECT_TRUE(received.has_value());
  EXPECT_TRUE(receive_queues(hosts.interface(Host::kB)).empty())
      << "not visible from the test's own namespace";
}

}  // namespace
}  // namespace evenkeel::actuator
