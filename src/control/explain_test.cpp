#include "control/explain.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace evenkeel::control {
namespace {

InterfaceFacts even_interface() {
  return {.name = "eth0",
          .driver = "ixgbe",
          .cpus = {0, 1, 2, 3},
          .receive_share = {0.25, 0.25, 0.25, 0.25},
          .interrupt_usage = {0.1, 0.1, 0.1, 0.1},
          .queues = 4,
          .queues_max = 8,
          .table_share = {0.25, 0.25, 0.25, 0.25},
          .key_symmetric = true,
          .udp_ports_hashed = true,
          .hash_fields_known = true,
          .interrupt_cpus = {"0", "1", "2", "3"}};
}

TrafficFacts even_traffic() {
  return {.packets = 10'000, .udp_share = 0.5, .largest_share = 0.05, .largest_name = "a to b"};
}

const Finding* find(const std::vector<Finding>& findings, const std::string& name) {
  const auto found =
      std::find_if(findings.begin(), findings.end(), [&](const Finding& f) { return f.name == name; });
  return found == findings.end() ? nullptr : &*found;
}

TEST(ExplainTest, HasNothingToSayOfAnEvenInterface) {
  EXPECT_TRUE(explain(even_interface(), even_traffic()).empty());
}

InterfaceFacts one_queue() {
  InterfaceFacts facts = even_interface();
  facts.queues = 1;
  facts.receive_share = {1, 0, 0, 0};
  return facts;
}

TEST(ExplainTest, OneCpuThatReceivesAllComesFirstWithTheCommandThatMendsIt) {
  InterfaceFacts facts = even_interface();
  facts.receive_share = {0, 1, 0, 0};
  facts.key_symmetric = false;
  const auto findings = explain(facts, even_traffic());
  ASSERT_GE(findings.size(), 2u);
  EXPECT_EQ(findings[0].name, "uneven_receive");
  EXPECT_NE(findings[0].text.find("CPU 1 receives 100 %"), std::string::npos) << findings[0].text;
  EXPECT_EQ(findings[0].remedy, "evenkeel steer eth0");
  EXPECT_EQ(findings.back().name, "asymmetric_hash");
}

TEST(ExplainTest, FewerQueuesThanCpusAreMendedByMoreWhereTheCardHasThem) {
  InterfaceFacts facts = one_queue();
  EXPECT_EQ(find(explain(facts, even_traffic()), "fewer_queues_than_cpus")->remedy,
            "ethtool -L eth0 combined 4");
  facts.queues_max = 1;
  EXPECT_EQ(find(explain(facts, even_traffic()), "fewer_queues_than_cpus")->remedy,
            "evenkeel steer eth0 --actuator xdp_cpumap");
}

TEST(ExplainTest, InterruptsThatAllGoToOneCpuAreSeen) {
  InterfaceFacts facts = even_interface();
  facts.interrupt_cpus = {"2", "2", "2", "2"};
  ASSERT_NE(find(explain(facts, even_traffic()), "interrupts_together"), nullptr);
  facts.interrupt_cpus = {"0-3", "0-3", "0-3", "0-3"};
  EXPECT_EQ(find(explain(facts, even_traffic()), "interrupts_together"), nullptr);
}

TEST(ExplainTest, UdpThatIsHashedByAddressesMattersMoreTheMoreUdpThereIs) {
  InterfaceFacts facts = even_interface();
  facts.udp_ports_hashed = false;
  TrafficFacts traffic = even_traffic();
  const double half = find(explain(facts, traffic), "udp_hashed_by_addresses_alone")->weight;
  traffic.udp_share = 1;
  EXPECT_GT(find(explain(facts, traffic), "udp_hashed_by_addresses_alone")->weight, half);
  facts.hash_fields_known = false;
  EXPECT_EQ(find(explain(facts, traffic), "udp_hashed_by_addresses_alone"), nullptr)
      << "not told, not claimed";
}

TEST(ExplainTest, WhatIsInTheTrafficIsNamed) {
  TrafficFacts traffic = even_traffic();
  traffic.largest_share = 0.6;
  traffic.largest_name = "10.0.0.1:1 to 10.0.0.2:2, TCP";
  traffic.tunnel_share = 0.9;
  traffic.largest_tunnel_share = 0.9;
  traffic.fragment_share = 0.1;
  traffic.not_ip_share = 0.2;
  const auto findings = explain(std::nullopt, traffic);
  for (const char* const name : {"elephant", "tunnel", "fragments", "not_ip"}) {
    EXPECT_NE(find(findings, name), nullptr) << name;
  }
  EXPECT_NE(find(findings, "elephant")->text.find("10.0.0.1:1"), std::string::npos);
  EXPECT_NE(find(findings, "tunnel")->remedy.find("--tunnel inner"), std::string::npos);
}

TEST(ExplainTest, QueuesAreAskedForByTheNameThatTheDriverTakes) {
  InterfaceFacts facts = one_queue();
  facts.queues_word = "rx";
  EXPECT_EQ(find(explain(facts, even_traffic()), "fewer_queues_than_cpus")->remedy, "ethtool -L eth0 rx 4");
}

TEST(ExplainTest, ABucketFullOfFragmentsOrTunnelsIsNoElephant) {
  TrafficFacts traffic = even_traffic();
  traffic.largest_share = 1;
  traffic.largest_name = "One of 1024 buckets";
  traffic.connections_told_apart = false;
  EXPECT_NE(find(explain(even_interface(), traffic), "elephant"), nullptr);
  traffic.fragment_share = 1;
  const auto fragments = explain(even_interface(), traffic);
  EXPECT_EQ(find(fragments, "elephant"), nullptr);
  EXPECT_EQ(fragments.front().name, "fragments");
  traffic.fragment_share = 0;
  traffic.tunnel_share = 0.9;
  EXPECT_EQ(explain(even_interface(), traffic).front().name, "tunnel");
}

TEST(ExplainTest, WithRpsItDoesNotSayThatOtherCpusGetNoWork) {
  InterfaceFacts facts = one_queue();
  facts.rps = true;
  const auto findings = explain(facts, even_traffic());
  EXPECT_EQ(find(findings, "fewer_queues_than_cpus"), nullptr);
  ASSERT_NE(find(findings, "rps"), nullptr);
  EXPECT_NE(find(findings, "rps")->remedy.find("rps_cpus"), std::string::npos);
}

TEST(ExplainTest, WhatEvenkeelSteersIsNotSentToEvenkeelAgain) {
  InterfaceFacts facts = even_interface();
  facts.receive_share = {0, 1, 0, 0};
  facts.queues = 1;
  facts.xdp_program = true;
  facts.steered_by = 4711;
  const auto findings = explain(facts, even_traffic());
  ASSERT_NE(find(findings, "steered"), nullptr);
  EXPECT_NE(find(findings, "steered")->text.find("4711"), std::string::npos);
  EXPECT_EQ(find(findings, "xdp_program"), nullptr);
  for (const Finding& finding : findings) EXPECT_EQ(finding.remedy.find("evenkeel steer"), std::string::npos);
}

TEST(ExplainTest, EveryFaultOfAnInterfaceHasARemedy) {
  InterfaceFacts facts = even_interface();
  facts.rps = facts.irqbalance = facts.xdp_program = true;
  TrafficFacts traffic = even_traffic();
  traffic.not_ip_share = 0.5;
  const auto findings = explain(facts, traffic);
  EXPECT_EQ(findings.size(), 4u);
  for (const Finding& finding : findings) EXPECT_NE(finding.remedy, "") << finding.name;
}

TEST(ExplainTest, AHandfulOfPacketsTellsNothing) {
  TrafficFacts traffic = even_traffic();
  traffic.packets = 5;
  traffic.largest_share = 1;
  InterfaceFacts facts = even_interface();
  facts.receive_share = {1, 0, 0, 0};
  EXPECT_TRUE(explain(facts, traffic).empty());
}

TEST(ExplainTest, FewQueuesAreNoFaultWhereMoreCpusThanQueuesReceive) {
  InterfaceFacts facts = even_interface();
  facts.queues = 1;
  facts.receive_share = {0.7, 0.3, 0, 0};
  EXPECT_EQ(find(explain(facts, even_traffic()), "fewer_queues_than_cpus"), nullptr);
  facts.receive_share = {0.99, 0.01, 0, 0};
  EXPECT_NE(find(explain(facts, even_traffic()), "fewer_queues_than_cpus"), nullptr);
}

TEST(ExplainTest, AProgramThatOnlyItsOwnerCanDetachIsNotToBeTakenOver) {
  InterfaceFacts facts = even_interface();
  facts.xdp_program = facts.xdp_program_is_linked = true;
  const auto findings = explain(facts, even_traffic());
  ASSERT_NE(find(findings, "xdp_program"), nullptr);
  EXPECT_EQ(find(findings, "xdp_program")->remedy.find("--take-over"), std::string::npos);
}

TEST(ExplainTest, WhatIsAnElephantDependsOnTheNumberOfCpus) {
  TrafficFacts traffic = even_traffic();
  traffic.largest_share = 0.45;
  EXPECT_EQ(find(explain(std::nullopt, traffic), "elephant"), nullptr) << "half is a CPU's fair share of two";
  EXPECT_NE(find(explain(std::nullopt, traffic, 4), "elephant"), nullptr);
  EXPECT_NE(find(explain(even_interface(), traffic), "elephant"), nullptr) << "the interface has four";
}

TEST(ExplainTest, AnEncryptedTunnelIsNamedAsATunnel) {
  TrafficFacts traffic = even_traffic();
  traffic.largest_share = 0.9;
  traffic.largest_is_encrypted = true;
  const auto findings = explain(std::nullopt, traffic);
  EXPECT_EQ(find(findings, "elephant"), nullptr);
  ASSERT_NE(find(findings, "tunnel"), nullptr);
  EXPECT_EQ(find(findings, "tunnel")->remedy.find("inner"), std::string::npos)
      << "nothing inside can be seen";
}

TEST(ExplainTest, UdpIsToBeHashedByPortsInBothVersionsOfIp) {
  InterfaceFacts facts = even_interface();
  facts.udp_ports_hashed = false;
  const std::string remedy = find(explain(facts, even_traffic()), "udp_hashed_by_addresses_alone")->remedy;
  EXPECT_NE(remedy.find("udp4 sdfn"), std::string::npos) << remedy;
  EXPECT_NE(remedy.find("udp6 sdfn"), std::string::npos) << remedy;
}

}  // namespace
}  // namespace evenkeel::control
