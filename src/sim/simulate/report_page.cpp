#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <set>
#include <string_view>
#include <utility>
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
    "svg .name{font-size:13px;font-weight:600}.lead "
    "b{font-weight:600}td.name{font-weight:600}.dot{stroke:none}.yard{stroke-dasharray:5 4}"
    "footer{margin-top:40px;color:var(--soft);font-size:13px}"
    ".lost{color:var(--static)}.target{fill:none;stroke:var(--ink);stroke-width:1;stroke-dasharray:2 3}"
    ".answer td,.answer th{vertical-align:top}"
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
  for (int i = 0; i < 8; ++i) css += fmt::format(".f{0}{{fill:var(--w{0});color:var(--w{0})}}", i);
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

// Names at the ends of lines, to the right of `corner` and not below it, moved apart.
struct Label {
  double y;
  std::string_view text;
  int colour;
};

void draw_labels(Svg& svg, Point corner, std::vector<Label> labels) {
  constexpr double kApart = 15;
  std::sort(labels.begin(), labels.end(), [](const Label& a, const Label& b) { return a.y < b.y; });
  double last = -1e9;
  for (Label& label : labels) last = label.y = std::max(label.y, last + kApart);
  double next = corner.y + kApart;
  for (auto label = labels.rbegin(); label != labels.rend(); ++label)
    next = label->y = std::min(label->y, next - kApart);
  for (const Label& label : labels)
    svg.text({corner.x, label.y + 4}, label.text, fmt::format("name f{}", label.colour));
}

Point label_corner(const Area& plot) { return {plot.right() + 10, plot.bottom()}; }

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
                                logarithmic ? time_text(line.values[i]) : loss_text(line.values[i])));
    if (!points.empty()) labels.push_back({points.back().y, line.policy, colour});
  }
  draw_labels(svg, label_corner(plot), labels);
  return svg.take();
}

// End and excess of each interval; of so many that they would not be told apart, the means of neighbours.
std::vector<std::pair<double, double>> thinned_excess(const std::vector<IntervalSample>& intervals) {
  constexpr std::size_t kPointsMax = 600;
  const std::size_t together = (intervals.size() + kPointsMax - 1) / kPointsMax;
  std::vector<std::pair<double, double>> points;
  for (std::size_t i = 0; i < intervals.size(); i += together) {
    const std::size_t end = std::min(i + together, intervals.size());
    double sum = 0;
    for (std::size_t j = i; j < end; ++j) sum += intervals[j].max_over_mean / intervals[j].lower_bound - 1;
    points.emplace_back(intervals[end - 1].end_seconds, sum / static_cast<double>(end - i));
  }
  return points;
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
    for (const auto& [end, excess] : thinned_excess(outcome->intervals))
      points.push_back({scale.x(end), scale.y(std::clamp(excess, 0.0, high))});
    svg.polyline(points, fmt::format("worker w{}", colour_of(outcome->policy)), outcome->policy);
    labels.push_back({points.back().y, outcome->policy, colour_of(outcome->policy)});
  }
  draw_labels(svg, label_corner(scale.area), labels);
  return svg.take();
}

bool better(const Outcome& a, const Outcome& b) { return a.p99_with_lost_ns < b.p99_with_lost_ns; }

// What one policy did at worst.
struct Worst {
  double p99_ns = 0, loss = 0;
  void note(const Outcome& outcome) {
    p99_ns = std::max(p99_ns, outcome.p99_ns);
    loss = std::max(loss, outcome.loss);
  }
  std::string text() const {
    return fmt::format("99 % of packets within <b>{}</b>, {}", time_text(p99_ns),
                       loss == 0 ? "none lost" : fmt::format("up to <b>{}</b> lost", loss_text(loss)));
  }
};

// Policies, the best first by how often it was best; then by what they did at worst.
std::vector<std::string> ranked_policies(const Simulation& simulation, std::map<std::string, Worst>& worst) {
  std::map<std::string, int> wins;
  std::map<std::uint32_t, const Outcome*> best;  // by processors
  for (const Case& one : simulation.cases) {
    if (one.outcome.yardstick) continue;
    worst[one.outcome.policy].note(one.outcome);
    const Outcome*& place = best[one.outcome.processors];
    if (place == nullptr || better(one.outcome, *place)) place = &one.outcome;
  }
  for (const auto& [processors, outcome] : best) ++wins[outcome->policy];
  std::vector<std::string> ranked;
  for (const auto& [policy, value] : worst) ranked.push_back(policy);
  std::sort(ranked.begin(), ranked.end(), [&](const std::string& a, const std::string& b) {
    return wins[a] != wins[b] ? wins[a] > wins[b] : worst[a].p99_ns < worst[b].p99_ns;
  });
  return ranked;
}

// The answer, before any plot: what each policy did on the machine where it did worst, and a cell for each
// machine.
void add_lead(const Simulation& simulation, PageText& page) {
  std::map<std::string, Worst> worst;
  const std::vector<std::string> ranked = ranked_policies(simulation, worst);
  page.add("<p class=\"lead\">");
  for (const std::string& policy : ranked)
    page.add("<b class=\"f{}\">{}</b>: {}.<br>\n", colour_of(policy), escaped(policy), worst[policy].text());
  page.add("</p>\n<div class=\"scroll\"><table class=\"answer\"><tr><th>p99, and packets lost</th>");
  const Table table = by_processors(simulation, [](const Outcome& o) { return o.p99_ns; });
  const Table loss = by_processors(simulation, [](const Outcome& o) { return o.loss; });
  for (const std::uint32_t processors : table.processors)
    page.add("<th>{} {}</th>", count_text(processors), processors == 1 ? "processor" : "processors");
  page.add("</tr>\n");
  for (std::size_t i = 0; i < table.lines.size(); ++i) {
    const Line& line = table.lines[i];
    page.add("<tr><td class=\"name f{}\">{}{}</td>", colour_of(line.policy), escaped(line.policy),
             line.yardstick ? " (yardstick)" : "");
    for (std::size_t j = 0; j < line.values.size(); ++j) {
      const double lost = loss.lines[i].values[j];
      page.add("<td>{}{}</td>", time_text(line.values[j]),
               lost == 0 ? "" : fmt::format("<br><b class=\"lost\">{} lost</b>", loss_text(lost)));
    }
    page.add("</tr>\n");
  }
  page.add("</table></div>\n");
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
    const auto latency = [&](double ns) { return o.measured == 0 ? "-" : time_text(ns); };
    page.add("<tr><td>{}{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>", escaped(o.policy),
             o.yardstick ? " (yardstick)" : fmt::format(", {} buckets", count_text(o.buckets)),
             latency(o.p50_ns), latency(o.p99_ns), latency(o.p999_ns), loss_text(o.loss));
    if (!o.has_intervals) {
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
      "yardsticks outside the method, which let packets of a connection overtake each other. {}</p>\n{}",
      simulation.options.traffic.load ? "Every machine is given the same load: the more processors, the more "
                                        "traffic. How many a given traffic "
                                        "needs is what --target-p99 says."
                                      : "Every machine is given the same traffic.",
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
  page.add("<h2>Packets lost</h2>\n");
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

// Where the trials of a search lie: p99 by processors, both logarithmic.
struct TrialPlot {
  Area area{80, 14, 860, 260};
  std::set<double> processors;  // that were tried
  Axis x, y;

  explicit TrialPlot(const Simulation& simulation) {
    const auto target_ns = static_cast<double>(*simulation.options.target_p99_ns);
    double least_ns = target_ns, greatest_ns = target_ns;
    for (const Needed& needed : simulation.needed) {
      for (const Trial& trial : needed.trials) {
        processors.insert(trial.processors);
        if (!std::isfinite(trial.p99_ns)) continue;
        least_ns = std::min(least_ns, trial.p99_ns);
        greatest_ns = std::max(greatest_ns, trial.p99_ns);
      }
    }
    const double fewest = *processors.begin();
    x = {true, fewest / 1.1, std::max(*processors.rbegin(), fewest + 1) * 1.1};
    y = {true, std::pow(10, std::floor(std::log10(least_ns))),
         std::pow(10, std::floor(std::log10(greatest_ns)) + 1)};
  }
  double x_of(double count) const { return area.x + area.width * x.part(count); }
  double y_of(double p99_ns) const { return area.bottom() - area.height * y.part(p99_ns); }
  // What was never served stands at the upper edge.
  Point at(const Trial& trial) const {
    return {x_of(trial.processors), y_of(std::isfinite(trial.p99_ns) ? trial.p99_ns : y.high)};
  }
};

void draw_trial_axes(Svg& svg, const TrialPlot& plot, double target_ns) {
  draw_axis(svg, plot.area, plot.y);
  svg.line({plot.area.x, plot.area.bottom()}, {plot.area.right(), plot.area.bottom()}, "axis");
  double last_x = -1e9;
  for (const double processors : plot.processors) {
    if (plot.x_of(processors) < last_x + 30) continue;
    last_x = plot.x_of(processors);
    svg.text({last_x, plot.area.bottom() + 20}, count_text(static_cast<std::uint64_t>(processors)), "tick",
             Anchor::kMiddle);
  }
  svg.text({plot.area.right(), plot.area.bottom() + 36}, "processors", "tick", Anchor::kEnd);
  const double target_y = plot.y_of(target_ns);
  svg.polyline(std::array<Point, 2>{{{plot.area.x, target_y}, {plot.area.right(), target_y}}}, "target",
               "target");
  svg.text({plot.area.x + 4, target_y - 5}, "target", "tick");
}

std::string plot_trials(const Simulation& simulation) {
  const TrialPlot plot(simulation);
  Svg svg("trials", 1100, 320, "Latency of 99 % of packets by processors",
          "The 99th percentile of latency for each number of processors that was tried, a line for each "
          "policy.");
  draw_trial_axes(svg, plot, static_cast<double>(*simulation.options.target_p99_ns));
  std::vector<Label> labels;
  for (const Needed& needed : simulation.needed) {
    const int colour = colour_of(needed.policy);
    std::vector<Point> points;
    for (const Trial& trial : needed.trials) points.push_back(plot.at(trial));
    svg.polyline(points, fmt::format("worker w{}{}", colour, needed.yardstick ? " yard" : ""), needed.policy);
    for (std::size_t i = 0; i < points.size(); ++i)
      svg.rectangle({points[i].x - 3.5, points[i].y - 3.5, 7, 7}, fmt::format("dot f{}", colour),
                    fmt::format("{}, {} processors: {}", needed.policy, needed.trials[i].processors,
                                time_text(needed.trials[i].p99_ns)));
    if (!points.empty()) labels.push_back({points.back().y, needed.policy, colour});
  }
  draw_labels(svg, label_corner(plot.area), labels);
  return svg.take();
}

void add_needed_lead(const Simulation& simulation, PageText& page) {
  page.add("<p class=\"lead\">");
  for (const Needed& needed : simulation.needed) {
    if (needed.yardstick) continue;
    page.add("<b class=\"f{}\">{}</b>: {}.<br>\n", colour_of(needed.policy), escaped(needed.policy),
             needed.processors == 0 ? fmt::format("more than {} processors", count_text(kProcessorsMax))
                                    : fmt::format("<b>{}</b> processors", count_text(needed.processors)));
  }
  page.add("</p>\n");
}

void add_needed(const Simulation& simulation, PageText& page) {
  page.add("<h2>Processors needed for a p99 of {} at {}</h2>\n",
           time_text(static_cast<double>(*simulation.options.target_p99_ns)),
           observe::rate_text(simulation.searched_rate, "pps"));
  add_needed_lead(simulation, page);
  page.add("{}<table><tr><th>policy</th><th>processors</th><th>p99</th><th>loss</th><th>load</th></tr>\n",
           plot_trials(simulation));
  for (const Needed& needed : simulation.needed) {
    if (needed.processors == 0) {
      const Trial* best = best_trial(needed);
      page.add("<tr><td>{}</td><td>more than {}</td><td colspan=\"3\">{} at best, with {}</td></tr>\n",
               escaped(needed.policy), count_text(kProcessorsMax), time_text(best->p99_ns),
               count_text(best->processors));
    } else {
      page.add("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n", escaped(needed.policy),
               count_text(needed.processors), time_text(needed.outcome.p99_ns),
               loss_text(needed.outcome.loss), percent_text(needed.outcome.load));
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
