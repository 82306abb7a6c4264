// The examples as their user runs them: right answers on captures made to order.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "packet_builder.h"
#include "run_support.h"

namespace evenkeel::tests {
namespace {

constexpr std::int64_t kStart = 1'700'000'000'000'000'000;
constexpr std::int64_t kMillisecond = 1'000'000;
constexpr std::uint8_t kSynAck = kTcpSyn | kTcpAck;

std::string read_all(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

class Examples : public testing::Test {
 protected:
  // What the example prints; its errors as well.
  std::string run(const std::string& name, const std::string& arguments, int exit_code = 0) {
    const std::string out = folder_ / (name + ".out");
    const std::string command =
        std::string(EVENKEEL_EXAMPLES) + "/" + name + " " + arguments + " >" + out + " 2>&1";
    const int status = std::system(command.c_str());
    const std::string text = read_all(out);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == exit_code) << command << ": " << text;
    return text;
  }
  std::string capture(const std::vector<TestPacket>& packets) {
    write_file(folder_ / "input.pcap", pcap_file(packets, {.nanoseconds = true}));
    return folder_ / "input.pcap";
  }

  ScratchFolder folder_;
};

TestPacket tcp(const char* from, const char* to, std::uint16_t from_port, std::uint16_t to_port,
               std::uint8_t flags, std::int64_t milliseconds) {
  return PacketBuilder()
      .ipv4(from, to)
      .tcp(from_port, to_port, flags)
      .payload(20)
      .time_ns(kStart + milliseconds * kMillisecond)
      .build();
}

// A handshake in which the server takes `server_ms`, the client `client_ms`.
void add_handshake(std::vector<TestPacket>& packets, const char* client, std::uint16_t port,
                   std::int64_t at_ms, std::int64_t server_ms, std::int64_t client_ms) {
  packets.push_back(tcp(client, "10.9.9.9", port, 80, kTcpSyn, at_ms));
  packets.push_back(tcp("10.9.9.9", client, 80, port, kSynAck, at_ms + server_ms));
  packets.push_back(tcp(client, "10.9.9.9", port, 80, kTcpAck, at_ms + server_ms + client_ms));
}

void expect_row(const std::string& text, const std::vector<std::string>& cells) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::vector<std::string> found;
    for (std::string word; words >> word;) found.push_back(word);
    if (found == cells) return;
  }
  ADD_FAILURE() << "no row " << testing::PrintToString(cells) << " in\n" << text;
}

TEST_F(Examples, SynGuardNamesWhoLeavesConnectionsHalfOpen) {
  std::vector<TestPacket> packets;
  for (std::uint16_t port = 1; port <= 50; ++port)
    packets.push_back(tcp("10.0.0.66", "10.9.9.9", port, 80, kTcpSyn, port));
  for (std::uint16_t port = 1; port <= 20; ++port)
    add_handshake(packets, "10.0.0.1", port, 100 + port * 10, 3, 2);
  packets.push_back(tcp("10.0.0.2", "10.9.9.9", 7, 81, kTcpSyn, 400));
  packets.push_back(tcp("10.9.9.9", "10.0.0.2", 81, 7, kTcpRst | kTcpAck, 401));
  // Later than anyone's patience.
  packets.push_back(tcp("10.0.0.3", "10.9.9.9", 9, 80, kTcpAck, 9000));
  const std::string text = run("syn_guard", capture(packets));
  expect_row(text, {"10.0.0.66", "50", "50", "0", "0"});
  expect_row(text, {"10.0.0.1", "0", "20", "20", "0"});
  expect_row(text, {"10.0.0.2", "0", "1", "0", "1"});
  EXPECT_LT(text.find("10.0.0.66"), text.find("10.0.0.1 ")) << "worst first";
  expect_row(text, {"113", "packets,", "3", "sources"});
}

TEST_F(Examples, SynGuardSurvivesAFlood) {
  const std::string text = run("syn_guard", "generator:syn-flood,packets=200000 3");
  EXPECT_NE(text.find("200000 packets"), std::string::npos) << text;
}

TEST_F(Examples, RttMeterMeasuresBothSides) {
  std::vector<TestPacket> packets;
  for (std::uint16_t port = 1; port <= 9; ++port)
    add_handshake(packets, "10.0.0.1", port, port * 100, 10 + port, 5);
  // A SYN that was sent twice measures nothing at the server, but its client does.
  packets.push_back(tcp("10.0.0.2", "10.9.9.9", 1, 80, kTcpSyn, 1000));
  add_handshake(packets, "10.0.0.2", 1, 1500, 3, 5);
  const std::string text = run("rtt_meter", capture(packets));
  expect_row(text, {"server", "9", "11.000", "15.000", "18.000", "18.000"});
  expect_row(text, {"client", "10", "5.000", "5.000", "5.000", "5.000"});
}

// The 16-bit words of a header with a right checksum add up to 0xffff.
bool checksum_is_right(const std::string& bytes, std::size_t at, std::size_t length) {
  std::uint32_t sum = 0;
  for (std::size_t i = at; i < at + length; i += 2)
    sum += static_cast<std::uint32_t>(static_cast<std::uint8_t>(bytes[i]) << 8 |
                                      static_cast<std::uint8_t>(bytes[i + 1]));
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum == 0xffff;
}

// Destination addresses of the Ethernet frames in a capture with nanoseconds, by connection (source port).
void read_destinations(const std::string& file, std::map<int, std::set<int>>& by_port) {
  for (std::size_t at = 24; at + 16 <= file.size();) {
    std::uint32_t length;
    std::memcpy(&length, file.data() + at + 8, 4);
    const std::size_t ip = at + 16 + 14;
    EXPECT_TRUE(checksum_is_right(file, ip, 20));
    const auto byte = [&](std::size_t i) {
      return static_cast<int>(static_cast<std::uint8_t>(file[ip + i]));
    };
    by_port[byte(20) << 8 | byte(21)].insert(byte(19));
    at += 16 + length;
  }
}

TEST_F(Examples, L4BalancerKeepsEachConnectionAtItsServerEvenWhenThatIsTakenOut) {
  std::vector<TestPacket> packets;
  for (std::int64_t round = 0; round < 4; ++round) {
    // 200 connections, and 200 more in the third second.
    for (std::uint16_t port = 1; port <= (round < 2 ? 200 : 400); ++port)
      packets.push_back(tcp("10.0.0.1", "10.9.9.9", port, 80, kTcpAck, round * 1000));
  }
  packets.push_back(tcp("10.0.0.1", "10.7.7.7", 5, 80, kTcpAck, 4000));  // not the service
  const std::string output = folder_ / "out";
  const std::string text =
      run("l4_balancer", capture(packets) + " " + output + " 10.9.9.9 192.0.2.1 192.0.2.2@1.5 192.0.2.3");
  std::map<int, std::set<int>> servers_of_port;
  read_destinations(read_all(output + ".0"), servers_of_port);
  read_destinations(read_all(output + ".1"), servers_of_port);
  ASSERT_EQ(servers_of_port.size(), 400u);
  std::map<int, int> early, late;
  for (const auto& [port, servers] : servers_of_port) {
    ASSERT_EQ(servers.size(), 1u) << "port " << port << " was sent to several servers";
    ++(port <= 200 ? early : late)[*servers.begin()];
  }
  for (const int server : {1, 2, 3}) EXPECT_GT(early[server], 40) << "of 200, a third each";
  EXPECT_EQ(late[2], 0) << "it was taken out";
  expect_row(text, {"192.0.2.2", std::to_string(early[2]), std::to_string(4 * early[2]),
                    std::to_string(4 * early[2] * 74)});
}

// Sends datagrams to a socket that may be yet to come.
class Sender {
 public:
  explicit Sender(const std::string& path) : socket_(socket(AF_UNIX, SOCK_DGRAM, 0)) {
    address_.sun_family = AF_UNIX;
    std::strncpy(address_.sun_path, path.c_str(), sizeof address_.sun_path - 1);
    for (int tries = 0;
         tries < 3000 && connect(socket_, reinterpret_cast<sockaddr*>(&address_), sizeof address_) != 0;
         ++tries)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ~Sender() { close(socket_); }
  bool send(const Bytes& bytes) { return ::send(socket_, bytes.data(), bytes.size(), 0) >= 0; }

 private:
  int socket_;
  sockaddr_un address_{};
};

TEST_F(Examples, CustomSourceTakesEveryFrameBothWays) {
  const std::vector<TestPacket> packets = {
      tcp("10.0.0.1", "10.9.9.9", 1, 80, kTcpAck, 0), tcp("10.9.9.9", "10.0.0.1", 80, 1, kTcpAck, 0),
      PacketBuilder().ipv6("2001:db8::1", "2001:db8::2").udp(5, 53).payload(30).build()};
  for (const std::string way : {"push", "pull"}) {
    const std::string path = folder_ / way;
    bool sent = true;
    std::thread feeder([&] {
      Sender sender(path);
      for (int round = 0; round < 1000; ++round)
        for (const TestPacket& packet : packets) sent = sent && sender.send(packet.bytes);
      sent = sent && sender.send({});
    });
    const std::string text = run("custom_source", way + " " + path);
    feeder.join();
    EXPECT_TRUE(sent);
    expect_row(text, {"10.0.0.1:1", ">", "10.9.9.9:80:", "2000", "packets"});
    expect_row(text, {"[2001:db8::1]:5", ">", "[2001:db8::2]:53:", "1000", "packets"});
    expect_row(text, {"3000", "packets"});
  }
}

TEST_F(Examples, PolicyEmptiesTheWorkersThatALightLoadDoesNotNeed) {
  // 1,000 packets over a second: next to no load.
  const std::string text = run("policy", "generator:campus,packets=1000,rate=1000,connections=50 1 3");
  EXPECT_NE(text.find("worker 0: 1024 buckets"), std::string::npos) << text;
  EXPECT_NE(text.find("worker 1:    0 buckets"), std::string::npos) << text;
  EXPECT_NE(text.find("worker 2:    0 buckets"), std::string::npos) << text;
}

TEST_F(Examples, CCounterCountsServices) {
  std::vector<TestPacket> packets;
  for (std::uint16_t port = 1; port <= 5; ++port) add_handshake(packets, "10.0.0.1", port, port * 100, 1, 1);
  packets.push_back(
      PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").udp(9, 53).payload(20).time_ns(kStart).build());
  const std::string text = run("c_counter", capture(packets));
  expect_row(text, {"tcp", "80", "5", "15", std::to_string(15 * 74)});
  expect_row(text, {"udp", "53", "1", "1", "62"});
}

// The number that follows a word, at its last place in the text.
std::uint64_t number_after(const std::string& text, const std::string& word) {
  const std::size_t at = text.rfind(word + " ");
  EXPECT_NE(at, std::string::npos) << word << " in\n" << text;
  return at == std::string::npos ? 0 : std::stoull(text.substr(at + word.size() + 1));
}

TEST_F(Examples, KeepaliveFiresEachTimerOnceAStartAndOnItsOwner) {
  const std::string text = run("keepalive", "--connections 2000 --threads 2 --interval 0.05 --seconds 0.5");
  expect_row(text.substr(0, text.find(" in ")), {"2000", "connections", "added", "and", "started"});
  EXPECT_EQ(number_after(text, "fired_off_owner"), 0u);
  EXPECT_LE(number_after(text, "timers.started"), number_after(text, "  fired") + 2000)
      << "each connection's timer runs once at a time";
  EXPECT_EQ(number_after(text, "restarted") + number_after(text, "cancelled"), 0u);
  EXPECT_EQ(number_after(text, "thread 0: fired") + number_after(text, "thread 1: fired"),
            number_after(text, "  fired"));
}

TEST_F(Examples, SayWhatACaptureThatIsCutOffHoldsAndThatItIsCutOff) {
  std::vector<TestPacket> packets;
  for (std::uint16_t port = 1; port <= 3; ++port) add_handshake(packets, "10.0.0.1", port, port * 100, 1, 1);
  Bytes file = pcap_file(packets, {.nanoseconds = true});
  file.pop_back();
  write_file(folder_ / "cut.pcap", file);
  const std::string path = folder_ / "cut.pcap";
  for (const std::string name : {"syn_guard", "rtt_meter", "c_counter"}) {
    const std::string text = run(name, path, 1);
    EXPECT_NE(text.find(name + ": " + path + " is damaged or cut off after packet 8"), std::string::npos)
        << text;
    EXPECT_GT(std::count(text.begin(), text.end(), '\n'), 1) << text;
  }
}

TEST_F(Examples, SayInOneLineWhatIsWrong) {
  for (const char* name : {"syn_guard", "rtt_meter", "c_counter"}) {
    EXPECT_EQ(run(name, "/nonexistent.pcap", 1).find('\n'), run(name, "/nonexistent.pcap", 1).size() - 1);
    EXPECT_TRUE(run(name, "", 2).find("usage: ") != std::string::npos);
  }
  run("l4_balancer", "in out nobody 10.0.0.1", 2);
  run("custom_source", "neither /tmp/x", 2);
  run("policy", "generator:nothing 1", 2);
  run("keepalive", "--threads 0", 2);
}

}  // namespace
}  // namespace evenkeel::tests
