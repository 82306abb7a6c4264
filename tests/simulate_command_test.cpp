// `evenkeel simulate` as its user meets it.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "run_support.h"

namespace evenkeel::tests {
namespace {

struct Ended {
  int exit_code = -1;
  std::string text;
};

// `redirect`: of standard error.
Ended program(const std::string& arguments, const std::string& redirect = "2>&1") {
  std::FILE* pipe = popen((std::string(EVENKEEL_BINARY) + " " + arguments + " " + redirect).c_str(), "r");
  Ended ended;
  if (pipe == nullptr) return ended;
  std::array<char, 4096> buffer;
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe))
    ended.text.append(buffer.data(), count);
  ended.exit_code = WEXITSTATUS(pclose(pipe));
  return ended;
}

Ended simulate(const std::string& arguments) { return program("simulate " + arguments); }

std::string contents(const std::filesystem::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(SimulateCommand, ReportsEveryMachineAndPolicyWithItsYardsticks) {
  const Ended ended = simulate("--processors 2,3 --policy static,index --packets 20k --json");
  ASSERT_EQ(ended.exit_code, 0) << ended.text;
  const auto json = nlohmann::json::parse(ended.text);
  ASSERT_EQ(json["cases"].size(), 8u);
  for (const auto& one : json["cases"]) {
    EXPECT_GT(one["packets"]["received"], 10'000);
    EXPECT_GT(one["latency_ns"]["p99"], one["latency_ns"]["p50"]);
    if (one["kind"] == "policy") {
      EXPECT_EQ(one["reordered"], 0);
    }
  }
}

TEST(SimulateCommand, WritesAPageThatNeedsNothingElse) {
  const ScratchFolder folder;
  const Ended ended = simulate("--processors 2,4 --packets 20k --html " + (folder / "out.html").string());
  ASSERT_EQ(ended.exit_code, 0) << ended.text;
  EXPECT_NE(ended.text.find("reordered"), std::string::npos);
  const std::string page = contents(folder / "out.html");
  for (const char* part :
       {"Latency of 99 % of packets", "Imbalance over time", "Packets lost", "id=\"latency-title\""})
    EXPECT_NE(page.find(part), std::string::npos) << part;
  for (const char* part : {"http://", "https://", "<script", "nan"}) {
    std::string rest = page;
    for (std::size_t at; (at = rest.find("http://www.w3.org/2000/svg")) != std::string::npos;)
      rest.erase(at, 26);
    EXPECT_EQ(rest.find(part), std::string::npos) << part;
  }
}

TEST(SimulateCommand, WritesTheSameBytesWithAnyNumberOfJobs) {
  const ScratchFolder folder;
  const std::string options = "--processors 2,3 --buckets 64,256 --packets 20k --json --html ";
  std::vector<std::string> texts, pages;
  for (const char* jobs : {" --jobs 1", " --jobs 5", ""}) {
    const std::string page = (folder / "out.html").string();
    const Ended ended = simulate(options + page + jobs);
    ASSERT_EQ(ended.exit_code, 0) << ended.text;
    texts.push_back(ended.text);
    pages.push_back(contents(page));
  }
  EXPECT_EQ(texts[0], texts[1]);
  EXPECT_EQ(texts[0], texts[2]);
  EXPECT_EQ(pages[0], pages[1]);
  EXPECT_EQ(pages[0], pages[2]);
  EXPECT_EQ(nlohmann::json::parse(texts[0])["cases"].size(), 2 * (2 * 3 + 2));
}

TEST(SimulateCommand, FindsProcessorsForATargetAndShowsWhatItTried) {
  const ScratchFolder folder;
  const std::string options = "--processors 3 --packets 50k --policy static,index --target-p99 ";
  const std::string page = (folder / "out.html").string();
  const Ended ended = simulate(options + "3ms --json --html " + page);
  ASSERT_EQ(ended.exit_code, 0) << ended.text;
  const auto json = nlohmann::json::parse(ended.text);
  ASSERT_EQ(json["needed"].size(), 4u);
  for (const auto& needed : json["needed"]) {
    EXPECT_GE(needed["processors"], 3);
    EXPECT_FALSE(needed["tried"].empty());
  }
  EXPECT_NE(contents(page).find("id=\"trials-title\""), std::string::npos);
  // A train of a connection's packets alone takes longer than this, on any number of processors.
  const Ended missed = simulate(
      "--processors 3 --packets 5k --policy index --no-yardsticks --service fixed:10000 --target-p99 15us");
  ASSERT_EQ(missed.exit_code, 0) << missed.text;
  EXPECT_NE(missed.text.find("more than 1,024"), std::string::npos) << missed.text;
}

// What is simulated is what runs: the same capture gives the same workers the same packets.
TEST(SimulateCommand, GivesEachProcessorThePacketsThatARunGivesIt) {
  const std::string input = "generator:campus,connections=500,packets=30k";
  const Ended run =
      program("run --input " + input + " --workers 3 --buckets 64 --policy static --json", "2>/dev/null");
  ASSERT_EQ(run.exit_code, 0);
  const auto ran = nlohmann::json::parse(run.text);
  const Ended ended = simulate("--input " + input +
                               " --processors 3 --buckets 64 --policy static --service fixed:100 --json");
  ASSERT_EQ(ended.exit_code, 0) << ended.text;
  const auto simulated = nlohmann::json::parse(ended.text)["cases"][0];
  EXPECT_EQ(simulated["packets"]["received"], ran["packets"]["received"]);
  EXPECT_EQ(simulated["connections"]["opened"], ran["connections"]["opened"]);
  ASSERT_EQ(simulated["processors_detail"].size(), ran["workers"].size());
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(simulated["processors_detail"][i]["packets"], ran["workers"][i]["packets"]) << i;
}

TEST(SimulateCommand, SaysInOneLineWhatIsWrongAndWhatWouldBeRight) {
  const std::pair<const char*, int> cases[] = {{"--processors 0", 2},
                                               {"--processors 1025", 2},
                                               {"--processors two", 2},
                                               {"--buckets 1000", 2},
                                               {"--buckets 131072", 2},
                                               {"--capacity 1,0", 2},
                                               {"--policy fairest", 2},
                                               {"--load 0", 2},
                                               {"--load much", 2},
                                               {"--load 0.5 --rate 1M", 2},
                                               {"--rate 1Q", 2},
                                               {"--service slow", 2},
                                               {"--service fixed:0", 2},
                                               {"--interval 10", 2},
                                               {"--interval 0s", 2},
                                               {"--duration -1s", 2},
                                               {"--packets 0", 2},
                                               {"--move-cost -5", 2},
                                               {"--queueing lifo", 2},
                                               {"--quantum 0us", 2},
                                               {"--target-p99 soon", 2},
                                               {"--workload email", 2},
                                               {"--workload campus --input x.pcap", 2},
                                               {"--input -", 2},
                                               {"--input x.pcap --connections 5", 2},
                                               {"--connections 99999999", 2},
                                               {"--jobs 0", 2},
                                               {"--seed -1", 2},
                                               {"--load nan", 2},
                                               {"--capacity 1e-9", 2},
                                               {"--packets 1e3", 2},
                                               {"--interval 1ns", 2},
                                               {"--rate 1 --duration 1ms", 2},
                                               {"--rate 1 --duration 100000h", 2},
                                               {"--rate 1 --duration 1000h", 2},
                                               {"--json --html -", 2},
                                               {"--target-p99 1us", 2},
                                               {"--target-p99 1ms --rate 1G", 2},
                                               {"--input /nowhere/x.pcap", 1},
                                               {"--html /nowhere/x.html", 1}};
  for (const auto& [arguments, exit_code] : cases) {
    const Ended ended = simulate(arguments);
    EXPECT_EQ(ended.exit_code, exit_code) << arguments << ": " << ended.text;
    EXPECT_EQ(std::count(ended.text.begin(), ended.text.end(), '\n'), 1) << arguments << ": " << ended.text;
  }
}

TEST(SimulateCommand, EveryOptionStandsInTheDocumentation) {
  const std::string page = contents(EVENKEEL_SOURCE_DIR "/docs/simulation.md");
  const std::string help = simulate("--help").text;
  std::size_t options = 0;
  for (std::size_t at = 0; (at = help.find("\n  --", at)) != std::string::npos; ++options) {
    at += 3;
    const std::string option =
        help.substr(at, help.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-", at) - at);
    EXPECT_NE(page.find("`" + option), std::string::npos) << option;
  }
  EXPECT_GT(options, 15u);
}

}  // namespace
}  // namespace evenkeel::tests
