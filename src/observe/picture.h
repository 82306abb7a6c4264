// The pictures of a run, as SVG: load of each worker over time, buckets by owner, and the imbalance over
// time; each for this run and for what static hashing would have done, on the same scale. Colours come from
// picture_style() alone, for light and for dark.
//
// Thread: [any]. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "observe/run_report.h"
#include "observe/svg.h"

namespace evenkeel::observe {

enum class Side { kStatic, kRun };

// Up to this many workers each have a line of its own colour; beyond, a row of a heat map.
inline constexpr std::size_t kLinesMax = 8;

std::string_view side_name(Side side);
double side_max_over_mean(const RunReport& report, Side side);

// The samples to draw: those of the history, or one that stands for the whole run where that was shorter
// than an interval.
std::vector<BalanceSample> drawn_samples(const RunReport& report);

const std::vector<double>& side_busy(const BalanceSample& sample, Side side);

// Draw into `area`, with axes and title.
void draw_load(Svg& svg, const Area& area, const RunReport& report, Side side, std::string_view heading);
void draw_buckets(Svg& svg, const Area& area, const RunReport& report, Side side);
void draw_imbalance(Svg& svg, const Area& area, const RunReport& report);

// Each as a picture of its own, without its style, for a page that has picture_style().
std::string load_picture(const RunReport& report, Side side);
std::string bucket_picture(const RunReport& report, Side side);
std::string imbalance_picture(const RunReport& report);

// Load over time of both sides in one file that stands for itself: for documents.
std::string summary_picture(const RunReport& report);

// CSS for everything above.
std::string picture_style();

}  // namespace evenkeel::observe
