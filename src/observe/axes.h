// Axes of the pictures: where ticks stand and what they say.
//
// Thread: [any]. Pure.
#pragma once

#include <string>
#include <vector>

#include "observe/svg.h"

namespace evenkeel::observe {

// A step of 1, 2, 2.5 or 5 times a power of ten, so that `range` has at most `steps_max` of them.
double tick_step(double range, int steps_max);

// The scale of a plot: data from 0 (or `y_low`) at the lower left corner of `area` to `x_high`, `y_high`.
struct Scale {
  Area area;
  double x_high = 1;
  double y_low = 0;
  double y_high = 1;

  double x(double value) const { return area.x + area.width * value / x_high; }
  double y(double value) const { return area.bottom() - area.height * (value - y_low) / (y_high - y_low); }
};

// Ticks along the bottom, for times from 0 to scale.x_high seconds, in s, min or h.
void draw_time_axis(Svg& svg, const Scale& scale);

// Lines and labels on the left. `percent`: 0.5 is written as "50 %".
void draw_value_axis(Svg& svg, const Scale& scale, bool percent);

}  // namespace evenkeel::observe
