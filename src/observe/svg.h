// A small writer of SVG: shapes with a class, whose looks are left to a style sheet (picture.h), so that one
// drawing serves light and dark.
//
// Thread: one at a time. Coordinates are in pixels of the drawing, from its upper left corner.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace evenkeel::observe {

struct Point {
  double x = 0;
  double y = 0;
};

struct Area {
  double x = 0;
  double y = 0;
  double width = 0;
  double height = 0;

  double right() const { return x + width; }
  double bottom() const { return y + height; }
};

// `text` with the characters that mean something in HTML and SVG replaced.
std::string escaped(std::string_view text);

enum class Anchor { kStart, kMiddle, kEnd };

class Svg {
 public:
  // `title` and `description` are what is read to those who cannot see the picture. `id` is unique in the
  // page.
  Svg(std::string_view id, double width, double height, std::string_view title, std::string_view description);

  void style(std::string_view css);
  void line(Point from, Point to, std::string_view css_class);
  // A non-empty `hint` is shown when the pointer rests on the shape.
  void rectangle(const Area& area, std::string_view css_class, std::string_view hint = {});
  void text(Point at, std::string_view text, std::string_view css_class, Anchor anchor = Anchor::kStart);
  void polyline(std::span<const Point> points, std::string_view css_class, std::string_view hint = {});
  void polygon(std::span<const Point> points, std::string_view css_class);
  // `commands` as in the attribute d, in a grid that is stretched to `area`: one unit is one cell.
  void grid_path(const Area& area, double columns, double rows, std::string_view commands,
                 std::string_view css_class);

  // Ends the drawing. No other call may follow.
  std::string take();

 private:
  void shape(std::string_view element, std::span<const Point> points, std::string_view css_class,
             std::string_view hint);

  std::string out_;
};

}  // namespace evenkeel::observe
