// The imbalance over time, of this run and of static hashing, with the moves below; and the summary.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "observe/axes.h"
#include "observe/picture.h"
#include "observe/text.h"

namespace evenkeel::observe {

namespace {

constexpr double kMovesHeight = 34;

std::vector<Point> ratio_line(const std::vector<BalanceSample>& samples, double BalanceSample::*ratio,
                              const Scale& scale) {
  std::vector<Point> points{{scale.x(samples.front().start_seconds), scale.y(samples.front().*ratio)}};
  for (const BalanceSample& sample : samples) {
    points.push_back({scale.x((sample.start_seconds + sample.end_seconds) / 2), scale.y(sample.*ratio)});
  }
  points.push_back({scale.x(samples.back().end_seconds), scale.y(samples.back().*ratio)});
  return points;
}

double greatest_ratio(const std::vector<BalanceSample>& samples) {
  double greatest = 1.1;
  for (const BalanceSample& sample : samples) {
    greatest = std::max({greatest, sample.max_over_mean, sample.static_max_over_mean});
  }
  return 1 + (greatest - 1) * 1.05;
}

void draw_moves(Svg& svg, const Area& plot, const std::vector<BalanceSample>& samples) {
  std::uint64_t most = 0;
  for (const BalanceSample& sample : samples) most = std::max(most, sample.moves);
  const double seconds = samples.back().end_seconds;
  for (const BalanceSample& sample : samples) {
    if (sample.moves == 0) continue;
    const double height = plot.height * static_cast<double>(sample.moves) / static_cast<double>(most);
    const double width = std::max(1.0, plot.width * sample.seconds() / seconds - 1);
    svg.rectangle(
        {plot.x + plot.width * sample.start_seconds / seconds, plot.bottom() - height, width, height},
        "moves", fmt::format("{} moves", sample.moves));
  }
  svg.text({plot.x - 6, plot.bottom()}, "moves", "tick", Anchor::kEnd);
  svg.text({plot.right() + 6, plot.y + 10}, most > 0 ? fmt::format("{} at most", most) : "none", "tick");
}

// Keeps the two names apart where the lines end close to each other.
void draw_names(Svg& svg, const Scale& scale, const BalanceSample& last) {
  double static_y = scale.y(last.static_max_over_mean) + 4;
  double run_y = scale.y(last.max_over_mean) + 4;
  if (std::abs(static_y - run_y) < 16)
    (static_y <= run_y ? static_y : run_y) = std::max(static_y, run_y) - 16;
  svg.text({scale.area.right() + 6, static_y}, "static hashing", "figure static");
  svg.text({scale.area.right() + 6, run_y}, "this run", "figure run");
}

}  // namespace

void draw_imbalance(Svg& svg, const Area& area, const RunReport& report) {
  const std::vector<BalanceSample> samples = drawn_samples(report);
  const Area plot{area.x + 48, area.y + 8, area.width - 48 - 128, area.height - 8 - 26 - kMovesHeight - 8};
  const Area moves{plot.x, plot.bottom() + 8, plot.width, kMovesHeight};
  const Scale scale{
      .area = plot, .x_high = samples.back().end_seconds, .y_low = 1, .y_high = greatest_ratio(samples)};
  draw_value_axis(svg, scale, false);
  svg.line({plot.x, plot.bottom()}, {plot.right(), plot.bottom()}, "axis");
  std::vector<Point> gap = ratio_line(samples, &BalanceSample::static_max_over_mean, scale);
  const std::vector<Point> run = ratio_line(samples, &BalanceSample::max_over_mean, scale);
  svg.polyline(gap, "ratio static", "static hashing");
  svg.polyline(run, "ratio run", "this run");
  gap.insert(gap.end(), run.rbegin(), run.rend());
  svg.polygon(gap, "gain");
  draw_names(svg, scale, samples.back());
  draw_moves(svg, moves, samples);
  draw_time_axis(svg, {.area = moves, .x_high = scale.x_high, .y_low = 0, .y_high = 1});
}

std::string imbalance_picture(const RunReport& report) {
  Svg svg(
      "imbalance", 1100, 250, "Imbalance over time",
      fmt::format("Load of the busiest worker over the mean of all, over time. On average {} with static "
                  "hashing and {} "
                  "in this run; 1 is level.",
                  ratio_text(report.balance.static_max_over_mean), ratio_text(report.balance.max_over_mean)));
  draw_imbalance(svg, {4, 4, 1092, 242}, report);
  return svg.take();
}

std::string summary_picture(const RunReport& report) {
  const bool lines = report.workers.size() <= kLinesMax;
  Svg svg("summary", 1100, 320, "Load of each worker over time, with static hashing and with evenkeel",
          fmt::format("Two pictures side by side. With static hashing the busiest of {} workers had {} times "
                      "the mean load; "
                      "with evenkeel {} times.",
                      report.options.workers, ratio_text(report.balance.static_max_over_mean),
                      ratio_text(report.balance.max_over_mean)));
  svg.style(picture_style());
  svg.rectangle({0, 0, 1100, 320}, "ground");
  draw_load(svg, {12, 8, 528, 280}, report, Side::kStatic, "With static hashing");
  draw_load(svg, {560, 8, 528, 280}, report, Side::kRun, "With evenkeel");
  svg.text({12, 310},
           fmt::format("{} of {} workers over time, {} packets; {}",
                       lines ? "Busy share" : "Load relative to the mean", report.options.workers,
                       count_text(report.packets.received),
                       lines ? "a line for each worker" : "red is above the mean, blue below"),
           "note");
  return svg.take();
}

}  // namespace evenkeel::observe
