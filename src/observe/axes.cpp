#include "observe/axes.h"

#include <fmt/format.h>

#include <cmath>
#include <string_view>

namespace evenkeel::observe {

namespace {

struct TimeUnit {
  double seconds;
  std::string_view name;
};

TimeUnit unit_for(double seconds) {
  if (seconds < 0.5) return {1e-3, "ms"};
  if (seconds < 180) return {1, "s"};
  if (seconds < 3 * 3'600) return {60, "min"};
  return {3'600, "h"};
}

}  // namespace

double tick_step(double range, int steps_max) {
  if (!(range > 0)) return 1;
  const double power = std::pow(10.0, std::floor(std::log10(range / steps_max)));
  for (double factor : {1.0, 2.0, 2.5, 5.0}) {
    if (range / (factor * power) <= steps_max + 1e-9) return factor * power;
  }
  return 10 * power;
}

void draw_time_axis(Svg& svg, const Scale& scale) {
  const TimeUnit unit = unit_for(scale.x_high);
  const double step = tick_step(scale.x_high / unit.seconds, 6);
  for (int i = 0; i * step <= scale.x_high / unit.seconds * (1 + 1e-9); ++i) {
    const double x = scale.x(i * step * unit.seconds);
    svg.line({x, scale.area.bottom()}, {x, scale.area.bottom() + 4}, "axis");
    svg.text({x, scale.area.bottom() + 17}, fmt::format("{:g} {}", i * step, unit.name), "tick",
             i == 0 ? Anchor::kStart : Anchor::kMiddle);
  }
  svg.line({scale.area.x, scale.area.bottom()}, {scale.area.right(), scale.area.bottom()}, "axis");
}

void draw_value_axis(Svg& svg, const Scale& scale, bool percent) {
  const double step = tick_step(scale.y_high - scale.y_low, 5);
  const auto label = [&](double value) {
    svg.text({scale.area.x - 6, scale.y(value) + 4},
             percent ? fmt::format("{:g} %", 100 * value) : fmt::format("{:g}", value), "tick", Anchor::kEnd);
  };
  label(scale.y_low);
  // Above the lowest value at round ones, the first with room for its label.
  for (double i = std::floor(scale.y_low / step + 0.4) + 1; i * step <= scale.y_high * (1 + 1e-9); ++i) {
    svg.line({scale.area.x, scale.y(i * step)}, {scale.area.right(), scale.y(i * step)}, "grid");
    label(i * step);
  }
}

}  // namespace evenkeel::observe
