// `evenkeel run` as its user meets it: exit codes, one clear line for what is wrong, and what goes to
// standard output, standard error and files.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "base/file_descriptor.h"
#include "base/units.h"
#include "packet_builder.h"
#include "run_support.h"

namespace evenkeel::tests {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::string read_all(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::size_t lines_of(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

struct Outcome {
  int exit_code = -1;
  std::string out;
  std::string err;
};

class RunCommand : public testing::Test {
 protected:
  // As a shell runs `evenkeel run ARGUMENTS`, with further redirections in the arguments.
  Outcome run_command(const std::string& arguments) {
    const fs::path out = folder_ / "stdout", err = folder_ / "stderr";
    const std::string command =
        std::string(EVENKEEL_BINARY) + " run >" + out.string() + " 2>" + err.string() + " " + arguments;
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_all(out), read_all(err)};
  }

  // That the program refuses in one line of standard error, which holds each of `words`.
  void expect_refused(const std::string& arguments, int exit_code, const std::vector<std::string>& words) {
    const Outcome outcome = run_command(arguments);
    EXPECT_EQ(outcome.exit_code, exit_code) << arguments;
    EXPECT_EQ(outcome.out, "") << arguments;
    EXPECT_EQ(lines_of(outcome.err), 1u) << arguments << ": " << outcome.err;
    EXPECT_TRUE(outcome.err.starts_with("evenkeel: ")) << outcome.err;
    for (const std::string& word : words)
      EXPECT_NE(outcome.err.find(word), std::string::npos) << arguments << ": " << outcome.err;
  }

  std::string file(const std::string& name, std::span<const std::uint8_t> bytes) {
    write_file(folder_ / name, bytes);
    return folder_ / name;
  }
  std::string path(const std::string& name) { return folder_ / name; }

 private:
  ScratchFolder folder_;
};

constexpr std::int64_t kStart = 1'700'000'000 * base::kNanosecondsPerSecond;

TestPacket datagram(std::uint16_t port, double seconds) {
  const auto time_ns = kStart + static_cast<std::int64_t>(seconds * 1e9);
  return PacketBuilder().ipv4("10.0.0.1", "10.0.0.2").udp(port, 53).payload(10).time_ns(time_ns).build();
}

// One packet of each of `count` connections, a millisecond apart.
std::vector<TestPacket> datagrams(std::uint16_t count) {
  std::vector<TestPacket> packets;
  for (std::uint16_t i = 0; i < count; ++i)
    packets.push_back(datagram(static_cast<std::uint16_t>(1'000 + i), 0.001 * i));
  return packets;
}

// libpcap reads one link type in a file.
std::vector<TestPacket> ethernet_packets_of_every_kind() {
  std::vector<TestPacket> packets = packets_of_every_kind();
  std::erase_if(packets, [](const TestPacket& packet) { return packet.link != LinkType::kEthernet; });
  return packets;
}

void expect_conserved(const Json& report) {
  std::uint64_t accounted = report["packets"]["processed"].get<std::uint64_t>() +
                            report["packets"]["malformed"].get<std::uint64_t>() +
                            report["packets"]["unclassified"].get<std::uint64_t>();
  for (const auto& [reason, packets] : report["packets"]["dropped"].items())
    accounted += packets.get<std::uint64_t>();
  EXPECT_EQ(report["packets"]["received"], accounted);
  EXPECT_EQ(report["order_violations"], 0);
  EXPECT_EQ(report["ownership_violations"], 0);
  const Json& connections = report["connections"];
  EXPECT_EQ(connections["opened"],
            connections["closed"].get<std::uint64_t>() + connections["expired"].get<std::uint64_t>() +
                connections["evicted"].get<std::uint64_t>() + connections["live"].get<std::uint64_t>());
  std::uint64_t of_workers = 0;
  for (const Json& worker : report["workers"]) of_workers += worker["packets"].get<std::uint64_t>();
  EXPECT_EQ(report["packets"]["processed"], of_workers);
}

// --- bad input

TEST_F(RunCommand, AWrongCommandLineIsRefusedInOneLineThatSaysWhatWouldBeRight) {
  const std::string capture = file("good.pcap", pcap_file(datagrams(3)));
  const std::string input = "--input " + capture;
  const std::pair<std::string, std::vector<std::string>> cases[] = {
      {"--frobnicate", {"--frobnicate"}},
      {"--input generator:whales", {"whales", "mice", "campus", "syn-flood"}},
      {"--input generator:mice,speed=3", {"speed", "packets=N"}},
      {input + " --policy fair", {"fair", "index", "static"}},
      {input + " --hash md5", {"md5", "toeplitz", "crc32c"}},
      {input + " --hash-key zz", {"zz", "symmetric"}},
      {input + " --workers 0", {"--workers", "1", "1024", "0"}},
      {input + " --workers 1000000", {"--workers", "1024"}},
      {input + " --workers -1", {"--workers", "1 to 1024", "-1"}},
      {input + " --workers 1.5", {"--workers", "1.5"}},
      {input + " --buckets 99999999999", {"--buckets", "65536"}},
      {input + " --seed -1", {"--seed", "-1"}},
      {input + " --queue-limit-worker 0", {"--queue-limit-worker", "from 1 to"}},
      {input + " --queue-limit-bucket 9000", {"--queue-limit-bucket", "9000", "8192"}},
      {input + " --queue-limit-worker 100 --queue-limit-connection 51",
       {"--queue-limit-connection", "51", "50"}},
      {input + " --elephant-bytes 1x", {"--elephant-bytes", "1G", "1x"}},
      {input + " --elephant-share 2", {"--elephant-share", "0 to 1"}},
      {input + " --elephant-window 0s", {"--elephant-window", "1ms"}},
      {input + " --pin 0,0", {"--pin", "CPU 0", "twice"}},
      {input + " --capacity 1,nan", {"--capacity", "nan"}},
      {input + " --hash-key " + std::string(80, '0'), {"hash key", "zeros"}},
      {"--input generator:mice,packets=5,packets=6", {"packets", "twice"}},
      {input + " --workers many", {"--workers", "many"}},
      {input + " --buckets 3", {"--buckets", "power of two", "3"}},
      {input + " --buckets 0", {"--buckets", "power of two", "0"}},
      {input + " --buckets 131072", {"--buckets", "65536"}},
      {input + " --interval 0ms", {"--interval"}},
      {input + " --interval 5", {"--interval", "100ms"}},
      {input + " --tunnel both", {"both", "outer", "inner"}},
      {input + " --idle-timeout -1s", {"--idle-timeout"}},
      {input + " --half-open-timeout 0s", {"--half-open-timeout"}},
      {input + " --active-timeout x", {"--active-timeout", "x"}},
      {input + " --connections-max 0", {"--connections-max", "0"}},
      {input + " --speed 0", {"--speed", "max"}},
      {input + " --speed nan", {"--speed", "nan"}},
      {input + " --duration 0s", {"--duration"}},
      {input + " --format xml", {"xml", "jsonl", "csv"}},
      {input + " --flows ''", {"-"}},
      {input + " --flows - --format csv --json", {"--report FILE"}},
      {input + " --report - --html -", {"--report", "--html"}},
      {input + " --connections-max 4294967295", {"--connections-max", "33000000"}},
      {"--input - --flows " + capture + " <" + capture, {"good.pcap", "named twice"}},
      {"--input ''", {"FILE", "generator:"}},
      {"--input - --input -", {"standard input"}},
  };
  for (const auto& [arguments, words] : cases) expect_refused(arguments, 2, words);
}

TEST_F(RunCommand, AnInputThatCannotBeReadIsRefusedInOneLineThatNamesIt) {
  expect_refused("--input " + path("missing.pcap"), 1, {"missing.pcap", "No such file"});
  expect_refused("--input " + file("empty.pcap", {}), 1, {"empty.pcap", "empty"});
  const std::string text = "this is no capture, but long enough to be one";
  const Bytes bytes(text.begin(), text.end());
  expect_refused("--input " + file("text.pcap", bytes), 1, {"text.pcap", "pcap or pcapng"});
  expect_refused("--input " + fs::path(path("x")).parent_path().string(), 1, {"directory"});
  Bytes head = pcap_file(datagrams(1));
  head.resize(10);
  expect_refused("--input " + file("head.pcap", head), 1, {"head.pcap"});
}

TEST_F(RunCommand, AnotherLinkTypeIsRefusedByItsName) {
  Bytes bytes = pcap_file(datagrams(3));
  bytes[20] = 105;  // LINKTYPE_IEEE802_11
  expect_refused("--input " + file("wlan.pcap", bytes), 1, {"wlan.pcap", "IEEE802_11", "Ethernet"});
}

TEST_F(RunCommand, ATruncatedCaptureKeepsWhatCameBeforeAndSaysSo) {
  Bytes bytes = pcap_file(datagrams(10));
  bytes.resize(bytes.size() - 5);
  const Outcome outcome =
      run_command("--json --flows " + path("flows") + " --input " + file("cut.pcap", bytes));
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(lines_of(outcome.err), 1u) << outcome.err;
  EXPECT_NE(outcome.err.find("cut.pcap"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("kept"), std::string::npos) << outcome.err;
  const Json report = Json::parse(outcome.out);
  EXPECT_EQ(report["packets"]["processed"], 9);
  EXPECT_TRUE(report["inputs"][0]["error"].is_string());
  expect_conserved(report);
  EXPECT_EQ(lines_of(read_all(path("flows"))), 9u);
}

TEST_F(RunCommand, AnOutputThatCannotBeWrittenIsRefusedBeforeAnyWork) {
  const std::string input = "--input " + file("good.pcap", pcap_file(datagrams(3)));
  for (const char* option : {"--flows", "--report", "--html"}) {
    expect_refused(input + " " + option + " /nonexistent/out", 1, {"/nonexistent/out", "No such file"});
    expect_refused(input + " " + option + " /", 1, {"/", "directory"});
  }
}

TEST_F(RunCommand, AnOutputThatWouldDestroyAnInputOrAnotherOutputIsRefused) {
  const std::string capture = file("good.pcap", pcap_file(datagrams(3)));
  const auto size = std::filesystem::file_size(capture);
  for (const char* option : {"--flows", "--report", "--html"})
    expect_refused("--input " + capture + " " + option + " " + capture, 2, {"good.pcap", "twice"});
  EXPECT_EQ(std::filesystem::file_size(capture), size);
  const std::string output = capture + ".out";
  expect_refused("--input " + capture + " --flows " + output + " --report " + output, 2, {"twice"});
  EXPECT_EQ(run_command("--input " + capture + " --flows /dev/null --report /dev/null").exit_code, 0);
}

TEST_F(RunCommand, AFullDiskIsReportedInOneLine) {
  const std::string input = "--input " + file("good.pcap", pcap_file(datagrams(3)));
  for (const char* option : {"--flows", "--report", "--html"})
    expect_refused(input + " " + option + " /dev/full", 1, {"/dev/full", "No space left"});
  for (const char* output : {"", "--json", "--flows -", "--flows - --format csv"})
    expect_refused(input + " " + output + " >/dev/full", 1, {"standard output", "No space left"});
}

// --- what is written

TEST_F(RunCommand, FlowsAndJsonMayShareStandardOutput) {
  const Outcome outcome =
      run_command("--flows - --json --input " + file("good.pcap", pcap_file(datagrams(20))));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  std::istringstream text(outcome.out);
  std::string line;
  for (int i = 0; i < 20; ++i) {
    std::getline(text, line);
    const Json record = Json::parse(line);
    EXPECT_EQ(record["packetDeltaCount"], 1);
    EXPECT_EQ(record["octetDeltaCount"], 38);
    EXPECT_EQ(record["flowEndReason"], 4);
  }
  const Json report = Json::parse(outcome.out.substr(static_cast<std::size_t>(text.tellg())));
  EXPECT_EQ(report["packets"]["processed"], 20);
  EXPECT_EQ(report["records"], 20);
  expect_conserved(report);
}

TEST_F(RunCommand, CsvHasAHeaderAndALineForEachRecordWithAsManyColumns) {
  const Outcome outcome =
      run_command("--flows - --format csv --input " + file("good.pcap", pcap_file(datagrams(5))));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(lines_of(outcome.out), 6u);
  EXPECT_EQ(
      first_line(outcome.out),
      "flowStartMilliseconds,flowEndMilliseconds,sourceIPv4Address,sourceIPv6Address,"
      "destinationIPv4Address,destinationIPv6Address,sourceTransportPort,destinationTransportPort,"
      "protocolIdentifier,packetDeltaCount,octetDeltaCount,reversePacketDeltaCount,"
      "reverseOctetDeltaCount,tcpControlBits,reverseTcpControlBits,flowEndReason,tcpState,reverseTcpState,"
      "smoothedRoundTripMicroseconds,reverseSmoothedRoundTripMicroseconds,"
      "retransmissionTimeoutMicroseconds");
  std::istringstream text(outcome.out);
  for (std::string line; std::getline(text, line);) EXPECT_EQ(std::count(line.begin(), line.end(), ','), 20);
}

TEST_F(RunCommand, ReportAndPageAreWrittenBesideTheTable) {
  const Outcome outcome =
      run_command("--report " + path("report.json") + " --html " + path("page.html") +
                  " --workers 3 --input generator:mice,packets=50000,connections=500" + " --input " +
                  file("good.pcap", pcapng_file(ethernet_packets_of_every_kind())));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_NE(outcome.out.find("packets"), std::string::npos);
  EXPECT_NE(outcome.out.find(path("page.html")), std::string::npos);
  EXPECT_EQ(outcome.out.find('\r'), std::string::npos) << "progress in a pipe";
  EXPECT_EQ(outcome.out.find('\033'), std::string::npos) << "colours in a pipe";
  const Json report = Json::parse(read_all(path("report.json")));
  EXPECT_EQ(report["packets"]["received"], 50'000 + ethernet_packets_of_every_kind().size());
  EXPECT_EQ(report["workers"].size(), 3u);
  expect_conserved(report);
  const std::string page = read_all(path("page.html"));
  EXPECT_NE(page.find("</html>"), std::string::npos);
  EXPECT_NE(page.find("<svg"), std::string::npos);
}

TEST_F(RunCommand, StandardInputIsAnInput) {
  const std::string capture = file("good.pcap", pcap_file(datagrams(7)));
  const Outcome outcome = run_command("--json --input - <" + capture);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(Json::parse(outcome.out)["packets"]["processed"], 7);
}

TEST_F(RunCommand, SeveralInputsAreMergedByTime) {
  const auto first = file("a.pcap", pcap_file(std::vector{datagram(1, 0), datagram(1, 100)}));
  const auto second = file("b.pcap", pcap_file(std::vector{datagram(1, 50), datagram(1, 150)}));
  const Outcome outcome = run_command("--flows - --input " + first + " --input " + second);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  ASSERT_EQ(lines_of(outcome.out), 1u) << outcome.out;
  EXPECT_EQ(Json::parse(outcome.out)["packetDeltaCount"], 4);
}

// --- time

TEST_F(RunCommand, DurationEndsARunByPacketTime) {
  const std::string input = "--input " + file("good.pcap", pcap_file(datagrams(100)));
  const Outcome outcome = run_command(input + " --json --duration 10ms");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(Json::parse(outcome.out)["packets"]["processed"], 10);
}

// 285 years and the present together are more than 64 bits of nanoseconds.
TEST_F(RunCommand, ATimeoutOfCenturiesIsAsGoodAsForEver) {
  const Outcome outcome = run_command(
      "--json --input generator:campus,packets=2000 --idle-timeout 2500000h --half-open-timeout 2500000h "
      "--active-timeout 2500000h --duration 2500000h");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json report = Json::parse(outcome.out);
  expect_conserved(report);
  EXPECT_GT(report["packets"]["processed"], 0);
  EXPECT_EQ(report["connections"]["expired"], 0);
}

TEST_F(RunCommand, SpeedOneTakesAtLeastTheRecordedTime) {
  const auto started = std::chrono::steady_clock::now();
  const Outcome outcome =
      run_command("--json --speed 1 --input " + file("good.pcap", pcap_file(datagrams(400))));
  const auto elapsed = std::chrono::steady_clock::now() - started;
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_GE(elapsed, std::chrono::milliseconds(399));
  const Json report = Json::parse(outcome.out);
  EXPECT_EQ(report["packets"]["processed"], 400);
  EXPECT_GE(report["elapsed_seconds"].get<double>(), 0.399);
}

// --- heavy connections

TEST_F(RunCommand, HeavyConnectionsAreNamedFromTheThresholdOn) {
  const std::string options =
      "--json --workers 1 --input generator:elephants,packets=400k --elephant-share 1";
  const auto named = [&](const std::string& threshold) {
    const Outcome outcome = run_command(options + " --elephant-bytes " + threshold);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return Json::parse(outcome.out)["elephants"];
  };
  // Of 400,000 packets of 0.9 KB, a quarter is the first one's, an eighth the second one's.
  const Json elephants = named("25M");
  ASSERT_GE(elephants.size(), 2u);
  EXPECT_GT(elephants[0]["bytes"], 50'000'000);
  EXPECT_TRUE(elephants[0]["connection"].get<std::string>().starts_with("tcp "));
  EXPECT_EQ(named("1G").size(), 0u);
}

// --- signals

// The program with its standard input as a pipe of the test's, so that the test decides how far it is.
class PipedRun {
 public:
  explicit PipedRun(const std::vector<std::string>& arguments) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return;
    input_ = base::FileDescriptor(ends[1]);
    const base::FileDescriptor read_end(ends[0]);
    std::vector<char*> argv;
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::dup2(read_end.get(), STDIN_FILENO);
    ::dup2(::open("/dev/null", O_WRONLY), STDOUT_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ~PipedRun() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  void write(const Bytes& bytes) {
    ASSERT_EQ(::write(input_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  void signal(int number) { ::kill(pid_, number); }
  // The wait status.
  int wait() {
    int status = -1;
    ::waitpid(std::exchange(pid_, 0), &status, 0);
    return status;
  }

 private:
  base::FileDescriptor input_;
  pid_t pid_ = 0;
};

// Waits for what must come; gives up after a time that only a broken program takes.
bool comes_true(const std::function<bool()>& condition) {
  for (int tries = 0; tries < 6'000; ++tries) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST_F(RunCommand, ASignalEndsARunWithItsRecordsWrittenAndItsReport) {
  for (const int number : {SIGINT, SIGTERM}) {
    PipedRun run(
        {EVENKEEL_BINARY, "run", "--input", "-", "--flows", path("flows"), "--report", path("report")});
    // The record of the first connection, idle for 70 s, says that all three packets have arrived.
    run.write(pcap_file(std::vector{datagram(1, 0), datagram(2, 1), datagram(2, 70)}));
    ASSERT_TRUE(comes_true([&] { return lines_of(read_all(path("flows"))) >= 2; }));
    run.signal(number);
    const int status = run.wait();
    ASSERT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    const std::string flows = read_all(path("flows"));
    ASSERT_EQ(lines_of(flows), 3u) << flows;
    EXPECT_NE(flows.find("\"flowEndReason\":4"), std::string::npos) << flows;
    const Json report = Json::parse(read_all(path("report")));
    EXPECT_EQ(report["interrupted"], true);
    EXPECT_EQ(report["packets"]["processed"], 3);
    expect_conserved(report);
    fs::remove(path("flows"));
  }
}

TEST_F(RunCommand, ASignalEndsARunThatStillWaitsForTheFirstByteOfItsInput) {
  PipedRun run({EVENKEEL_BINARY, "run", "--input", "-"});
  // Until the handler is installed the signal ends the process by itself: that is the end asked for, too.
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  run.signal(SIGINT);
  const int status = run.wait();
  EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 1);
}

// As `| head -1` has it: silently by SIGPIPE, as other tools do, or with a clear line; never a crash.
TEST_F(RunCommand, AReaderThatLeavesEndsTheRunWithoutHarm) {
  const std::string command = std::string("( ") + EVENKEEL_BINARY +
                              " run --input generator:mice,packets=300000 --flows - 2>" + path("err") +
                              "; echo $? >" + path("code") + " ) | head -1 >" + path("head");
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(lines_of(read_all(path("head"))), 1u);
  EXPECT_TRUE(Json::parse(read_all(path("head"))).contains("flowEndReason"));
  const std::string code = first_line(read_all(path("code")));
  if (code != std::to_string(128 + SIGPIPE)) {
    EXPECT_EQ(code, "1");
    EXPECT_EQ(lines_of(read_all(path("err"))), 1u) << read_all(path("err"));
  } else {
    EXPECT_EQ(read_all(path("err")), "");
  }
}

}  // namespace
}  // namespace evenkeel::tests
