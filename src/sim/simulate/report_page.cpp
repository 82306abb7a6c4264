#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>
#include <string_view>
#include <vector>

#include "observe/axes.h"
#include "observe/page_text.h"
#include "observe/picture.h"
#include "observe/svg.h"
#include "observe/text.h"
#include "sim/simulate/report.h"

namespace evenkeel::sim {

namespace {

using observe::Anchor;
using observe::Area;
using observe::count_text;
using observe::escaped;
using observe::PageText;
using observe::percent_text;
using observe::Point;
using observe::Scale;
using observe::Svg;

constexpr std::string_view kStyle =
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe "
    "UI',Roboto,"
    "'DejaVu Sans',sans-serif}"
    "main{max-width:1160px;margin:0 auto;padding:28px 24px 48px}"
    "h1{font-size:26px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}h2{font-size:18px;margin:36px "
    "0 4px}"
    "p{margin:4px 0 12px;max-width:76ch}.soft{color:var(--soft)}.lead{font-size:18px;margin:20px 0}"
    "svg.picture{display:block;width:100%;height:auto}.scroll{overflow-x:auto}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:8px 0}"
    "th,td{padding:3px 14px 3px 0;text-align:right;border-bottom:1px solid var(--faint);white-space:nowrap}"
    "th{font-weight:600}th:first-child,td:first-child{text-align:left}tr.machine "
    "td{padding-top:14px;font-weight:600}"
    ".name{font-size:13px;font-weight:600}.dot{stroke:none}.yard{stroke-dasharray:5 4}"
    "footer{margin-top:40px;color:var(--soft);font-size:13px}"
    "@media print{svg,table{break-inside:avoid}}";

// Each policy has one colour in all pictures.
constexpr std::array<std::string_view, 8> kColoured{"index",        "rsspp", "static", "shared",
                                                    "proportional", "lpt",   "spray",  ""};
constexpr std::array<int, 8> kColours{0, 1, 2, 3, 4, 5, 6, 7};

int colour_of(std::string_view policy) {
  const auto* found = std::find(kColoured.begin(), kColoured.end() - 1, policy);
  return kColours[static_cast<std::size_t>(found - kColoured.begin())];
}

std::string colour_classes() {
  std::string css;
  for (int i = 0; i < 8; ++i) css += fmt::format(".f{0}{{fill:var(--w{0})}}", i);
  return css;
}

// A line of a plot: a policy's values by processors.
struct Line {
  std::string policy;
  bool yardstick = false;
  std::vector<double> values;  // by machine; NaN: none
};

// The machines in order of the cases, and what each policy did on them.
struct Table {
  std::vector<std::uint32_t> processors;
  std::vector<Line> lines;
};

template <typename Value>
Table by_processors(const Simulation& simulation, Value&& value) {
  Table table;
  for (const Case& one : simulation.cases) {
    const std::uint32_t processors = one.outcome.processors;
    if (std::find(table.processors.begin(), table.processors.end(), processors) == table.processors.end())
      table.processors.push_back(processors);
  }
  for (const Case& one : simulation.cases) {
    auto line = std::find_if(table.lines.begin(), table.lines.end(),
                             [&](const Line& l) { return l.policy == one.outcome.policy; });
    if (line == table.lines.end()) {
      table.lines.push_back(
          {one.outcome.policy, one.outcome.yardstick,
           std::vector<double>(table.processors.size(), std::numeric_limits<double>::quiet_NaN())});
      line = table.lines.end() - 1;
    }
    const auto at = std::find(table.processors.begin(), table.processors.end(), one.outcome.processors);
    double& cell = line->values[static_cast<std::size_t>(at - table.processors.begin())];
    if (std::isnan(cell)) cell = value(one.outcome);  // of several numbers of buckets the first
  }
  return table;
}

// Names at the ends of lines, moved apart.
struct Label {
  double y;
  std::string_view text;
  int colour;
};

void draw_labels(Svg& svg, double x, std::vector<Label> labels) {
  std::sort(labels.begin(), labels.end(), [](const Label& a, const Label& b) { return a.y < b.y; });
  double last = -1e9;
  for (const Label& label : labels) {
    last = std::max(label.y, last + 15);
    svg.text({x, last + 4}, label.text, fmt::format("name f{}", label.colour));
  }
}

// Values between low and high on a logarithmic or a linear axis.
struct Axis {
  bool logarithmic = false;
  double low = 0;
  double high = 1;
  double part(double value) const {
    if (!logarithmic) return (value - low) / (high - low);
    return (std::log10(std::max(value, low)) - std::log10(low)) / (std::log10(high) - std::log10(low));
  }
};

Axis axis_for(const Table& table, bool logarithmic) {
  double least = 1e300, most = 0;
  for (const Line& line : table.lines) {
    for (const double value : line.values) {
      if (!std::isfinite(value)) continue;
      most = std::max(most, value);
      if (value > 0) least = std::min(least, value);
    }
  }
  if (!logarithmic) return {false, 0, most > 0 ? most * 1.08 : 1};
  if (most <= 0) return {true, 1, 10};
  const double low = std::pow(10, std::floor(std::log10(least))),
               high = std::pow(10, std::ceil(std::log10(most)));
  return {true, low, std::max(high, 10 * low)};
}

void draw_axis(Svg& svg, const Area& plot, const Axis& axis) {
  const auto mark = [&](double value, const std::string& text) {
    const double y = plot.bottom() - plot.height * axis.part(value);
    svg.line({plot.x, y}, {plot.right(), y}, "grid");
    svg.text({plot.x - 6, y + 4}, text, "tick", Anchor::kEnd);
  };
  if (axis.logarithmic) {
    for (double value = axis.low; value <= axis.high * 1.001; value *= 10) mark(value, time_text(value));
    return;
  }
  const double step = observe::tick_step(axis.high, 5);
  for (int i = 0; i * step <= axis.high; ++i) mark(i * step, fmt::format("{:g} %", 100 * i * step));
}

// A column for each number of processors, a line for each policy.
std::string plot_by_processors(std::string_view id, std::string_view title, const Table& table,
                               bool logarithmic) {
  Svg svg(id, 1100, 300, title, fmt::format("{} by number of processors, a line for each policy.", title));
  const Area plot{80, 14, 860, 240};
  const Axis axis = axis_for(table, logarithmic);
  draw_axis(svg, plot, axis);
  const std::size_t columns = table.processors.size();
  const auto x = [&](std::size_t column) {
    return plot.x + plot.width * (static_cast<double>(column) + 0.5) / static_cast<double>(columns);
  };
  for (std::size_t i = 0; i < columns; ++i)
    svg.text({x(i), plot.bottom() + 20}, fmt::format("{} processors", count_text(table.processors[i])),
             "tick", Anchor::kMiddle);
  svg.line({plot.x, plot.bottom()}, {plot.right(), plot.bottom()}, "axis");
  std::vector<Label> labels;
  for (const Line& line : table.lines) {
    const int colour = colour_of(line.policy);
    std::vector<Point> points;
    for (std::size_t i = 0; i < columns; ++i) {
      if (std::isfinite(line.values[i]))
        points.push_back({x(i), plot.bottom() - plot.height * axis.part(line.values[i])});
    }
    svg.polyline(points, fmt::format("worker w{}{}", colour, line.yardstick ? " yard" : ""), line.policy);
    for (std::size_t i = 0; i < points.size(); ++i)
      svg.rectangle({points[i].x - 3.5, points[i].y - 3.5, 7, 7}, fmt::format("dot f{}", colour),
                    fmt::format("{}: {}", line.policy,
                                logarithmic ? time_text(line.values[i]) : percent_text(line.values[i])));
    if (!points.empty()) labels.push_back({points.back().y, line.policy, colour});
  }
  draw_labels(svg, plot.right() + 8, labels);
  return svg.take();
}

// Of one machine: how far each policy was from what could be reached, over time.
std::string plot_excess(std::string_view id, const Simulation& simulation, std::uint32_t processors) {
  std::vector<const Outcome*> outcomes;
  std::vector<double> all;
  double seconds = 0;
  for (const Case& one : simulation.cases) {
    if (one.outcome.yardstick || one.outcome.processors != processors || one.outcome.intervals.empty())
      continue;
    const bool known = std::any_of(outcomes.begin(), outcomes.end(),
                                   [&](const Outcome* o) { return o->policy == one.outcome.policy; });
    if (known) continue;
    outcomes.push_back(&one.outcome);
    seconds = std::max(seconds, one.outcome.intervals.back().end_seconds);
    for (const IntervalSample& sample : one.outcome.intervals)
      all.push_back(sample.max_over_mean / sample.lower_bound - 1);
  }
  if (outcomes.empty()) return "";
  // A few wild intervals are cut off.
  const auto at = all.begin() + static_cast<std::ptrdiff_t>(0.98 * static_cast<double>(all.size() - 1));
  std::nth_element(all.begin(), at, all.end());
  const double high = std::max(*at * 1.15, 0.05);
  Svg svg(id, 1100, 230, fmt::format("Imbalance over time, {} processors", processors),
          "Excess of the busiest processor over what no assignment could beat, over time, a line for each "
          "policy.");
  const Scale scale{.area = {80, 12, 860, 180}, .x_high = seconds, .y_low = 0, .y_high = high};
  observe::draw_value_axis(svg, scale, true);
  observe::draw_time_axis(svg, scale);
  std::vector<Label> labels;
  for (const Outcome* outcome : outcomes) {
    std::vector<Point> points;
    for (const IntervalSample& sample : outcome->intervals)
      points.push_back({scale.x(sample.end_seconds),
                        scale.y(std::clamp(sample.max_over_mean / sample.lower_bound - 1, 0.0, high))});
    svg.polyline(points, fmt::format("worker w{}", colour_of(outcome->policy)), outcome->policy);
    labels.push_back({points.back().y, outcome->policy, colour_of(outcome->policy)});
  }
  draw_labels(svg, scale.area.right() + 8, labels);
  return svg.take();
}

// The answer in one sentence for each machine: the policy against static hashing.
void add_lead(const Simulation& simulation, PageText& page) {
  const auto of = [&](std::uint32_t processors, std::string_view policy) -> const Outcome* {
    for (const Case& one : simulation.cases)
      if (one.outcome.processors == processors && one.outcome.policy == policy) return &one.outcome;
    return nullptr;
  };
  const Table table = by_processors(simulation, [](const Outcome& o) { return o.p99_ns; });
  page.add("<p class=\"lead\">");
  for (const std::uint32_t processors : table.processors) {
    const Outcome* best = nullptr;
    for (const Case& one : simulation.cases) {
      if (one.outcome.yardstick || one.outcome.processors != processors) continue;
      if (best == nullptr || one.outcome.p99_with_lost_ns < best->p99_with_lost_ns) best = &one.outcome;
    }
    const Outcome* fixed = of(processors, "static");
    const Outcome* index = of(processors, "index");
    const Outcome* told = index != nullptr ? index : best;
    if (told == nullptr) continue;
    page.add("On <b>{}</b> processors {} serves 99 % of all packets within <b>{}</b> and loses {}",
             count_text(processors), escaped(told->policy), time_text(told->p99_ns),
             percent_text(told->loss));
    if (fixed != nullptr && fixed != told)
      page.add("; static hashing needs {} and loses {}", time_text(fixed->p99_ns), percent_text(fixed->loss));
    page.add(". ");
  }
  page.add("</p>\n");
}

void add_rows(const Simulation& simulation, const ReportOptions& report, PageText& page) {
  page.add(
      "<div class=\"scroll\"><table><tr><th>policy</th><th>p50</th><th>p99</th><th>p99.9</th><th>loss</th>"
      "<th>max/mean</th><th>best possible</th><th>excess</th><th>moves/s</th><th>load "
      "moved/s</th><th>reordered</th>{}</tr>\n",
      report.plan_times ? "<th>time to plan</th>" : "");
  std::uint32_t processors = 0;
  for (const Case& one : simulation.cases) {
    const Outcome& o = one.outcome;
    if (o.processors != processors)
      page.add("<tr class=\"machine\"><td colspan=\"12\">{} processors</td></tr>\n",
               count_text(o.processors));
    processors = o.processors;
    page.add("<tr><td>{}{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>", escaped(o.policy),
             o.yardstick ? " (yardstick)" : fmt::format(", {} buckets", count_text(o.buckets)),
             time_text(o.p50_ns), time_text(o.p99_ns), time_text(o.p999_ns), percent_text(o.loss));
    if (o.yardstick) {
      page.add("<td></td><td></td><td></td><td></td><td></td>");
    } else {
      page.add("<td>{:.3f}</td><td>{:.3f}</td><td>{}</td><td>{:.1f}</td><td>{:.3f}</td>",
               o.interval_max_over_mean, o.interval_lower_bound, percent_text(o.excess), o.moves_per_second,
               o.load_moved_per_second);
    }
    page.add("<td>{}</td>", count_text(o.reordered));
    if (report.plan_times) page.add("<td>{}</td>", o.yardstick ? "" : time_text(o.plan_ns_median));
    page.add("</tr>\n");
  }
  page.add("</table></div>\n");
}

void add_cases(const Simulation& simulation, const ReportOptions& report, PageText& page) {
  add_lead(simulation, page);
  page.add(
      "<h2>Latency of 99 % of packets</h2>\n<p class=\"soft\">From arrival to the end of service. Dashed: "
      "yardsticks "
      "outside the method, which let packets of a connection overtake each other.</p>\n{}",
      plot_by_processors("latency", "Latency of 99 % of packets",
                         by_processors(simulation, [](const Outcome& o) { return o.p99_ns; }), true));
  page.add(
      "<h2>Imbalance over time</h2>\n<p class=\"soft\">How far the busiest processor was above what no "
      "assignment of "
      "the buckets could beat, in each interval.</p>\n");
  const Table loss = by_processors(simulation, [](const Outcome& o) { return o.loss; });
  for (std::size_t i = 0; i < loss.processors.size(); ++i) {
    const std::string plot = plot_excess(fmt::format("excess{}", i), simulation, loss.processors[i]);
    if (!plot.empty()) page.add("<p>{} processors</p>\n{}", count_text(loss.processors[i]), plot);
  }
  page.add("<h2>Loss</h2>\n");
  const bool any = std::any_of(simulation.cases.begin(), simulation.cases.end(),
                               [](const Case& one) { return one.outcome.lost != 0; });
  if (any) {
    page.add("{}", plot_by_processors("loss", "Packets lost", loss, false));
  } else {
    page.add("<p>No packet was lost.</p>\n");
  }
  page.add("<h2>All figures</h2>\n");
  add_rows(simulation, report, page);
}

void add_needed(const Simulation& simulation, PageText& page) {
  page.add(
      "<h2>Processors needed for a p99 of {}</h2>\n<table><tr><th>policy</th><th>processors</th><th>p99</th>"
      "<th>loss</th><th>load</th></tr>\n",
      time_text(static_cast<double>(*simulation.options.target_p99_ns)));
  for (const Needed& needed : simulation.needed) {
    if (needed.processors == 0) {
      page.add("<tr><td>{}</td><td>more than {}</td></tr>\n", escaped(needed.policy),
               count_text(kProcessorsMax));
    } else {
      page.add("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n", escaped(needed.policy),
               count_text(needed.processors), time_text(needed.outcome.p99_ns),
               percent_text(needed.outcome.loss), percent_text(needed.outcome.load));
    }
  }
  page.add("</table>\n");
}

}  // namespace

std::string simulation_page(const Simulation& simulation, const ReportOptions& report) {
  const std::string name = "Simulation of " + escaped(traffic_name(simulation.options.traffic));
  PageText page;
  page.add(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{} – evenkeel</title>\n<style>{}{}{}</style>\n</head>\n<body>\n<main>\n<h1>{}</h1>\n",
      name, observe::picture_style(), kStyle, colour_classes(), name);
  page.add("<p class=\"soft\">{}</p>\n", escaped(simulation_title(simulation.options)));
  if (simulation.options.target_p99_ns) {
    add_needed(simulation, page);
  } else {
    add_cases(simulation, report, page);
  }
  page.add(
      "<footer>Made by <code>evenkeel simulate</code>: the engine, its queueing model and its policies in "
      "virtual time. "
      "The first fifth of each run is left out of the figures.</footer>\n</main>\n</body>\n</html>\n");
  return page.take();
}

}  // namespace evenkeel::sim
