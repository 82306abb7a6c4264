#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "observe/report_json.h"
#include "observe/report_table.h"
#include "tests/example_report.h"

namespace evenkeel::observe {
namespace {

using nlohmann::json;

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// "packets.received", "workers[].packets", "packets.dropped{}".
void collect_paths(const json& value, const std::string& path, std::set<std::string>& paths) {
  const std::string last = path.substr(path.rfind('.') + 1);
  if (last == "dropped" || last.ends_with("_reasons")) {
    paths.insert(path + "{}");
  } else if (value.is_object()) {
    for (const auto& [name, member] : value.items()) {
      collect_paths(member, path.empty() ? name : path + "." + name, paths);
    }
  } else if (value.is_array() && !value.empty() && value[0].is_object()) {
    for (const json& entry : value) collect_paths(entry, path + "[]", paths);
  } else {
    paths.insert(path);
  }
}

std::size_t columns(const std::string& text) {
  std::size_t widest = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) widest = std::max(widest, line.size());
  return widest;
}

std::string without_colour(std::string text) {
  for (std::size_t at = text.find('\x1b'); at != std::string::npos; at = text.find('\x1b', at)) {
    text.erase(at, text.find('m', at) + 1 - at);
  }
  return text;
}

TEST(ReportJson, HasExactlyTheFieldsOfTheDocumentation) {
  std::set<std::string> paths;
  collect_paths(json::parse(report_json(tests::example_report({}))), "", paths);
  std::set<std::string> documented;
  std::istringstream page(read(EVENKEEL_SOURCE_DIR "/docs/report.md"));
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("| `")) documented.insert(line.substr(3, line.find('`', 3) - 3));
  }
  EXPECT_EQ(paths, documented);
}

TEST(ReportJson, EveryPacketIsInOneOfTheSums) {
  const json report = json::parse(report_json(tests::example_report({})));
  const json& packets = report.at("packets");
  std::uint64_t sum = packets.at("processed").get<std::uint64_t>();
  for (const char* fate : {"malformed_reasons", "unclassified_reasons", "dropped"}) {
    for (const auto& [reason, count] : packets.at(fate).items()) sum += count.get<std::uint64_t>();
  }
  EXPECT_EQ(sum, packets.at("received"));
  EXPECT_EQ(packets.at("malformed"), 80);
  EXPECT_FALSE(packets.at("malformed_reasons").contains("link_cut")) << "a reason that never occurred";
}

TEST(ReportJson, HoldsTheListsByBucketAndByWorker) {
  const json report = json::parse(report_json(tests::example_report({.workers = 3, .buckets = 64})));
  EXPECT_EQ(report.at("workers").size(), 3u);
  EXPECT_EQ(report.at("balance").at("bucket_loads").size(), 64u);
  EXPECT_EQ(report.at("balance").at("bucket_owners").size(), 64u);
  EXPECT_EQ(report.at("balance").at("history").at(0).at("busy_fraction").size(), 3u);
}

TEST(ReportJson, SurvivesNamesThatAreNotUtf8AndAnEmptyRun) {
  RunReport report;
  report.inputs.push_back({"caf\xe9.pcap", 0, 0, "cut \"here\""});
  const json parsed = json::parse(report_json(report));
  EXPECT_EQ(parsed.at("inputs").at(0).at("error"), "cut \"here\"");
  EXPECT_TRUE(parsed.at("workers").empty());
}

TEST(ReportTable, FitsIn80ColumnsFrom1To1024Workers) {
  for (std::uint32_t workers : {1u, 2u, 16u, 17u, 64u, 1024u}) {
    RunReport report = tests::example_report({.workers = workers, .intervals = 3});
    report.workers[0].packets = 9'999'999'999'999;
    report.packets.received = 9'999'999'999'999;
    for (int i = 0; i < 20; ++i)
      report.packets.dropped.push_back({"reason_" + std::to_string(i), 123'456'789});
    EXPECT_LE(columns(report_table(report, false)), 80u) << workers;
  }
}

TEST(ReportTable, ShowsEveryWorkerUpTo16AndBothEndsBeyond) {
  const auto lines = [](std::uint32_t workers) {
    const std::string text = report_table(tests::example_report({.workers = workers, .intervals = 3}), false);
    return std::count(text.begin(), text.end(), '\n');
  };
  EXPECT_EQ(lines(16) - lines(2), 14);
  EXPECT_EQ(lines(64), lines(1024));
  const std::string text = report_table(tests::example_report({.workers = 64, .intervals = 3}), false);
  EXPECT_NE(text.find("...  54 workers between"), std::string::npos) << text;
}

TEST(ReportTable, ColourIsOnlyAddedNeverPartOfTheText) {
  const RunReport report = tests::example_report({});
  const std::string plain = report_table(report, false);
  EXPECT_EQ(plain.find('\x1b'), std::string::npos);
  const std::string coloured = report_table(report, true);
  EXPECT_NE(coloured.find('\x1b'), std::string::npos);
  EXPECT_EQ(without_colour(coloured), plain);
}

TEST(ReportTable, NamesTheInputThatEndedEarly) {
  RunReport report = tests::example_report({});
  report.inputs[0].error = "a.pcap is cut off after packet 12";
  EXPECT_NE(report_table(report, false).find("\na.pcap is cut off after packet 12\n"), std::string::npos);
}

TEST(ReportTable, AnEmptyReportIsStillATable) { EXPECT_LE(columns(report_table(RunReport(), true)), 120u); }

}  // namespace
}  // namespace evenkeel::observe
