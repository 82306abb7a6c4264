#include "observe/svg.h"

#include <fmt/format.h>

#include <iterator>

namespace evenkeel::observe {

namespace {

// At most one decimal: a tenth of a pixel is finer than anybody sees.
std::string number(double value) {
  std::string text = fmt::format("{:.1f}", value);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text == "-0" ? "0" : text;
}

std::string hint_element(std::string_view hint) {
  return hint.empty() ? "" : fmt::format("<title>{}</title>", escaped(hint));
}

std::string_view anchor_name(Anchor anchor) {
  switch (anchor) {
    case Anchor::kStart:
      return "start";
    case Anchor::kMiddle:
      return "middle";
    case Anchor::kEnd:
      return "end";
  }
  return "start";
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Svg::Svg(std::string_view id, double width, double height, std::string_view title,
         std::string_view description) {
  fmt::format_to(std::back_inserter(out_),
                 "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"picture\" viewBox=\"0 0 {0} {1}\" "
                 "role=\"img\" aria-labelledby=\"{2}-title {2}-description\">\n"
                 "<title id=\"{2}-title\">{3}</title>\n<desc id=\"{2}-description\">{4}</desc>\n",
                 number(width), number(height), id, escaped(title), escaped(description));
}

void Svg::style(std::string_view css) { out_ += fmt::format("<style>{}</style>\n", css); }

void Svg::line(Point from, Point to, std::string_view css_class) {
  fmt::format_to(std::back_inserter(out_), "<line class=\"{}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>\n",
                 css_class, number(from.x), number(from.y), number(to.x), number(to.y));
}

void Svg::rectangle(const Area& area, std::string_view css_class, std::string_view hint) {
  fmt::format_to(std::back_inserter(out_),
                 "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\">{}</rect>\n", css_class,
                 number(area.x), number(area.y), number(area.width), number(area.height), hint_element(hint));
}

void Svg::text(Point at, std::string_view text, std::string_view css_class, Anchor anchor) {
  fmt::format_to(std::back_inserter(out_),
                 "<text class=\"{}\" x=\"{}\" y=\"{}\" text-anchor=\"{}\">{}</text>\n", css_class,
                 number(at.x), number(at.y), anchor_name(anchor), escaped(text));
}

void Svg::shape(std::string_view element, std::span<const Point> points, std::string_view css_class,
                std::string_view hint) {
  fmt::format_to(std::back_inserter(out_), "<{} class=\"{}\" points=\"", element, css_class);
  for (const Point& point : points) {
    fmt::format_to(std::back_inserter(out_), "{},{} ", number(point.x), number(point.y));
  }
  fmt::format_to(std::back_inserter(out_), "\">{}</{}>\n", hint_element(hint), element);
}

void Svg::polyline(std::span<const Point> points, std::string_view css_class, std::string_view hint) {
  shape("polyline", points, css_class, hint);
}

void Svg::polygon(std::span<const Point> points, std::string_view css_class) {
  shape("polygon", points, css_class, {});
}

void Svg::grid_path(const Area& area, double columns, double rows, std::string_view commands,
                    std::string_view css_class) {
  fmt::format_to(std::back_inserter(out_),
                 "<path class=\"{}\" transform=\"translate({} {}) scale({:.5f} {:.5f})\" d=\"{}\"/>\n",
                 css_class, number(area.x), number(area.y), area.width / columns, area.height / rows,
                 commands);
}

std::string Svg::take() { return std::move(out_) + "</svg>\n"; }

}  // namespace evenkeel::observe
