#include "observe/page.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "observe/axes.h"
#include "observe/picture.h"
#include "tests/example_report.h"

namespace evenkeel::observe {
namespace {

// Every element that is opened is closed, in order; `text` as HTML with void elements, or as SVG.
testing::AssertionResult well_nested(const std::string& text) {
  std::vector<std::string> open;
  for (std::size_t at = text.find('<'); at != std::string::npos; at = text.find('<', at + 1)) {
    const std::size_t end = text.find('>', at);
    if (end == std::string::npos) return testing::AssertionFailure() << "a tag without an end";
    const std::string tag = text.substr(at + 1, end - at - 1);
    const std::string name = tag.substr(0, tag.find_first_of(" \n/", 1));
    if (tag[0] == '!' || tag.ends_with("/") || name == "meta") continue;
    if (tag[0] != '/') {
      open.push_back(name);
    } else if (open.empty() || "/" + open.back() != tag) {
      return testing::AssertionFailure() << tag << " closes " << (open.empty() ? "nothing" : open.back());
    } else {
      open.pop_back();
    }
  }
  return open.empty() ? testing::AssertionSuccess()
                      : testing::AssertionFailure() << open.back() << " stays open";
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(Page, IsWellNestedAndOfModestSizeFrom1To1024Workers) {
  for (std::uint32_t workers : {1u, 2u, 8u, 9u, 64u, 1024u}) {
    const std::string page =
        report_page(tests::example_report({.workers = workers, .intervals = workers < 1024 ? 300u : 20u}));
    EXPECT_TRUE(well_nested(page)) << workers;
    EXPECT_LT(page.size(), 1'000'000u) << workers;
    EXPECT_EQ(page.find("nan"), std::string::npos);
  }
}

TEST(Page, FetchesNothingAndRunsNothing) {
  const std::string page = report_page(tests::example_report({.workers = 8}));
  EXPECT_EQ(count(page, "http"), count(page, "xmlns=\"http://www.w3.org/2000/svg\""))
      << "a name, not an address";
  for (const char* part : {"<script", "src=", "href=", "url(", "@import", "<link", "<img"}) {
    EXPECT_EQ(page.find(part), std::string::npos) << part;
  }
}

TEST(Page, EveryPictureHasATextAlternative) {
  const std::string page = report_page(tests::example_report({.workers = 8}));
  EXPECT_EQ(count(page, "role=\"img\""), 5u);
  EXPECT_EQ(count(page, "<desc"), 5u);
  for (const char* id : {"load-static", "load-run", "imbalance", "buckets-static", "buckets-run"}) {
    EXPECT_EQ(count(page, "id=\"" + std::string(id) + "-title\""), 1u) << id;
  }
}

TEST(Page, ShowsALineForEachOfAFewWorkersAndAHeatMapForMany) {
  const std::string few = report_page(tests::example_report({.workers = 8}));
  EXPECT_EQ(count(few, "<polyline class=\"worker "), 16u) << "8 for each side";
  EXPECT_EQ(count(few, "<path class=\"heat"), 0u);
  const std::string many = report_page(tests::example_report({.workers = 9}));
  EXPECT_EQ(count(many, "<polyline class=\"worker "), 0u);
  EXPECT_GT(count(many, "<path class=\"heat"), 0u);
}

TEST(Page, NamesOfInputsCannotBreakIt) {
  RunReport report = tests::example_report({});
  report.inputs[0].name = "<b>\"&.pcap";
  report.inputs[0].error = "<b>\"&.pcap is cut <here>";
  const std::string page = report_page(report);
  EXPECT_TRUE(well_nested(page));
  EXPECT_NE(page.find("&lt;b&gt;&quot;&amp;.pcap is cut &lt;here&gt;"), std::string::npos);
}

TEST(Page, SaysWhatWentWrong) {
  RunReport report = tests::example_report({});
  report.order_violations = 3;
  report.interrupted = true;
  const std::string page = report_page(report);
  EXPECT_NE(page.find("tile wrong"), std::string::npos);
  EXPECT_NE(page.find("Interrupted"), std::string::npos);
}

TEST(Page, ARunShorterThanAnIntervalHasAPictureOfItsWhole) {
  RunReport report = tests::example_report({.workers = 4, .intervals = 1});
  report.balance.history = BalanceHistory();
  EXPECT_EQ(drawn_samples(report).size(), 1u);
  EXPECT_TRUE(well_nested(report_page(report)));
}

TEST(Page, ARunThatMeasuredNoLoadIsStillAPage) {
  RunReport report = tests::example_report({.workers = 2, .intervals = 1});
  report.balance.history = BalanceHistory();
  report.balance.bucket_loads.clear();
  EXPECT_TRUE(well_nested(report_page(report)));
}

TEST(Page, AnEmptyReportIsStillAPage) { EXPECT_TRUE(well_nested(report_page(RunReport()))); }

TEST(SummaryPicture, StandsForItself) {
  for (std::uint32_t workers : {2u, 64u}) {
    const std::string svg = summary_picture(tests::example_report({.workers = workers}));
    EXPECT_TRUE(well_nested(svg));
    EXPECT_NE(svg.find("<style>"), std::string::npos);
    EXPECT_TRUE(svg.starts_with("<svg xmlns="));
  }
}

TEST(TickStep, IsRoundAndGivesAtMostTheStepsAskedFor) {
  EXPECT_DOUBLE_EQ(tick_step(6, 6), 1);
  EXPECT_DOUBLE_EQ(tick_step(7, 6), 2);
  EXPECT_DOUBLE_EQ(tick_step(0.13, 5), 0.05);
  EXPECT_DOUBLE_EQ(tick_step(86'400, 6), 20'000);
  EXPECT_DOUBLE_EQ(tick_step(0, 6), 1);
}

}  // namespace
}  // namespace evenkeel::observe
