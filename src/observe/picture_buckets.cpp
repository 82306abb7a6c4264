// Buckets by owner: for each worker a bar as long as its load, made of its buckets. Those that moved in the
// course of the run have a colour of their own on both sides, so that one sees where they went.

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "observe/axes.h"
#include "observe/picture.h"
#include "observe/text.h"

namespace evenkeel::observe {

namespace {

constexpr double kSegmentMin = 2;    // pixels: buckets below are drawn together
constexpr double kRowsHeight = 236;  // of all bars together
constexpr double kRowHeightMax = 30;
constexpr double kShownMax = 4;  // times the mean: longer bars are cut

const std::vector<ProcessorId>& owners(const RunReport& report, Side side) {
  return side == Side::kStatic ? report.balance.initial_owners : report.balance.bucket_owners;
}

double longest(const RunReport& report) {
  const BalanceReport& balance = report.balance;
  double ratio = 1;
  for (Side side : {Side::kStatic, Side::kRun}) {
    ratio = std::max(ratio, max_over_mean(loads_by_owner(balance.bucket_loads, owners(report, side),
                                                         report.options.workers)));
  }
  return std::min(ratio, kShownMax);
}

bool moved(const BalanceReport& balance, std::size_t bucket) {
  return balance.initial_owners[bucket] != balance.bucket_owners[bucket];
}

// The buckets of one worker in the order in which they are drawn: those that stayed, then those that moved,
// each from large to small.
std::vector<std::size_t> drawn_buckets(const RunReport& report, Side side, std::uint32_t worker) {
  const BalanceReport& balance = report.balance;
  std::vector<std::size_t> buckets;
  for (std::size_t bucket = 0; bucket < balance.bucket_loads.size(); ++bucket) {
    if (owners(report, side)[bucket].value() == worker) buckets.push_back(bucket);
  }
  std::stable_sort(buckets.begin(), buckets.end(), [&](std::size_t a, std::size_t b) {
    if (moved(balance, a) != moved(balance, b)) return moved(balance, b);
    return balance.bucket_loads[a] > balance.bucket_loads[b];
  });
  return buckets;
}

std::string bucket_hint(const BalanceReport& balance, std::size_t bucket, double share) {
  std::string text = fmt::format("bucket {}: {} of all load", bucket, percent_text(share));
  if (moved(balance, bucket)) {
    text += fmt::format(", from worker {} to worker {}", balance.initial_owners[bucket].value(),
                        balance.bucket_owners[bucket].value());
  }
  return text;
}

class Bar {
 public:
  Bar(Svg& svg, const RunReport& report, const Area& row, double pixels_per_second, double total)
      : svg_(svg), balance_(report.balance), row_(row), scale_(pixels_per_second), total_(total) {}

  void add(std::size_t bucket) {
    const double load = balance_.bucket_loads[bucket];
    const bool is_moved = moved(balance_, bucket);
    if (load * scale_ >= kSegmentMin) {
      flush();
      segment(load, is_moved ? "bucket moved" : "bucket stayed",
              bucket_hint(balance_, bucket, load / total_));
      return;
    }
    if (is_moved != small_moved_) flush();
    small_moved_ = is_moved;
    small_load_ += load;
    ++small_count_;
  }

  // Draws the small ones gathered so far, as one.
  void flush() {
    if (small_count_ > 0) {
      segment(
          small_load_, small_moved_ ? "bucket moved small" : "bucket stayed small",
          fmt::format("{} small buckets: {} of all load", small_count_, percent_text(small_load_ / total_)));
    }
    small_load_ = 0;
    small_count_ = 0;
  }

 private:
  void segment(double load, std::string_view css_class, std::string_view hint) {
    const double width = std::min(load * scale_, row_.width - used_);
    if (width > 0.05) svg_.rectangle({row_.x + used_, row_.y, width, row_.height}, css_class, hint);
    used_ += std::max(0.0, width);
  }

  Svg& svg_;
  const BalanceReport& balance_;
  Area row_;
  double scale_;
  double total_;
  double used_ = 0;
  double small_load_ = 0;
  std::size_t small_count_ = 0;
  bool small_moved_ = false;
};

void draw_share_axis(Svg& svg, const Area& plot, double shown) {
  const double step = tick_step(shown, 5);
  for (int i = 0; i * step <= shown * (1 + 1e-9); ++i) {
    const double x = plot.x + plot.width * i * step / shown;
    svg.text({x, plot.bottom() + 17}, i == 0 ? "0" : fmt::format("{:g}×", i * step), "tick", Anchor::kMiddle);
    if (i > 0) svg.line({x, plot.y}, {x, plot.bottom()}, "grid");
  }
  const double fair = plot.x + plot.width / shown;
  svg.line({fair, plot.y - 3}, {fair, plot.bottom() + 4}, "fair");
}

double row_height(std::uint32_t workers) { return std::min(kRowHeightMax, kRowsHeight / workers); }

void draw_rows(Svg& svg, const Area& plot, const RunReport& report, Side side, double shown) {
  const std::uint32_t workers = report.options.workers;
  const double height = row_height(workers);
  const double total =
      std::accumulate(report.balance.bucket_loads.begin(), report.balance.bucket_loads.end(), 0.0);
  const double pixels_per_second = total > 0 ? plot.width / shown * workers / total : 0;
  const auto every = static_cast<std::uint32_t>(std::max(1.0, tick_step(13 / height, 1)));
  for (std::uint32_t worker = 0; worker < workers; ++worker) {
    const double gap = height >= 4 ? std::min(4.0, height * 0.2) : 0;
    const Area row{plot.x, plot.y + worker * height + gap / 2, plot.width, height - gap};
    if (worker % every == 0) {
      svg.text({plot.x - 6, row.y + row.height / 2 + 4}, std::to_string(worker), "tick", Anchor::kEnd);
    }
    Bar bar(svg, report, row, pixels_per_second, total);
    for (std::size_t bucket : drawn_buckets(report, side, worker)) bar.add(bucket);
    bar.flush();
  }
}

}  // namespace

void draw_buckets(Svg& svg, const Area& area, const RunReport& report, Side side) {
  const double shown = longest(report) * 1.02;
  svg.text({area.x, area.y + 16}, side_name(side), "heading");
  const Area plot{area.x + 48, area.y + 28, area.width - 60,
                  row_height(report.options.workers) * report.options.workers};
  draw_share_axis(svg, plot, shown);
  draw_rows(svg, plot, report, side, shown);
}

std::string bucket_picture(const RunReport& report, Side side) {
  const double height = 56 + row_height(report.options.workers) * report.options.workers;
  const double ratio = max_over_mean(
      loads_by_owner(report.balance.bucket_loads, owners(report, side), report.options.workers));
  Svg svg(side == Side::kStatic ? "buckets-static" : "buckets-run", 540, height,
          fmt::format("{}: buckets by owner", side_name(side)),
          fmt::format("A bar for each worker, made of the buckets it owns, as long as their load over the "
                      "run. The longest "
                      "is {} times the mean.",
                      ratio_text(ratio)));
  draw_buckets(svg, {4, 4, 532, height - 8}, report, side);
  return svg.take();
}

}  // namespace evenkeel::observe
