#include "observe/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "observe/page_text.h"
#include "observe/picture.h"
#include "observe/text.h"

namespace evenkeel::observe {

namespace {

constexpr std::string_view kPageStyle =
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe "
    "UI',Roboto,"
    "'DejaVu Sans',sans-serif}"
    "main{max-width:1160px;margin:0 auto;padding:28px 24px 48px}"
    "h1{font-size:26px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}"
    "h2{font-size:18px;margin:40px 0 4px}"
    "p{margin:4px 0 12px;max-width:76ch}.soft{color:var(--soft)}.bad{color:var(--static);font-weight:600}"
    ".lead{font-size:18px;margin:20px 0}"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:12px;margin:20px 0 8px}"
    ".tile{border:1px solid var(--rule);border-radius:8px;padding:12px 14px}"
    ".tile b{display:block;font-size:24px;line-height:1.2;font-variant-numeric:tabular-nums}"
    ".tile .name{color:var(--soft);font-size:13px}.tile .note{color:var(--soft);font-size:13px}"
    ".good b{color:var(--run)}.tile.wrong b{color:var(--static)}"
    ".pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(460px,100%),1fr));gap:8px 24px}"
    "svg.picture{display:block;width:100%;height:auto}"
    ".key{display:flex;flex-wrap:wrap;gap:4px 16px;color:var(--soft);font-size:13px;margin:4px 0 0 "
    "52px;padding:0;list-style:none}"
    ".key svg{width:14px;height:12px;margin-right:5px;vertical-align:-1px}"
    ".worker-key{stroke-width:3}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:8px 0}"
    "th,td{padding:3px 14px 3px 0;text-align:right;border-bottom:1px solid var(--faint)}"
    "th{font-weight:600}th:first-child,td:first-child{text-align:left}"
    ".columns{display:flex;flex-wrap:wrap;gap:8px 56px;align-items:flex-start}"
    ".scroll{overflow-x:auto}.scroll>svg.picture{min-width:720px}"
    "summary{cursor:pointer;color:var(--soft)}footer{margin-top:40px;color:var(--soft);font-size:13px}"
    "@media print{.tile,svg,table{break-inside:avoid}}";

std::string title(const RunReport& report) {
  std::string names;
  for (const InputReport& input : report.inputs) names += (names.empty() ? "" : ", ") + input.name;
  return names.empty() ? "evenkeel run" : names;
}

std::string workers_text(const RunReport& report) {
  return fmt::format("{} {}", report.options.workers, report.options.workers == 1 ? "worker" : "workers");
}

// "12.3 % more than" a fair share, for the sentence at the top.
std::string excess_text(double max_over_mean) { return percent_text(std::max(0.0, max_over_mean - 1)); }

void add_lead(const RunReport& report, PageText& page) {
  if (report.workers.size() < 2) {
    page.add("<p class=\"lead\">One worker did all the work: there was nothing to balance.</p>\n");
    return;
  }
  page.add(
      "<p class=\"lead\">The busiest of {} had <b>{}</b> more than its fair share of the load. With static "
      "hashing it "
      "would have had <b>{}</b> more.</p>\n",
      workers_text(report), excess_text(report.balance.max_over_mean),
      excess_text(report.balance.static_max_over_mean));
}

// In full where that fits a tile; the tables have all digits.
std::string short_count_text(std::uint64_t count) {
  return count < 10'000'000 ? count_text(count) : rate_text(static_cast<double>(count), "");
}

void add_tile(PageText& page, std::string_view css_class, std::string_view name, std::string_view figure,
              std::string_view note) {
  page.add(
      "<div class=\"tile {}\"><span class=\"name\">{}</span><b>{}</b><span class=\"note\">{}</span></div>\n",
      css_class, name, figure, note);
}

void add_tiles(const RunReport& report, PageText& page) {
  const std::uint64_t violations = report.order_violations + report.ownership_violations;
  page.add("<div class=\"tiles\">\n");
  add_tile(page, "", "packets", short_count_text(report.packets.received),
           "in " + duration_text(report.elapsed_seconds));
  add_tile(page, "", "rate", rate_text(report.packets_per_second, "pps"),
           rate_text(report.elapsed_seconds > 0
                         ? 8 * static_cast<double>(report.packets.bytes) / report.elapsed_seconds
                         : 0,
                     "bit/s"));
  add_tile(page, "", "connections", short_count_text(report.connections.opened),
           count_text(report.records) + " flow records");
  const bool better = report.balance.max_over_mean <= report.balance.static_max_over_mean;
  add_tile(page, better ? "good" : "", "max/mean load", ratio_text(report.balance.max_over_mean),
           ratio_text(report.balance.static_max_over_mean) + " static hashing");
  add_tile(page, "", "bucket moves", count_text(report.balance.moves),
           fmt::format("in {} rebalances", count_text(report.balance.rebalances)));
  add_tile(page, violations == 0 ? "good" : "wrong", "order and ownership", count_text(violations),
           violations == 1 ? "violation" : "violations");
  page.add("</div>\n");
}

void add_problems(const RunReport& report, PageText& page) {
  if (report.interrupted) page.add("<p class=\"bad\">Interrupted: this is what came until then.</p>\n");
  for (const InputReport& input : report.inputs) {
    if (!input.error.empty()) page.add("<p class=\"bad\">{}</p>\n", escaped(input.error));
  }
}

void add_line_key(const RunReport& report, PageText& page) {
  page.add("<ul class=\"key\">");
  for (std::size_t worker = 0; worker < report.workers.size(); ++worker) {
    page.add(
        "<li><svg viewBox=\"0 0 14 12\" aria-hidden=\"true\"><line class=\"worker-key w{0}\" x1=\"0\" "
        "y1=\"6\" "
        "x2=\"14\" y2=\"6\"/></svg>worker {0}</li>",
        worker);
  }
  page.add("</ul>\n");
}

void add_colour_key(PageText& page, std::string_view css_class, std::string_view text) {
  page.add(
      "<li><svg viewBox=\"0 0 14 12\" aria-hidden=\"true\"><rect class=\"{}\" width=\"14\" "
      "height=\"12\"/></svg>{}</li>",
      css_class, text);
}

void add_heat_key(PageText& page) {
  page.add("<ul class=\"key\">");
  add_colour_key(page, "below8", "nothing to do");
  add_colour_key(page, "below4", "half the mean");
  add_colour_key(page, "heat-ground", "the mean of all");
  add_colour_key(page, "above4", "1.5 times");
  add_colour_key(page, "above8", "twice the mean or more");
  page.add("</ul>\n");
}

void add_load(const RunReport& report, PageText& page) {
  const bool lines = report.workers.size() <= kLinesMax;
  page.add(
      "<h2>Load of each worker over time</h2>\n<p class=\"soft\">{}</p>\n<div class=\"pair\">\n{}{}</div>\n",
      lines ? "Share of the time in which each worker was busy. Level is when all lines lie on each other."
            : "A row for each worker; colour is its load relative to the mean of all at that time. Level is "
              "when all "
              "is one colour.",
      load_picture(report, Side::kStatic), load_picture(report, Side::kRun));
  lines ? add_line_key(report, page) : add_heat_key(page);
}

void add_imbalance(const RunReport& report, PageText& page) {
  page.add(
      "<h2>Imbalance over time</h2>\n<p class=\"soft\">Load of the busiest worker over the mean of all: 1 is "
      "level. Below, "
      "how many buckets moved.</p>\n<div class=\"scroll\">\n{}</div>\n",
      imbalance_picture(report));
}

void add_buckets(const RunReport& report, PageText& page) {
  if (report.balance.bucket_loads.empty()) return;
  page.add(
      "<h2>Buckets by owner</h2>\n<p class=\"soft\">A bar for each worker, made of its buckets ({} in all): "
      "on the left those "
      "it started with, on the right those it owned at the end. Lengths are the load of the whole run, in "
      "shares of the mean; "
      "the dashed line is the fair share.</p>\n<div class=\"pair\">\n{}{}</div>\n<ul class=\"key\">",
      count_text(report.options.buckets), bucket_picture(report, Side::kStatic),
      bucket_picture(report, Side::kRun));
  add_colour_key(page, "stayed", "buckets that ended where they started");
  add_colour_key(page, "moved", "buckets that moved");
  page.add("</ul>\n");
}

void add_row(PageText& page, std::string_view name, std::uint64_t count) {
  page.add("<tr><td>{}</td><td>{}</td></tr>\n", escaped(name), count_text(count));
}

void add_reasons(PageText& page, std::string_view fate, const std::vector<ReasonCount>& counts) {
  add_row(page, fate, total(counts));
  for (const ReasonCount& count : counts) {
    if (count.packets > 0) add_row(page, fmt::format("– {}", count.reason), count.packets);
  }
}

void add_counts(const RunReport& report, PageText& page) {
  page.add("<h2>Where every packet and connection went</h2>\n<div class=\"columns\">\n<table>\n");
  add_row(page, "packets received", report.packets.received);
  add_row(page, "processed", report.packets.processed);
  add_reasons(page, "malformed", report.packets.malformed);
  add_reasons(page, "unclassified", report.packets.unclassified);
  add_reasons(page, "dropped", report.packets.dropped);
  page.add("</table>\n<table>\n");
  add_row(page, "connections opened", report.connections.opened);
  add_row(page, "closed by TCP", report.connections.closed);
  add_row(page, "expired (idle)", report.connections.expired);
  add_row(page, "evicted", report.connections.evicted);
  add_row(page, "live at the end", report.connections.live);
  page.add("</table>\n<table>\n");
  add_row(page, "packets out of order", report.order_violations);
  add_row(page, "buckets at the wrong worker", report.ownership_violations);
  page.add("</table>\n</div>\n");
}

void add_workers(const RunReport& report, PageText& page) {
  page.add(
      "<details{}><summary>Table of workers</summary>\n<div "
      "class=\"scroll\"><table>\n<tr><th>worker</th><th>CPU</th>"
      "<th>busy</th><th>packets</th><th>bytes</th><th>buckets</th><th>connections</th></tr>\n",
      report.workers.size() <= 16 ? " open" : "");
  for (std::size_t i = 0; i < report.workers.size(); ++i) {
    const WorkerReport& worker = report.workers[i];
    page.add("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n", i,
             worker.cpu ? std::to_string(*worker.cpu) : "–", percent_text(worker.busy_fraction),
             count_text(worker.packets), count_text(worker.bytes), count_text(worker.buckets),
             count_text(worker.connections));
  }
  page.add("</table></div></details>\n");
}

void add_queueing(const RunReport& report, PageText& page) {
  const QueueingReport& queueing = report.queueing;
  if (queueing.packets == 0) return;
  page.add(
      "<h2>Packets that had to wait</h2>\n<p class=\"soft\">Queueing {}, quantum {}: half waited at most {}, "
      "99 % at most {}.</p>\n<table>\n",
      escaped(queueing.discipline), duration_text(static_cast<double>(queueing.quantum_ns) / 1e9),
      duration_text(queueing.delay_p50_seconds), duration_text(queueing.delay_p99_seconds));
  add_row(page, "packets that waited", queueing.packets);
  add_row(page, "shed beyond a limit", queueing.shed_by_limit);
  add_row(page, "shed for their delay", queueing.shed_by_delay);
  add_row(page, "packets waiting at once, at one worker", queueing.waiting_packets_max);
  add_row(page, "connections waiting at once, at one worker", queueing.connections_max);
  page.add("</table>\n");
}

void add_elephants(const RunReport& report, PageText& page) {
  if (report.elephants.empty()) return;
  page.add(
      "<h2>Heaviest connections</h2>\n<p class=\"soft\">More than half of a worker, or a gigabyte within ten "
      "seconds of packet time.</p>\n<div class=\"scroll\"><table>\n<tr><th>connection</th><th>worker</th>"
      "<th>share</th><th>rate</th><th>packets</th><th>shed</th><th>bypassed</th></tr>\n");
  for (const ElephantReport& elephant : report.elephants) {
    page.add("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
             escaped(elephant.connection), elephant.worker, percent_text(elephant.worker_share),
             rate_text(8 * elephant.bytes_per_second, "bit/s"), count_text(elephant.packets),
             count_text(elephant.shed), count_text(elephant.bypassed));
  }
  page.add("</table></div>\n");
}

void add_footer(const RunReport& report, PageText& page) {
  const RunReport::Options& options = report.options;
  page.add(
      "<footer>evenkeel {}{}. Static hashing is computed from the same run: the measured cost of each "
      "bucket, added up at the "
      "worker where the bucket started. Seed {}.</footer>\n",
      escaped(report.version), report.started_at.empty() ? "" : ", " + escaped(report.started_at),
      options.seed);
}

}  // namespace

std::string report_page(const RunReport& report) {
  const RunReport::Options& options = report.options;
  const std::string name = escaped(title(report));
  PageText page;
  page.add(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{} – evenkeel</title>\n<style>{}{}</style>\n</head>\n<body>\n<main>\n<h1>{}</h1>\n",
      name, picture_style(), kPageStyle, name);
  page.add("<p class=\"soft\">{}, {} buckets, hash {}, policy {}, rebalanced every {}</p>\n",
           workers_text(report), count_text(options.buckets), escaped(options.hash), escaped(options.policy),
           duration_text(static_cast<double>(options.interval_ns) / 1e9));
  add_problems(report, page);
  add_lead(report, page);
  add_tiles(report, page);
  if (report.workers.size() > 1) {
    add_load(report, page);
    add_imbalance(report, page);
    add_buckets(report, page);
  }
  add_counts(report, page);
  add_workers(report, page);
  add_queueing(report, page);
  add_elephants(report, page);
  add_footer(report, page);
  page.add("</main>\n</body>\n</html>\n");
  return page.take();
}

}  // namespace evenkeel::observe
