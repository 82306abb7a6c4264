// Plots of bench_policy as SVG, from the numbers of the same run: grouped bars on a linear scale.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

namespace evenkeel::bench {

struct Series {
  std::string name;
  std::vector<double> values;  // one for each group
};

inline const char* color_of(std::size_t series) {
  static constexpr const char* kColors[] = {"#1b6ca8", "#8fbf5f", "#d1495b", "#9a9a9a"};
  return kColors[series % 4];
}

inline std::string bars(const std::string& title, const std::string& unit,
                        const std::vector<std::string>& groups, const std::vector<Series>& series) {
  constexpr double kLeft = 60, kTop = 50, kHeight = 240, kGroup = 84, kBottom = 60;
  const double width = kLeft + kGroup * static_cast<double>(groups.size()) + 20;
  double most = 1e-12;
  for (const Series& one : series)
    for (const double value : one.values) most = std::max(most, value);
  std::string out = fmt::format(
      R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" font-family="sans-serif" font-size="12">)",
      width, kTop + kHeight + kBottom);
  out += fmt::format(
      R"(<rect width="100%" height="100%" fill="white"/><text x="{}" y="18" font-size="14">{}</text>)", kLeft,
      title);
  for (int tick = 0; tick <= 4; ++tick) {
    const double y = kTop + kHeight * (1 - tick / 4.0);
    out += fmt::format(
        R"(<path d="M{} {}H{}" stroke="#ddd"/><text x="{}" y="{}" text-anchor="end">{:.3g}</text>)", kLeft, y,
        width - 20, kLeft - 6, y + 4, most * tick / 4);
  }
  out += fmt::format(R"(<text x="{}" y="{}">{}</text>)", 6, kTop - 12, unit);
  const double bar = (kGroup - 16) / static_cast<double>(series.size());
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const double x = kLeft + kGroup * static_cast<double>(g) + 8;
    for (std::size_t s = 0; s < series.size(); ++s) {
      const double height = kHeight * series[s].values[g] / most;
      out += fmt::format(R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}"/>)",
                         x + bar * static_cast<double>(s), kTop + kHeight - height, bar - 2, height,
                         color_of(s));
    }
    out += fmt::format(R"(<text x="{}" y="{}" text-anchor="middle" font-size="10">{}</text>)",
                       x + (kGroup - 16) / 2, kTop + kHeight + 16, groups[g]);
  }
  for (std::size_t s = 0; s < series.size(); ++s)
    out += fmt::format(
        R"(<rect x="{0}" y="{1}" width="10" height="10" fill="{2}"/><text x="{3}" y="{4}">{5}</text>)",
        kLeft + 150 * static_cast<double>(s), kTop + kHeight + 34, color_of(s),
        kLeft + 150 * static_cast<double>(s) + 14, kTop + kHeight + 43, series[s].name);
  return out + "</svg>\n";
}

inline void write_file(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

}  // namespace evenkeel::bench
