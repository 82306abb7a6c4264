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
      {"--loads " + (folder_ / "missing.csv").string() + " --processors 2", 1}};
  for (const auto& [arguments, exit_code] : cases) {
    const Outcome outcome = plan(arguments);
    EXPECT_EQ(outcome.exit_code, exit_code) << arguments << ": " << outcome.text;
    EXPECT_EQ(std::count(outcome.text.begin(), outcome.text.end(), '\n'), 1) << outcome.text;
  }
}

}  // namespace
