// Load of each worker over time: lines for a few workers, a heat map for many.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "observe/axes.h"
#include "observe/picture.h"
#include "observe/text.h"

namespace evenkeel::observe {

namespace {

constexpr double kBusyShownMax = 3;  // 300 %: beyond, lines are cut
constexpr std::size_t kHeatRowsMax = 128;
constexpr std::size_t kHeatColumnsMax = 128;
constexpr int kHeatSteps = 8;  // on either side of the mean; picture_style() has a colour for each

double end_seconds(const std::vector<BalanceSample>& samples) {
  return samples.empty() ? 1 : samples.back().end_seconds;
}

// Both sides share it, so that they can be compared by eye.
double busy_shown(const std::vector<BalanceSample>& samples) {
  double greatest = 0.05;
  for (const BalanceSample& sample : samples) {
    for (Side side : {Side::kStatic, Side::kRun}) {
      for (double busy : side_busy(sample, side)) greatest = std::max(greatest, busy);
    }
  }
  return std::min(std::ceil(greatest * 4) / 4, kBusyShownMax);
}

// Through the middle of each stretch, and level out to both ends.
std::vector<Point> worker_line(const std::vector<BalanceSample>& samples, Side side, std::size_t worker,
                               const Scale& scale) {
  std::vector<Point> points;
  const auto y = [&](const BalanceSample& sample) {
    return scale.y(std::min(side_busy(sample, side)[worker], scale.y_high));
  };
  points.push_back({scale.x(samples.front().start_seconds), y(samples.front())});
  for (const BalanceSample& sample : samples) {
    points.push_back({scale.x((sample.start_seconds + sample.end_seconds) / 2), y(sample)});
  }
  points.push_back({scale.x(samples.back().end_seconds), y(samples.back())});
  return points;
}

void draw_lines(Svg& svg, const Area& plot, const std::vector<BalanceSample>& samples, Side side) {
  const Scale scale{.area = plot, .x_high = end_seconds(samples), .y_low = 0, .y_high = busy_shown(samples)};
  if (scale.y_high > 1) {
    svg.rectangle({plot.x, plot.y, plot.width, scale.y(1) - plot.y}, "overload",
                  "More than 100 %: more than a worker can do in that time");
    svg.text({plot.right() - 6, scale.y(1) - 6}, "more than one worker can do", "note", Anchor::kEnd);
  }
  draw_value_axis(svg, scale, true);
  draw_time_axis(svg, scale);
  for (std::size_t worker = 0; worker < side_busy(samples.front(), side).size(); ++worker) {
    svg.polyline(worker_line(samples, side, worker, scale), fmt::format("worker w{}", worker),
                 fmt::format("worker {}", worker));
  }
}

double mean(const std::vector<double>& values) {
  return values.empty()
             ? 0
             : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// The greatest load relative to the mean of all among the workers of a row and the stretches of a column.
class HeatMap {
 public:
  HeatMap(const std::vector<BalanceSample>& samples, Side side) {
    const std::size_t workers = side_busy(samples.front(), side).size();
    workers_per_row_ = (workers + kHeatRowsMax - 1) / kHeatRowsMax;
    const std::size_t samples_per_column = (samples.size() + kHeatColumnsMax - 1) / kHeatColumnsMax;
    rows_ = (workers + workers_per_row_ - 1) / workers_per_row_;
    columns_ = (samples.size() + samples_per_column - 1) / samples_per_column;
    std::vector<double> sums(workers);
    for (std::size_t column = 0; column < columns_; ++column) {
      std::fill(sums.begin(), sums.end(), 0.0);
      const std::size_t end = std::min(samples.size(), (column + 1) * samples_per_column);
      for (std::size_t i = column * samples_per_column; i < end; ++i) {
        const std::vector<double>& busy = side_busy(samples[i], side);
        for (std::size_t worker = 0; worker < workers; ++worker)
          sums[worker] += busy[worker] * samples[i].seconds();
      }
      add_column(sums);
    }
  }

  std::size_t rows() const { return rows_; }
  std::size_t columns() const { return columns_; }
  std::size_t workers_per_row() const { return workers_per_row_; }
  double at(std::size_t row, std::size_t column) const { return cells_[column * rows_ + row]; }

 private:
  void add_column(const std::vector<double>& loads) {
    const double average = mean(loads);
    for (std::size_t row = 0; row < rows_; ++row) {
      const auto first = loads.begin() + static_cast<std::ptrdiff_t>(row * workers_per_row_);
      const auto last =
          loads.begin() + static_cast<std::ptrdiff_t>(std::min(loads.size(), (row + 1) * workers_per_row_));
      cells_.push_back(average > 0 ? *std::max_element(first, last) / average : 1);
    }
  }

  std::size_t workers_per_row_ = 1;
  std::size_t rows_ = 0;
  std::size_t columns_ = 0;
  std::vector<double> cells_;  // by column, then row
};

// Steps of an eighth of the mean, from 0 (nothing to do) to twice the mean or more; 0 is within 1/16 of it.
int heat_step(double relative) {
  return std::clamp(static_cast<int>(std::lround((relative - 1) * kHeatSteps)), -kHeatSteps, kHeatSteps);
}

// One path for each colour; equal neighbours of a row are one rectangle. Step 0 is the ground.
std::array<std::string, 2 * kHeatSteps + 1> heat_paths(const HeatMap& map) {
  std::array<std::string, 2 * kHeatSteps + 1> paths;
  for (std::size_t row = 0; row < map.rows(); ++row) {
    for (std::size_t column = 0; column < map.columns();) {
      const int step = heat_step(map.at(row, column));
      std::size_t width = 1;
      while (column + width < map.columns() && heat_step(map.at(row, column + width)) == step) ++width;
      fmt::format_to(std::back_inserter(paths[step + kHeatSteps]), "M{} {}h{}v1h-{}z", column, row, width,
                     width);
      column += width;
    }
  }
  return paths;
}

void draw_row_labels(Svg& svg, const Area& plot, const HeatMap& map) {
  const double row_height = plot.height / static_cast<double>(map.rows());
  const auto every = static_cast<std::size_t>(std::max(1.0, tick_step(13 / row_height, 1)));
  for (std::size_t row = 0; row < map.rows(); row += every) {
    svg.text({plot.x - 6, plot.y + (static_cast<double>(row) + 0.5) * row_height + 4},
             std::to_string(row * map.workers_per_row()), "tick", Anchor::kEnd);
  }
}

void draw_heat_map(Svg& svg, const Area& plot, const std::vector<BalanceSample>& samples, Side side) {
  const HeatMap map(samples, side);
  svg.rectangle(plot, "heat-ground");
  const auto paths = heat_paths(map);
  for (int step = -kHeatSteps; step <= kHeatSteps; ++step) {
    const std::string& path = paths[step + kHeatSteps];
    if (path.empty() || step == 0) continue;
    svg.grid_path(plot, static_cast<double>(map.columns()), static_cast<double>(map.rows()), path,
                  fmt::format("heat {}{}", step < 0 ? "below" : "above", std::abs(step)));
  }
  draw_row_labels(svg, plot, map);
  draw_time_axis(svg, {.area = plot, .x_high = end_seconds(samples), .y_low = 0, .y_high = 1});
}

std::string load_description(const RunReport& report, Side side) {
  return fmt::format(
      "{} workers over {}. The busiest worker had on average {} times the mean load of all; 1 is level. The "
      "numbers are in the tables of this page.",
      report.options.workers, duration_text(report.elapsed_seconds),
      ratio_text(side_max_over_mean(report, side)));
}

}  // namespace

std::string_view side_name(Side side) { return side == Side::kStatic ? "Static hashing" : "This run"; }

double side_max_over_mean(const RunReport& report, Side side) {
  return side == Side::kStatic ? report.balance.static_max_over_mean : report.balance.max_over_mean;
}

const std::vector<double>& side_busy(const BalanceSample& sample, Side side) {
  return side == Side::kStatic ? sample.static_busy_fraction : sample.busy_fraction;
}

std::vector<BalanceSample> drawn_samples(const RunReport& report) {
  if (!report.balance.history.samples().empty()) return report.balance.history.samples();
  std::vector<double> busy;
  std::vector<double> loads = report.balance.bucket_loads;  // empty where nothing was measured
  loads.resize(report.balance.bucket_owners.size());
  for (const WorkerReport& worker : report.workers) busy.push_back(worker.busy_fraction);
  return {measure({.start_seconds = 0,
                   .end_seconds = std::max(report.elapsed_seconds, 1e-6),
                   .busy_fraction = busy,
                   .bucket_loads = loads,
                   .owners = report.balance.bucket_owners,
                   .initial_owners = report.balance.initial_owners,
                   .moves = report.balance.moves})};
}

void draw_load(Svg& svg, const Area& area, const RunReport& report, Side side, std::string_view heading) {
  const std::vector<BalanceSample> samples = drawn_samples(report);
  svg.text({area.x, area.y + 16}, heading, "heading");
  svg.text({area.right(), area.y + 16}, "max/mean " + ratio_text(side_max_over_mean(report, side)),
           side == Side::kRun ? "figure run" : "figure static", Anchor::kEnd);
  const Area plot{area.x + 48, area.y + 34, area.width - 60, area.height - 58};
  if (side_busy(samples.front(), side).empty()) return;
  if (side_busy(samples.front(), side).size() <= kLinesMax) {
    draw_lines(svg, plot, samples, side);
  } else {
    draw_heat_map(svg, plot, samples, side);
  }
}

std::string load_picture(const RunReport& report, Side side) {
  Svg svg(side == Side::kStatic ? "load-static" : "load-run", 540, 300,
          fmt::format("{}: load of each worker over time", side_name(side)), load_description(report, side));
  draw_load(svg, {4, 4, 532, 292}, report, side, side_name(side));
  return svg.take();
}

}  // namespace evenkeel::observe
