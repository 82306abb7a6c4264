// `evenkeel plan` as its user meets it: files in, JSON or one clear line out.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace {

struct Outcome {
  int exit_code = -1;
  std::string text;
};

// With standard error in the text.
Outcome plan(const std::string& arguments) {
  std::FILE* pipe = popen((std::string(EVENKEEL_BINARY) + " plan " + arguments + " 2>&1").c_str(), "r");
  Outcome outcome;
  if (pipe == nullptr) return outcome;
  char buffer[4096];
  while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, pipe))
    outcome.text.append(buffer, count);
  outcome.exit_code = WEXITSTATUS(pclose(pipe));
  return outcome;
}

class PlanCommand : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("evenkeel-plan-" + std::to_string(::getpid()) + "-" +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string file(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }
  std::filesystem::path folder_;
};

TEST_F(PlanCommand, SaysInJsonWhatItDoesAndWhy) {
  const std::string loads = file("loads.csv", "4\n1\n1\n1\n1\n1\n1\n1\n");
  const Outcome outcome = plan("--loads " + loads + " --processors 2 --utilization 0.5 --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  const auto json = nlohmann::json::parse(outcome.text);
  EXPECT_EQ(json["policy"], "index");
  EXPECT_EQ(json["buckets"], 8);
  EXPECT_EQ(json["processors"], 2);
  EXPECT_DOUBLE_EQ(json["utilization"].get<double>(), 0.5);
  EXPECT_GT(json["before"]["max_over_mean"].get<double>(), json["after"]["max_over_mean"].get<double>());
  EXPECT_EQ(json["processors_detail"].size(), 2u);
  double loads_moved = 0;
  for (const auto& move : json["moves"]) {
    EXPECT_NE(move["from"], move["to"]);
    EXPECT_TRUE(move["reason"].is_string());
    loads_moved += move["load"].get<double>();
  }
  EXPECT_NEAR(json["load_moved_fraction"].get<double>(), loads_moved, 1e-9);
  for (const char* field : {"usage", "target", "index", "quota", "after"})
    EXPECT_TRUE(json["processors_detail"][0][field].is_number()) << field;
  for (const char* field : {"lower_bound_max_over_mean", "total_index", "plan_nanoseconds"})
    EXPECT_TRUE(json[field].is_number()) << field;
}

TEST_F(PlanCommand, GivesAListForSeveralPolicies) {
  const Outcome outcome =
      plan("--loads " + file("loads.csv", "3\n1\n2\n1\n") + " --processors 2 --policy index,lpt --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  const auto json = nlohmann::json::parse(outcome.text);
  ASSERT_EQ(json.size(), 2u);
  EXPECT_EQ(json[1]["policy"], "lpt");
}

TEST_F(PlanCommand, TakesTheReportOfARun) {
  const std::string report = file("report.json", R"({"workers":[{"busy_fraction":0.8},{"busy_fraction":0.2}],
           "balance":{"bucket_loads":[0.2,0.3,0.3,0.2],"bucket_owners":[0,0,0,1]}})");
  const Outcome outcome = plan("--loads " + report + " --quality --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  const auto json = nlohmann::json::parse(outcome.text);
  EXPECT_EQ(json["processors"], 2);
  EXPECT_DOUBLE_EQ(json["processors_detail"][0]["usage"].get<double>(), 0.8);
  EXPECT_DOUBLE_EQ(json["after"]["max_over_mean"].get<double>(), 1);
}

TEST_F(PlanCommand, HonoursPinsAndExclusions) {
  const Outcome outcome = plan("--loads " + file("loads.csv", "1\n1\n1\n1\n1\n1\n") +
                               " --processors 3 --exclude-processor 1 --pin-bucket 0,2 --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  const auto json = nlohmann::json::parse(outcome.text);
  EXPECT_DOUBLE_EQ(json["processors_detail"][1]["after"].get<double>(), 0);
  for (const auto& move : json["moves"]) {
    EXPECT_NE(move["bucket"], 0);
    EXPECT_NE(move["bucket"], 2);
    EXPECT_EQ(move["reason"], "evacuate");
  }
}

TEST_F(PlanCommand, FollowsRounds) {
  std::string rows;
  for (int round = 0; round < 20; ++round) rows += "1,2,3,4,5,6,7," + std::to_string(round) + "\n";
  const Outcome outcome = plan("--rounds " + file("rounds.csv", rows) + " --processors 2 --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  const auto json = nlohmann::json::parse(outcome.text);
  for (const char* field : {"mean_max_over_mean", "p95_max_over_mean", "mean_lower_bound", "drop_fraction",
                            "moves_per_round", "load_moved_per_round", "plan_nanoseconds_mean"})
    EXPECT_TRUE(json[field].is_number()) << field;
}

TEST_F(PlanCommand, PinsAndExclusionsHoldInRoundsToo) {
  std::string rows;
  for (int round = 0; round < 20; ++round) rows += "9,1,1,1,1,1,1,1\n";
  const std::string rounds = "--rounds " + file("rounds.csv", rows) + " --processors 2 --json";
  const auto moves = [](const Outcome& outcome) {
    EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
    const auto json = nlohmann::json::parse(outcome.text);
    return std::pair(json["mean_max_over_mean"].get<double>(), json["moves_per_round"].get<double>());
  };
  EXPECT_LT(moves(plan(rounds)).first, 1.2);
  EXPECT_NEAR(moves(plan(rounds + " --pin-bucket 0,2,4,6")).first, 1.5, 1e-9);
  EXPECT_NEAR(moves(plan(rounds + " --exclude-processor 1")).first, 1, 1e-9);
}

TEST_F(PlanCommand, PlansForTheCapacitiesOfTheRun) {
  const std::string report = file("report.json", R"({"workers":[{"busy_fraction":0.4,"capacity":1},
           {"busy_fraction":0.8,"capacity":0.5}],
           "balance":{"bucket_loads":[0.2,0.2,0.2,0.2],"bucket_owners":[0,0,1,1]}})");
  const auto json = nlohmann::json::parse(plan("--loads " + report + " --quality --json").text);
  EXPECT_DOUBLE_EQ(json["processors_detail"][1]["capacity"].get<double>(), 0.5);
  EXPECT_DOUBLE_EQ(json["processors_detail"][1]["usage"].get<double>(), 0.8);
  EXPECT_DOUBLE_EQ(json["before"]["max_over_mean"].get<double>(), 1.5);
  const auto other = nlohmann::json::parse(plan("--loads " + report + " --processors 2 --json").text);
  EXPECT_DOUBLE_EQ(other["processors_detail"][1]["capacity"].get<double>(), 1);
}

TEST_F(PlanCommand, ReadsStandardInputAndWhatSpreadsheetsWrite) {
  const std::string plain = file("plain.csv", "3\n1\n2\n2\n");
  const std::string other = file("other.csv", "\xef\xbb\xbfload\r\n3\r\n1\r\n\r\n# two more\r\n2\r\n2\r\n");
  const std::string options = " --processors 2 --json | grep -v nanoseconds";
  const std::string expected = plan("--loads " + plain + options).text;
  EXPECT_NE(expected.find("max_over_mean"), std::string::npos);
  EXPECT_EQ(plan("--loads " + other + options).text, expected);
  EXPECT_EQ(plan("--loads - --processors 2 --json <" + plain + " | grep -v nanoseconds").text, expected);
}

TEST_F(PlanCommand, LoadsOfAnySizeGiveFiniteNumbers) {
  const std::string huge = file("huge.csv", "1e308\n1e308\n1e308\n5e-324\n");
  const std::string tiny = file("tiny.csv", "5e-324\n1e-320\n5e-324\n5e-324\n");
  std::string rows;
  for (int round = 0; round < 20; ++round) rows += "1e308,1e308,5e-324,1e308\n";
  for (const std::string& input :
       {"--loads " + huge, "--loads " + tiny, "--rounds " + file("rows.csv", rows)})
    for (const char* policy : {"index", "static", "proportional", "rsspp", "lpt"}) {
      const Outcome outcome = plan(input + " --processors 2 --json --policy " + policy);
      ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
      EXPECT_EQ(outcome.text.find("null"), std::string::npos) << outcome.text;
      EXPECT_EQ(outcome.text.find("nan"), outcome.text.find("nanoseconds")) << outcome.text;
    }
}

TEST_F(PlanCommand, EveryPolicyHoldsToTheCapOnMoves) {
  std::string loads;
  for (int j = 0; j < 256; ++j) loads += std::to_string(1 + j % 4 * (j % 7)) + "\n";
  const std::string path = file("loads.csv", loads);
  for (const char* policy : {"index", "proportional", "rsspp", "lpt"}) {
    const auto json = nlohmann::json::parse(
        plan("--loads " + path + " --processors 4 --json --moves-max 2 --policy " + policy).text);
    EXPECT_GE(json["moves"].size(), 1u) << policy;
    EXPECT_LE(json["moves"].size(), 2u) << policy;
    EXPECT_LT(json["after"]["max_over_mean"], json["before"]["max_over_mean"]) << policy;
  }
}

TEST_F(PlanCommand, SaysInOneLineWhatIsWrongAndWhatWouldBeRight) {
  const std::string good = file("good.csv", "1\n2\n");
  const std::string nan = file("nan.csv", "1\nnan\n"), negative = file("negative.csv", "-1\n1\n");
  const std::string infinite = file("infinite.csv", "inf\n"), silent = file("silent.csv", "0\n0\n");
  const std::pair<std::string, int> cases[] = {
      {"", 2},
      {"--loads " + good, 2},
      {"--loads " + good + " --processors 0", 2},
      {"--loads " + good + " --capacity 1,0", 2},
      {"--loads " + good + " --processors 2 --policy fair", 2},
      {"--loads " + good + " --processors 2 --pin-bucket 9", 2},
      {"--loads " + good + " --processors 2 --exclude-processor 2", 2},
      {"--loads " + good + " --processors 1 --exclude-processor 0", 2},
      {"--loads " + good + " --processors 2 --hysteresis 2", 2},
      {"--loads " + good + " --processors 2 --assignment " + good, 2},
      {"--loads " + nan + " --processors 2", 2},
      {"--loads " + negative + " --processors 2", 2},
      {"--loads " + infinite + " --processors 2", 2},
      {"--loads " + silent + " --processors 2", 2},
      {"--rounds " + good + " --processors 2", 2},
      {"--loads " + good + " --processors 1.5", 2},
      {"--loads " + good + " --processors -1", 2},
      {"--loads " + good + " --processors 2 --utilization 0", 2},
      {"--loads " + good + " --processors 2 --utilization nan", 2},
      {"--loads " + good + " --processors 2 --utilization inf", 2},
      {"--loads " + good + " --processors 2 --utilization 5e-324", 2},
      {"--loads " + good + " --processors 2 --utilization 1e308", 2},
      {"--loads " + good + " --processors 2 --hysteresis nan", 2},
      {"--loads " + good + " --processors 2 --move-cost inf", 2},
      {"--loads " + good + " --processors 2 --moves-max -1", 2},
      {"--loads " + good + " --capacity nan,1", 2},
      {"--loads " + good + " --capacity 1e308,1e308", 2},
      {"--loads " + good + " --capacity 1,x", 2},
      {"--loads " + good + " --processors 2 --pin-bucket 1 --exclude-processor 1", 2},
      {"--loads " + good + " --processors 2 --pin-bucket -1", 2},
      {"--loads - --assignment - --processors 2 <" + good, 2},
      {"--loads " + file("list.json", "[1, 2]") + " --processors 2", 2},
      {"--loads " + file("word.json", "\"x\"") + " --processors 2", 2},
      {"--loads " + file("half.json", "{\"balance\"") + " --processors 2", 2},
      {"--loads " + file("words.json", R"({"balance":{"bucket_loads":["x"]}})") + " --processors 2", 2},
      {"--loads " + file("much.json", R"({"balance":{"bucket_loads":[1e300]}})") + " --processors 2", 2},
      {"--loads " + folder_.string() + " --processors 2", 1},
      {"--loads " + (folder_ / "missing.csv").string() + " --processors 2", 1}};
  for (const auto& [arguments, exit_code] : cases) {
    const Outcome outcome = plan(arguments);
    EXPECT_EQ(outcome.exit_code, exit_code) << arguments << ": " << outcome.text;
    EXPECT_EQ(std::count(outcome.text.begin(), outcome.text.end(), '\n'), 1) << outcome.text;
    EXPECT_TRUE(outcome.text.starts_with("evenkeel: ")) << outcome.text;
    EXPECT_LT(outcome.text.size(), 250u) << outcome.text;
  }
}

}  // namespace
