#include "observe/report_table.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <string_view>

#include "observe/text.h"

namespace evenkeel::observe {

namespace {

constexpr std::size_t kColumns = 80;
constexpr std::size_t kWorkersAtEachEnd = 5;  // of a shortened table

class Table {
 public:
  explicit Table(bool colour) : colour_(colour) {}

  void line(std::string_view text = "") { fmt::format_to(std::back_inserter(text_), "{}\n", text); }
  std::string bold(std::string_view text) const { return painted("1", text); }
  std::string dim(std::string_view text) const { return painted("2", text); }
  // What must be 0: green if it is, red if not.
  std::string verdict(std::uint64_t violations, std::string_view text) const {
    return painted(violations == 0 ? "32" : "1;31", text);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string painted(std::string_view code, std::string_view text) const {
    return colour_ ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
  }

  bool colour_;
  std::string text_;
};

// "generator:campus", or "a.pcap, b.pcap and 3 more".
std::string input_names(const std::vector<InputReport>& inputs) {
  std::string text;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::string piece = (i == 0 ? "" : ", ") + inputs[i].name;
    if (i > 0 && text.size() + piece.size() > kColumns / 2) {
      return fmt::format("{} and {} more", text, inputs.size() - i);
    }
    text += piece;
  }
  return text;
}

void add_head(const RunReport& report, Table& table) {
  const RunReport::Options& options = report.options;
  table.line(table.bold(input_names(report.inputs)));
  table.line(fmt::format("{} {}, {} buckets, hash {}, policy {}, every {}", options.workers,
                         options.workers == 1 ? "worker" : "workers", count_text(options.buckets),
                         options.hash, options.policy,
                         duration_text(static_cast<double>(options.interval_ns) / 1e9)));
  for (const InputReport& input : report.inputs) {
    if (!input.error.empty()) table.line(table.verdict(1, input.error));
  }
  for (const InputReport& input : report.inputs) {
    if (!input.note.empty()) table.line(table.dim(fmt::format("{}: {}", input.name, input.note)));
  }
  if (report.interrupted) table.line("interrupted: what came until then");
  table.line();
}

void add_count(Table& table, std::string_view name, std::uint64_t count, std::string_view note) {
  const std::string text = fmt::format("{:<16}{:>16}  {}", name, count_text(count), note);
  table.line(text.substr(0, text.find_last_not_of(' ') + 1));
}

void add_reasons(Table& table, std::string_view name, const std::vector<ReasonCount>& counts) {
  std::string note;
  std::uint64_t unnamed = 0;
  for (const ReasonCount& count : counts) {
    if (count.packets == 0) continue;
    const std::string piece =
        fmt::format("{}{} {}", note.empty() ? "" : ", ", count.reason, count_text(count.packets));
    const bool fits = note.size() + piece.size() <= kColumns - 34 - 12;
    if (fits || note.empty()) {
      note += piece;
    } else {
      unnamed += count.packets;
    }
  }
  if (unnamed > 0) note += fmt::format(", other {}", count_text(unnamed));
  add_count(table, name, total(counts), note);
}

void add_packets(const RunReport& report, Table& table) {
  const double bits_per_second =
      report.elapsed_seconds > 0 ? 8 * static_cast<double>(report.packets.bytes) / report.elapsed_seconds : 0;
  add_count(table, "packets", report.packets.received,
            fmt::format("in {}: {}, {}", duration_text(report.elapsed_seconds),
                        rate_text(report.packets_per_second, "pps"), rate_text(bits_per_second, "bit/s")));
  add_count(table, "  processed", report.packets.processed, "");
  add_reasons(table, "  malformed", report.packets.malformed);
  add_reasons(table, "  unclassified", report.packets.unclassified);
  add_reasons(table, "  dropped", report.packets.dropped);
}

void add_connections(const RunReport& report, Table& table) {
  const ConnectionCounts& connections = report.connections;
  add_count(table, "connections", connections.opened,
            report.records > 0 ? fmt::format("in {} flow {}", count_text(report.records),
                                             report.records == 1 ? "record" : "records")
                               : "");
  add_count(table, "  closed", connections.closed, "");
  add_count(table, "  expired", connections.expired, "");
  add_count(table, "  evicted", connections.evicted, "");
  add_count(table, "  live at the end", connections.live, "");
  table.line();
}

std::string worker_line(std::string_view name, double busy_fraction, std::uint64_t packets, double share,
                        std::uint64_t buckets, std::uint64_t connections) {
  return fmt::format("{:>6}  {:>8}  {:>16}  {:>8}  {:>8}  {:>13}", name, percent_text(busy_fraction),
                     count_text(packets), percent_text(share), count_text(buckets), count_text(connections));
}

// The workers to show, in order of their number, or busiest first where not all are shown.
std::vector<std::size_t> shown_workers(const std::vector<WorkerReport>& workers) {
  std::vector<std::size_t> order(workers.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (workers.size() <= kTableWorkersMax) return order;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return workers[a].busy_fraction > workers[b].busy_fraction;
  });
  order.erase(order.begin() + kWorkersAtEachEnd, order.end() - kWorkersAtEachEnd);
  return order;
}

void add_mean(const std::vector<WorkerReport>& workers, Table& table) {
  const auto count = static_cast<double>(workers.size());
  WorkerReport mean;
  double buckets = 0;
  for (const WorkerReport& worker : workers) {
    mean.busy_fraction += worker.busy_fraction / count;
    mean.packets += worker.packets;
    buckets += worker.buckets;
    mean.connections += worker.connections;
  }
  table.line(
      table.dim(worker_line("mean", mean.busy_fraction, mean.packets / workers.size(), 1 / count,
                            static_cast<std::uint64_t>(buckets / count), mean.connections / workers.size())));
}

void add_workers(const RunReport& report, Table& table) {
  const std::vector<WorkerReport>& workers = report.workers;
  if (workers.empty()) return;
  double packets = 0;
  for (const WorkerReport& worker : workers) packets += static_cast<double>(worker.packets);
  table.line(table.bold(fmt::format("{:>6}  {:>8}  {:>16}  {:>8}  {:>8}  {:>13}", "worker", "busy", "packets",
                                    "share", "buckets", "connections")));
  const std::vector<std::size_t> shown = shown_workers(workers);
  for (std::size_t row = 0; row < shown.size(); ++row) {
    if (shown.size() < workers.size() && row == kWorkersAtEachEnd) {
      table.line(table.dim(fmt::format("{:>6}  {} workers between", "...", workers.size() - shown.size())));
    }
    const WorkerReport& worker = workers[shown[row]];
    const double share = packets > 0 ? static_cast<double>(worker.packets) / packets : 0;
    table.line(worker_line(std::to_string(shown[row]), worker.busy_fraction, worker.packets, share,
                           worker.buckets, worker.connections));
  }
  if (workers.size() > 1) add_mean(workers, table);
  table.line();
}

void add_balance(const RunReport& report, Table& table) {
  const BalanceReport& balance = report.balance;
  const auto ratio = [&](double value) { return report.packets.processed > 0 ? ratio_text(value) : "-"; };
  table.line(
      fmt::format("{:<16}{:>16}  with static hashing", "max/mean load", ratio(balance.static_max_over_mean)));
  table.line(fmt::format("{:<16}{:>16}  in this run", "", ratio(balance.max_over_mean)));
  add_count(table, "bucket moves", balance.moves,
            fmt::format("in {} {}", count_text(balance.rebalances),
                        balance.rebalances == 1 ? "rebalance" : "rebalances"));
  table.line(table.verdict(report.order_violations,
                           fmt::format("{:<16}{:>16}", "out of order", count_text(report.order_violations))));
  table.line(
      table.verdict(report.ownership_violations,
                    fmt::format("{:<16}{:>16}", "wrong worker", count_text(report.ownership_violations))));
}

void add_queueing(const RunReport& report, Table& table) {
  const QueueingReport& queueing = report.queueing;
  if (queueing.packets == 0) return;
  add_count(
      table, "waited", queueing.packets,
      fmt::format("{}, delay 99 % {}, half {}", queueing.discipline,
                  duration_text(queueing.delay_p99_seconds), duration_text(queueing.delay_p50_seconds)));
  const std::uint64_t shed = queueing.shed_by_limit + queueing.shed_by_delay;
  if (shed == 0) return;
  add_count(table, "  shed", shed,
            fmt::format("beyond a limit {}, for delay {}", count_text(queueing.shed_by_limit),
                        count_text(queueing.shed_by_delay)));
}

void add_timers(const RunReport& report, Table& table) {
  const EngineTimers& timers = report.timers;
  if (timers.fired == 0) return;
  add_count(table, "timers fired", timers.fired,
            fmt::format("of {}, late 99 % {} of packet time", count_text(timers.started + timers.restarted),
                        duration_text(timers.late_p99_microseconds / 1e6)));
  if (timers.fired_off_owner > 0)
    table.line(table.verdict(timers.fired_off_owner, fmt::format("{:<16}{:>16}", "  off their owner",
                                                                 count_text(timers.fired_off_owner))));
}

void add_elephants(const RunReport& report, Table& table) {
  constexpr std::size_t kShown = 5;
  if (report.elephants.empty()) return;
  table.line();
  table.line(table.bold("heaviest connections"));
  for (std::size_t i = 0; i < std::min(kShown, report.elephants.size()); ++i) {
    const ElephantReport& elephant = report.elephants[i];
    table.line(fmt::format("  {}", elephant.connection));
    std::string line = fmt::format("    {} of worker {}, {}", percent_text(elephant.worker_share),
                                   elephant.worker, rate_text(8 * elephant.bytes_per_second, "bit/s"));
    if (elephant.shed > 0) line += fmt::format(", {} shed", count_text(elephant.shed));
    if (elephant.bypassed > 0) line += fmt::format(", {} bypassed", count_text(elephant.bypassed));
    table.line(line);
  }
  if (report.elephants.size() > kShown)
    table.line(fmt::format("  and {} more", report.elephants.size() - kShown));
}

}  // namespace

std::string report_table(const RunReport& report, bool colour) {
  Table table(colour);
  add_head(report, table);
  add_packets(report, table);
  add_connections(report, table);
  add_workers(report, table);
  add_balance(report, table);
  add_queueing(report, table);
  add_timers(report, table);
  add_elephants(report, table);
  return table.take();
}

bool wants_colour(int descriptor) {
  const char* const no_colour = std::getenv("NO_COLOR");
  const char* const terminal = std::getenv("TERM");
  if (no_colour != nullptr && *no_colour != '\0') return false;
  if (terminal != nullptr && std::string_view(terminal) == "dumb") return false;
  return isatty(descriptor) == 1;
}

}  // namespace evenkeel::observe
